"""Who may write: of several daemons on one database the one that began last. Each beginning is a new term; a transaction of an earlier
one is refused within itself, however late it comes.
"""

from __future__ import annotations

from sqlalchemy import Connection

from aiculturekit.errors import Busy
from aiculturekit.language import say
from aiculturekit.state import settings

_NAME = "term"


def begin(connection: Connection) -> int:
    """A new term; every earlier one has ended."""
    number = _current(connection) + 1
    settings.put(connection, _NAME, value=str(number))
    return number


def require(connection: Connection, number: int) -> None:
    """Raises Busy where another daemon has begun since."""
    if _current(connection) != number:
        raise Busy(
            say("another daemon has taken over since"),
            hint=say("it carries on what was under way: ask again"),
        )


def _current(connection: Connection) -> int:
    return int(settings.get(connection, _NAME) or 0)
