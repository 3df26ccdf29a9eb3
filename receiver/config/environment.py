"""What does the environment say about this process?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator

from receiver.channels.base import is_web_address
from receiver.config.problems import ConfigError
from receiver.policy.record import Record

PREFIX = "TOCSIN_"


class Settings(Record):
    """Addresses, secrets and habits of one process; everything about policy is in routing.yaml."""

    config: str = "routing.yaml"  # the file with the policy
    database_url: str = Field(default="sqlite:///tocsin.db", repr=False)  # may hold a password
    host: str = "127.0.0.1"  # loopback, because nothing asks for a login yet
    port: int = Field(default=5001, ge=0, le=65535)  # 0: any free one
    public_url: str | None = None  # how people reach the pages; links in messages begin with it
    secret_key: SecretStr | None = None  # signs what leaves the process and comes back
    log_format: Literal["json", "console"] | None = None  # None: console on a terminal, else json
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, value: str) -> str:
        if value.partition(":")[0].partition("+")[0] not in {"sqlite", "postgresql", "postgres"}:
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url_is_a_web_address(cls, value: str | None) -> str | None:
        if value is not None and not is_web_address(value):
            raise ValueError("must be an address such as https://tocsin.example.org")
        return value and value.rstrip("/")

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def _case_does_not_matter(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def is_loopback(self) -> bool:
        """Whether nobody reaches this process from another machine."""
        return self.host in {"127.0.0.1", "::1", "localhost"}

    @property
    def base_url(self) -> str:
        """The address that links in messages begin with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


def settings(environ: Mapping[str, str]) -> Settings:
    """Return what the `TOCSIN_…` variables say; raise ConfigError with one line for each that is wrong."""
    errors: list[str] = []
    values: dict[str, str] = {}
    for field in Settings.model_fields:
        try:
            value = _variable(PREFIX + field.upper(), environ)
        except ValueError as error:
            errors.append(str(error))
        else:
            if value is not None:
                values[field] = value
    try:
        found = Settings.model_validate(values)
    except ValidationError as error:
        errors += [
            f"{PREFIX}{str(e['loc'][0]).upper()}: {_words(e['type'], e['msg'])}" for e in error.errors()
        ]
    if errors:
        raise ConfigError(sorted(errors))
    return found


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the value of `name` or of the file that `name`_FILE names; empty means not set."""
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if value and value.startswith("tcp://") and name == f"{PREFIX}PORT":
        value = None  # Kubernetes says this about a service that is called tocsin
    if value and file:
        raise ValueError(f"{name}: is given twice, also as {name}_FILE; keep one")
    if not file:
        return value or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no UTF-8 text"
        raise ValueError(f"{name}_FILE: cannot read {file}: {reason}; correct the path") from None


def _words(kind: str, message: str) -> str:
    if kind.startswith(("int", "greater", "less")):
        return "must be a whole number from 0 to 65535"
    if kind == "literal_error":
        return message.replace("Input should be", "must be")
    return message.removeprefix("Value error, ")
