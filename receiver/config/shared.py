"""What does `global` say for every receiver that does not say it itself?"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, SecretStr

from receiver.channels.smtp import TlsConfig
from receiver.policy.record import Record

Name = Annotated[str, Field(min_length=1)]
Key = tuple[str, str]  # of `global`, and of an entry of `<kind>_configs`


class Global(Record):
    """Alertmanager's `global`: accounts that receivers and people's contacts share."""

    smtp_smarthost: Name | None = None
    smtp_from: Name | None = None
    smtp_hello: Name | None = None
    smtp_auth_username: Name | None = None
    smtp_auth_password: SecretStr | None = None
    smtp_auth_password_file: Name | None = None
    smtp_auth_secret: SecretStr | None = None
    smtp_auth_secret_file: Name | None = None
    smtp_auth_identity: Name | None = None
    smtp_require_tls: bool | None = None
    smtp_tls_config: TlsConfig | None = None
    slack_api_url: SecretStr | None = None
    slack_api_url_file: Name | None = None
    slack_app_token: SecretStr | None = None  # takes the place of slack_api_url; people need it
    slack_app_token_file: Name | None = None
    slack_app_url: Name | None = None
    slack_signing_secret: SecretStr | None = None
    slack_signing_secret_file: Name | None = None
    telegram_bot_token: SecretStr | None = None
    telegram_bot_token_file: Name | None = None
    telegram_api_url: Name | None = None
    opsgenie_api_key: SecretStr | None = None
    opsgenie_api_key_file: Name | None = None
    opsgenie_api_url: Name | None = None
    pagerduty_url: Name | None = None
    allow_private_addresses: bool | None = None  # for servers of one's own, such as a Bot API server


def _same(prefix: str, *names: str) -> tuple[Key, ...]:
    return tuple((f"{prefix}{name}", name) for name in names)


PRIVATE = (("allow_private_addresses", "allow_private_addresses"),)
SHARED: Mapping[str, tuple[tuple[Key, ...], ...]] = {  # keys of one line exclude each other, the first counts
    "email": (
        *(((f"smtp_{name}", name),) for name in ("smarthost", "from", "hello", "auth_identity")),
        (("smtp_auth_username", "auth_username"),),
        _same("smtp_", "auth_password", "auth_password_file"),
        _same("smtp_", "auth_secret", "auth_secret_file"),
        _same("smtp_", "require_tls"),
        _same("smtp_", "tls_config"),
    ),
    "slack": (
        _same("slack_", "app_token", "app_token_file", "api_url", "api_url_file"),
        _same("slack_", "app_url"),
        _same("slack_", "signing_secret", "signing_secret_file"),
        PRIVATE,
    ),
    "telegram": (_same("telegram_", "bot_token", "bot_token_file"), _same("telegram_", "api_url"), PRIVATE),
    "opsgenie": (
        _same("opsgenie_", "api_key", "api_key_file"), (("opsgenie_api_url", "api_url"),), PRIVATE,
    ),
    "pagerduty": ((("pagerduty_url", "url"),), PRIVATE),
    "webhook": (PRIVATE,),
}  # fmt: skip


def filled(kind: str, entry: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of `<kind>_configs` with what it leaves to `global`."""
    found = dict(entry)
    for keys in SHARED.get(kind, ()):
        if any(name in entry for _, name in keys):
            continue
        said = _first(keys, shared)
        if said is not None:
            found[said[0]] = said[1]
    return found


def _first(keys: Iterable[Key], shared: Mapping[str, Any]) -> tuple[str, Any] | None:
    return next(((name, shared[key]) for key, name in keys if shared.get(key) is not None), None)


def fill_in(values: Any) -> None:
    """Give what `global` says to every entry that does not say it itself; what has a wrong shape is left."""
    shared = values.get("global") if isinstance(values, dict) else None
    receivers = values.get("receivers") if isinstance(values, dict) else None
    if not isinstance(shared, dict) or not isinstance(receivers, list):
        return
    for receiver in receivers:
        for kind in SHARED:
            entries = receiver.get(f"{kind}_configs") if isinstance(receiver, dict) else None
            if isinstance(entries, list):
                receiver[f"{kind}_configs"] = [
                    filled(kind, entry, shared) if isinstance(entry, dict) else entry for entry in entries
                ]
