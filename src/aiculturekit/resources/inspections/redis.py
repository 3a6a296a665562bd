"""Looking into Valkey, through its socket and as a user who may only read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.resources import resp
from aiculturekit.resources.backends.redis import VIEWER, password, place
from aiculturekit.resources.inspections.shapes import Column, Figure, Inspection, Row, Table
from aiculturekit.resources.servers import Ground

_PATIENCE = 5.0
_LONGEST, _MANY = 100_000, 200
_EXPORTED = (
    ("redis_memory_used_bytes", "gauge", "Memory that the data takes.", "used_memory"),
    ("redis_connected_clients", "gauge", "Open connections.", "connected_clients"),
    ("redis_commands_processed_total", "counter", "Commands that were run.", "total_commands_processed"),
    ("redis_keyspace_hits_total", "counter", "Keys that were asked for and found.", "keyspace_hits"),
    ("redis_keyspace_misses_total", "counter", "Keys that were asked for and not found.", "keyspace_misses"),
    ("redis_evicted_keys_total", "counter", "Keys that were evicted for want of memory.", "evicted_keys"),
    ("redis_expired_keys_total", "counter", "Keys that expired.", "expired_keys"),
    ("redis_uptime_in_seconds", "gauge", "Time since the server started.", "uptime_in_seconds"),
)
"""The names of oliver006/redis_exporter."""
_READERS: Mapping[str, Sequence[str]] = {
    "string": ("GETRANGE", "#", "0", str(_LONGEST)),
    "list": ("LRANGE", "#", "0", str(_MANY)),
    "set": ("SSCAN", "#", "0", "COUNT", str(_MANY)),
    "zset": ("ZRANGE", "#", "0", str(_MANY), "WITHSCORES"),
    "hash": ("HSCAN", "#", "0", "COUNT", str(_MANY)),
    "stream": ("XRANGE", "#", "-", "+", "COUNT", str(_MANY)),
}
"""How the value of each type is read, in part where it is large; # is the key."""


class Redis:
    up = "redis_up"

    async def inspect(self, ground: Ground) -> Inspection:
        text, clients, slow = await _ask(ground, ["INFO"], ["CLIENT", "LIST"], ["SLOWLOG", "GET", "20"])
        info = dict(line.split(":", 1) for line in str(text).splitlines() if ":" in line)
        hits, misses = int(info["keyspace_hits"]), int(info["keyspace_misses"])
        spaces = list(_spaces(info))
        figures = [Figure(name, kind, said, float(info[key])) for name, kind, said, key in _EXPORTED]  # type: ignore[arg-type]
        figures += [Figure("redis_db_keys", "gauge", "Keys.", row["keys"], {"db": row["name"]}) for row in spaces]
        return Inspection(
            version=info.get("valkey_version", info["redis_version"]),
            uptime=float(info["uptime_in_seconds"]),
            memory_bytes=int(info["used_memory"]),
            hit_ratio=hits / (hits + misses) if hits + misses else None,
            clients=tuple(_clients(str(clients))),
            sections={
                "spaces": spaces,
                "slow": [_slow(entry) for entry in slow],
                "keys": await self._keys(ground, "", 50),
            },
            figures=tuple(figures),
        )

    async def ask(self, ground: Ground, statement: str, *, database: str, rows: int, seconds: float) -> Table:
        try:
            words = shlex.split(statement)
        except ValueError as error:
            raise Mistake(str(error)) from None
        if not words:
            raise Mistake(say("there is no statement"), hint=say("write one: {example}", example="GET key"))
        (answer,) = await _ask(ground, words, seconds=seconds)
        lines = list(_lines(answer))
        cut = tuple((line[:2000],) for line in lines[:rows])
        return Table((Column(words[0].upper()),), cut, is_cut=len(lines) > rows)

    def databases(self, ground: Ground) -> list[str]:
        return ["0"]

    async def listed(self, ground: Ground, what: str, *, within: str, search: str, limit: int) -> list[Row]:
        return await self._keys(ground, search, limit)

    async def opened(self, ground: Ground, what: str, *, within: str, name: str) -> Row:
        (kind,) = await _ask(ground, ["TYPE", name])
        if kind not in _READERS:
            raise NotFound(say("there is no key {name}", name=name))
        command = [name if word == "#" else word for word in _READERS[kind]]
        (value,) = await _ask(ground, command)
        value = value[1] if command[0].endswith("SCAN") else value
        return {"name": name, "type": kind, "content": "\n".join(_lines(value))[:_LONGEST]}

    async def _keys(self, ground: Ground, search: str, limit: int) -> list[Row]:
        """What a walk over part of the key space finds: never all of a large one."""
        pattern = search if any(sign in search for sign in "*?[") or not search else f"*{search}*"
        found: list[str] = []
        cursor = "0"
        for _ in range(20):
            ((cursor, names),) = await _ask(ground, ["SCAN", cursor, "MATCH", pattern or "*", "COUNT", "1000"])
            found += names
            if cursor == "0" or len(found) >= limit:
                break
        names = sorted(found)[:limit]
        answers = await _ask(ground, *[[word, name] for name in names for word in ("TYPE", "TTL")])
        return [
            {"name": name, "type": answers[2 * at], "ttl": answers[2 * at + 1] if answers[2 * at + 1] >= 0 else None}
            for at, name in enumerate(names)
        ]


async def _ask(ground: Ground, *commands: Sequence[str], seconds: float = _PATIENCE) -> list[Any]:
    """Raises Mistake in the server's words, Failed."""
    secret = await threads.run(password, ground)
    try:
        return await resp.answers(place(ground), ["AUTH", VIEWER, secret], *commands, seconds=seconds)
    except resp.Answer as error:
        raise Mistake(str(error)) from None
    except TimeoutError:
        raise Failed(say("the server did not answer within {seconds:g} s", seconds=seconds)) from None


def _spaces(info: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, text in info.items():
        if name.startswith("db") and name[2:].isdigit():
            counts = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
            yield {"name": name, "keys": int(counts["keys"]), "expires": int(counts["expires"])}


def _clients(text: str) -> Iterator[Row]:
    counted: dict[str, int] = {}
    for line in text.splitlines():
        about = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
        if about.get("user") not in (None, VIEWER, "aic", "default"):
            counted[about["user"]] = counted.get(about["user"], 0) + 1
    for user, count in sorted(counted.items()):
        yield {"user": user, "database": "0", "state": "open", "count": count}


def _slow(entry: Sequence[Any]) -> Row:
    """Its first two words: what follows may be a value, and nobody's to read."""
    words = [str(word) for word in entry[3]]
    return {"query": " ".join(words[:2])[:200] + (" …" if len(words) > 2 else ""), "max_ms": entry[2] / 1000}


def _lines(answer: Any) -> Iterator[str]:
    """An answer, one line for each part of it."""
    if isinstance(answer, list):
        for part in answer:
            yield from _lines(part)
    else:
        yield "(nil)" if answer is None else str(answer)
