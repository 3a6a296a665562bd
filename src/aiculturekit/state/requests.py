"""What was promised and not yet begun: requests, kept from when they are accepted until their operation is in the journal, and found there
by their name afterwards. A request's name is its operation's for whoever asked, whichever daemon performs it.
"""

from __future__ import annotations

from sqlalchemy import Connection

from aiculturekit.state import operations, settings

_WAITS, _BEGUN, _LAST = "request:", "begun:", "requests"
_KEPT = 500
"""Names that are known of those in the journal: the last ones."""


def keep(connection: Connection, text: str) -> str:
    """Its name. None is given twice: the end of an earlier request forgets its name, and must not meet a later one's."""
    number = int(settings.get(connection, _LAST) or 0) + 1
    settings.put(connection, _LAST, value=str(number))
    name = f"r{number:09}"
    settings.put(connection, _WAITS + name, value=text)
    return name


def waiting(connection: Connection) -> list[tuple[str, str]]:
    """(name, text) in the order in which they came."""
    return [(name.removeprefix(_WAITS), text) for name, text in settings.named(connection, _WAITS)]


def forget(connection: Connection, name: str) -> None:
    """It will not be begun."""
    settings.remove(connection, _WAITS + name)


def begun(connection: Connection, name: str, *, operation: int) -> None:
    """It is in the journal as `operation`."""
    forget(connection, name)
    settings.put(connection, _BEGUN + name, value=str(operation))
    for old, _ in settings.named(connection, _BEGUN)[:-_KEPT]:
        settings.remove(connection, old)


def operation(connection: Connection, name: str) -> operations.Operation | None:
    """What became of it; None where that is not in the journal."""
    number = settings.get(connection, _BEGUN + name)
    return operations.get(connection, int(number)) if number else None


def names(connection: Connection) -> dict[int, str]:
    """Operation -> the name of the request that it performs."""
    return {int(number): name.removeprefix(_BEGUN) for name, number in settings.named(connection, _BEGUN)}
