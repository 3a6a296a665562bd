"""Running alembic from within: no ini file, no command line, the caller's connection and transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

HERE = Path(__file__).parent
VERSIONS = HERE / "versions"


def configuration(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("version_locations", str(VERSIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")  # folders may have spaces in their names
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, *, to: str = "head") -> None:
    """Migrate to revision `to` within the transaction that the connection is in."""
    command.upgrade(configuration(connection), to)
