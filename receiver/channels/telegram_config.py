"""Which chat does an entry of `telegram_configs` mean, and which bot writes to it?"""

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from receiver.channels.base import (
    DEFAULT_TIMEOUT,
    ChannelConfig,
    PermanentFailure,
    Timeout,
    exactly_one,
    is_web_address,
    read_secret,
)

TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{3,200}")
NAME = re.compile(r"@[A-Za-z][A-Za-z0-9_]{3,}")
WEBHOOK_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")  # what setWebhook takes


class TelegramConfig(ChannelConfig):
    """An entry of `telegram_configs`: a bot, and the chat it writes to."""

    edit_costs: ClassVar[int] = 2  # what is said beneath it is a call of its own

    bot_token: SecretStr | None = None
    bot_token_file: str | None = None  # read at every send
    chat_id: int | str
    message_thread_id: int | None = Field(default=None, ge=0)  # a topic; Alertmanager's 0 is none
    api_url: str = "https://api.telegram.org"
    disable_notifications: bool = False
    parse_mode: Literal["HTML"] = "HTML"  # the templates are HTML
    updates: Literal["polling", "webhook", "off"] = "polling"  # how pressed buttons reach us
    webhook_secret: SecretStr | None = None  # what Telegram shows us with every update
    webhook_secret_file: str | None = None
    timeout: Timeout = DEFAULT_TIMEOUT
    allow_private_addresses: bool = False  # for a Bot API server of your own

    @field_validator("bot_token")
    @classmethod
    def _is_a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("it is not a bot token; BotFather's look like 123456:ABC-DEF…")
        return value

    @field_validator("chat_id")
    @classmethod
    def _is_a_chat(cls, value: int | str) -> int | str:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if value == 0 or (isinstance(value, str) and not NAME.fullmatch(value)):
            raise ValueError("a chat is a number, negative for groups, or the @name of a public one")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not WEBHOOK_SECRET.fullmatch(value.get_secret_value()):
            raise ValueError("it may have 1 to 256 of A-Z, a-z, 0-9, _ and -")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        exactly_one(bot_token=self.bot_token, bot_token_file=self.bot_token_file)
        if not is_web_address(self.api_url):
            raise ValueError("api_url is not a URL")
        if self.updates == "webhook" or self.webhook_secret or self.webhook_secret_file:
            secrets = {
                "webhook_secret": self.webhook_secret,
                "webhook_secret_file": self.webhook_secret_file,
            }
            exactly_one(**secrets)
        return self

    @property
    def destination(self) -> str:
        """The chat, and the topic where there is one."""
        topic = f" topic {self.message_thread_id}" if self.message_thread_id else ""
        return f"telegram {self.chat_id}{topic}"

    @property
    def service(self) -> str:
        """The bot: its number, which everybody in its chats can see, or the file with its token."""
        if self.bot_token is None:
            return f"telegram bot of {self.bot_token_file}"
        return f"telegram bot {bot_id(self.bot_token.get_secret_value())}"

    def token(self) -> str:
        """Return the token as it is now."""
        token = read_secret(self.bot_token, self.bot_token_file)
        if not TOKEN.fullmatch(token):
            raise PermanentFailure(f"{self.bot_token_file} holds no bot token")
        return token

    def secret(self) -> str:
        """Return what Telegram shows us with every update, as it is now."""
        secret = read_secret(self.webhook_secret, self.webhook_secret_file)
        if not WEBHOOK_SECRET.fullmatch(secret):
            raise PermanentFailure(f"{self.webhook_secret_file} holds no secret that Telegram would take")
        return secret


def bot_id(token: str) -> str:
    """Return the part of a token that is no secret."""
    return token.partition(":")[0]
