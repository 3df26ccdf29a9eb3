"""Does a database have this version's schema, and who brings it there?

Asked without Alembic: it needs twelve megabytes that a running service has no use for, so migrations run in a
process of their own.
"""

import os
import subprocess
import sys

from sqlalchemy import Connection, inspect, text

from receiver.resources import MIGRATIONS
from receiver.store.database import connect


class MigrationError(Exception):
    """The database could not be brought to this version's schema."""


def newest() -> str:
    """Return the newest revision; a file is named for its revision, as `0001_pre_the_first_tables.py`."""
    return max("_".join(file.stem.split("_")[:2]) for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def is_current(url: str) -> bool:
    """Return whether the database has the newest revision."""
    engine = connect(url, writing=False, size=1)
    try:
        with engine.connect() as db:
            return is_newest(db)
    finally:
        engine.dispose()


def is_newest(db: Connection) -> bool:
    """Return the same of a database that is open."""
    if not inspect(db).has_table("alembic_version"):
        return False
    return bool(db.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest())


def bring_up_to_date(url: str) -> None:
    """Run the migrations that are missing; replicas that start together wait for each other."""
    if is_current(url):
        return
    command = [sys.executable, "-m", "receiver", "migrate"]
    environ = {**os.environ, "TOCSIN_DATABASE_URL": url}  # not on the command line: it may hold a password
    environ.pop("TOCSIN_DATABASE_URL_FILE", None)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise MigrationError(
            f"the database could not be migrated: {said[-1]}; run `tocsin migrate` to see more"
        )
