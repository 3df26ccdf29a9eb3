"""What must an Alertmanager show to be believed?"""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from receiver.config.records import Source, secrets_of


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a source accepts; a secret whose file cannot be read is accepted from nobody."""

    is_required: bool  # False: the configuration asks for none
    tokens: tuple[str, ...] = field(repr=False)
    logins: tuple[tuple[str, str], ...] = field(repr=False)  # user name and password


def credentials(source: Source) -> Credentials:
    """Return what the source must show, with files read now: secrets change without a reload."""
    written = secrets_of(source, "token")
    logins: list[tuple[str, str]] = []
    if source.basic_auth:
        passwords = _read(secrets_of(source.basic_auth, "password"))
        logins = [(source.basic_auth.username, password) for password in passwords]
    return Credentials(bool(written or source.basic_auth), tuple(_read(written)), tuple(logins))


def _read(secrets: list[SecretStr | str]) -> list[str]:
    values = (each.get_secret_value() if isinstance(each, SecretStr) else _content(each) for each in secrets)
    return [value for value in values if value]


def _content(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
