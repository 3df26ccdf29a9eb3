"""Which revision of the schema does a database have, and how does it get to ours?"""

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from receiver.resources import MIGRATIONS


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for this database; there is no alembic.ini to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = sync_url(url)
    return config


def sync_url(url: str) -> str:
    """Return the URL with the driver we use."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to `revision`; one that is there already is left alone."""
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision`."""
    command.downgrade(alembic_config(url), revision)
