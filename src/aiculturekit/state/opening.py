"""From a URL to an open state database."""

from __future__ import annotations

from aiculturekit.locator import Locator
from aiculturekit.registry import STATE
from aiculturekit.state.databases import Database


def open(url: str | Locator) -> Database:
    """The database at `sqlite:////folder/state.db`, `postgresql://user@host/name` or `memory://`, made or migrated
    first.

    Blocks. Raises LocatorError (the URL), Refused (a newer version's database), HostTrouble, Busy or Unreachable.
    """
    locator = Locator.parse(url) if isinstance(url, str) else url
    database: Database = STATE.load(locator)(locator)
    return database
