"""What replicas print: files that they write themselves, read on demand.

A replica's output goes straight to `logs/<app>/<name>/<version>/<id>.log`, opened for appending: no pipe ties it to the daemon. When a file
passes LIMIT the last PART of its whole lines is copied to `<id>.log.1` (which becomes `.2`) and all of them are given back to the disk by
punching a hole: the process keeps its descriptor, and no recent line is lost. Where holes can't be punched the file is cut instead, which
may lose what is written in between; where the disk has no room for the part, the part goes, for the disk must be relieved.

A line's time is its own where it carries one (JSON with time, ts, timestamp or @timestamp), else the file's last change.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.engine import host

LIMIT, PART, KEPT = 10 << 20, 4 << 20, 2
KEPT_ENDED = 10
"""How many logs of ended replicas stay, of each version of a workload."""
MAX_LINE = 16 << 10
_READ = 256 << 10
_LATEST = 1e11  # seconds since the epoch: the year 5138
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")
_LEVELS = {
    "trace": "debug", "debug": "debug", "info": "info", "notice": "info", "warn": "warning", "warning": "warning", "err": "error",
    "error": "error", "critical": "error", "fatal": "error", "panic": "error",
    "10": "debug", "20": "debug", "30": "info", "40": "warning", "50": "error", "60": "error",  # pino, bunyan
}  # fmt: skip
_LEVEL_WORD = re.compile(r"\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b")
_TIMES, _MESSAGES, _LEVEL_KEYS = (
    ("time", "ts", "timestamp", "@timestamp"),
    ("msg", "message", "event"),
    ("level", "severity", "lvl"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One line. `at` is seconds since the epoch; `fields` is what a JSON line carried besides level, message and time."""

    at: float
    workload: str
    version: str
    instance: str
    level: str
    message: str
    stream: str = "output"
    fields: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def path(home: Path, *, app: str, name: str, version: str, instance: str) -> Path:
    return home / "logs" / app / name / version / f"{instance}.log"


async def read(
    home: Path, *, app: str, workload: str | None = None, version: str | None = None, tail: int = 200
) -> list[Record]:
    """The last `tail` lines of the application (or one workload, or version), oldest first."""
    return await threads.run(_read, home, app, workload, version, tail, None)


def last_lines(file: Path, *, count: int = 20) -> list[str]:
    """The last lines of a log as they were printed, without colours; [] when there is none."""
    return [_clean(line) for line in _tail(file, count)]


async def follow(
    home: Path, *, app: str, workload: str | None = None, version: str | None = None, tail: int = 200
) -> AsyncIterator[Record]:
    """The last `tail` lines, then every new one, once it is whole; files that appear later are followed from their start. Never
    ends by itself."""
    offsets = {file: await threads.run(_whole, file) for file in _files(home, app, workload, version)}
    for record in await threads.run(_read, home, app, workload, version, tail, offsets):
        yield record
    while True:
        await asyncio.sleep(0.2)
        for record in await threads.run(_news, home, app, workload, version, offsets):
            yield record


def rotate(file: Path) -> bool:
    """Keep the file's use of the disk below LIMIT + PART; True when something was moved. Blocks."""
    try:
        with file.open("rb+") as stream:
            size = os.fstat(stream.fileno()).st_blocks * 512
            if size <= LIMIT:
                return False
            end = _line_end(stream)
            with contextlib.suppress(OSError):  # no room to keep a part: then the more reason to give some back
                _keep_part(file, stream, end)
            if not host.discard_head(stream.fileno(), end):
                stream.truncate(0)
    except FileNotFoundError:
        return False
    return True


def _keep_part(file: Path, stream: Any, end: int) -> None:
    """The last PART bytes before `end` become .1; the older part becomes .2."""
    for number in range(KEPT, 1, -1):
        with contextlib.suppress(FileNotFoundError):
            file.with_suffix(f".log.{number - 1}").replace(file.with_suffix(f".log.{number}"))
    kept = file.with_suffix(".log.1")
    try:
        with kept.open("wb") as part:
            at = stream.seek(max(0, end - PART))
            while at < end and (chunk := stream.read(min(_READ, end - at))):
                at += part.write(chunk)
    except OSError:
        kept.unlink(missing_ok=True)
        raise


def _line_end(stream: Any) -> int:
    """Where the last whole line of a file ends; its very end where that is far away."""
    end: int = stream.seek(0, os.SEEK_END)
    start = stream.seek(max(0, end - MAX_LINE))
    found = stream.read(end - start).rfind(b"\n")
    return end if found < 0 else start + found + 1


def remove(file: Path) -> None:
    for candidate in (file, *(file.with_suffix(f".log.{number}") for number in range(1, KEPT + 1))):
        candidate.unlink(missing_ok=True)


def prune(home: Path, *, app: str, name: str, version: str, running: Collection[str], keep: int = KEPT_ENDED) -> None:
    """Remove the logs of ended replicas but the newest `keep`. Blocks."""
    ended = [(_changed(file), file) for file in _files(home, app, name, version) if file.stem not in running]
    for _, file in sorted(ended, reverse=True)[keep:]:
        remove(file)


def _files(home: Path, app: str, workload: str | None, version: str | None) -> list[Path]:
    return sorted((home / "logs" / app).glob(f"{workload or '*'}/{version or '*'}/*.log"))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _whole(file: Path) -> int:
    """Where the last whole line of a log ends; 0 where there is none."""
    with contextlib.suppress(FileNotFoundError), file.open("rb") as stream:
        end = _line_end(stream)
        stream.seek(max(0, end - 1))
        return end if stream.read(1) == b"\n" else 0
    return 0


def _read(
    home: Path, app: str, workload: str | None, version: str | None, tail: int, ends: Mapping[Path, int] | None
) -> list[Record]:
    """`ends` says how far to read each file, None to their ends."""
    found = [
        (file, _tail(file, tail, end=None if ends is None else ends.get(file, 0)))
        for file in _files(home, app, workload, version)
    ]
    records = [record for file, lines in found for record in _parsed(file, lines)]
    return sorted(records, key=lambda record: record.at)[-tail:] if tail else []


def _news(home: Path, app: str, workload: str | None, version: str | None, offsets: dict[Path, int]) -> list[Record]:
    """What the files have beyond `offsets`, which move on; a file that shrank is read from its start."""
    found: list[Record] = []
    for file in _files(home, app, workload, version):
        size, start = _size(file), offsets.get(file, 0)
        start = 0 if size < start else start
        if size == start:
            offsets[file] = start
            continue
        with contextlib.suppress(FileNotFoundError), file.open("rb") as stream:
            start = stream.seek(_after_hole(stream, start))
            chunk = stream.read(min(size - start, 4 * _READ))
            whole = chunk.rfind(b"\n") + 1 or (len(chunk) if len(chunk) >= MAX_LINE else 0)
            offsets[file] = start + whole
            found += _parsed(file, _lines(chunk[:whole]))
    return sorted(found, key=lambda record: record.at)


def _after_hole(stream: Any, start: int) -> int:
    """The first offset from `start` on that is not in a hole: what was rotated away needs no reading."""
    with contextlib.suppress(OSError, AttributeError):
        return os.lseek(stream.fileno(), start, os.SEEK_DATA)
    return start


def _tail(file: Path, count: int, *, end: int | None = None) -> list[bytes]:
    """The last lines of a file (before `end`) and, where it is too short, of its older part."""
    if count <= 0:
        return []
    lines: list[bytes] = []
    for part, upto in ((file, end), (file.with_suffix(".log.1"), None)):
        with contextlib.suppress(FileNotFoundError), part.open("rb") as stream:
            lines = [*_last(stream, count - len(lines), upto), *lines]
        if len(lines) >= count:
            break
    return lines


def _last(stream: Any, count: int, upto: int | None) -> list[bytes]:
    size = stream.seek(0, os.SEEK_END)
    end = size if upto is None else min(upto, size)
    wanted = min(end, max(_READ, count * 512), 8 << 20)
    start = stream.seek(end - wanted)
    chunk = stream.read(wanted)
    lines = _lines(chunk.lstrip(b"\0"))
    if start > 0 and len(lines) > 1 and not chunk.startswith(b"\0"):
        del lines[0]  # what is left of a line that begins before
    return lines[-count:] if count else []


def _lines(chunk: bytes) -> list[bytes]:
    return [line for line in chunk.split(b"\n") if line.strip(b"\0\r")]


def _parsed(file: Path, lines: list[bytes]) -> Iterator[Record]:
    version, name = file.parent.name, file.parent.parent.name
    changed, at = _changed(file), None
    for position, line in enumerate(lines):
        record = _record(_clean(line))
        # Lines without a time of their own keep their order: a microsecond each, before the file's last change.
        at = record.pop("at") or at or changed - (len(lines) - position) * 1e-6
        yield Record(at=at, workload=name, version=version, instance=file.stem, **record)


def _clean(line: bytes) -> str:
    text = line.strip(b"\0\r")
    cut = text[:MAX_LINE].decode("utf-8", "replace")
    return _ANSI.sub("", cut) + (" … [cut]" if len(text) > MAX_LINE else "")


def _record(text: str) -> dict[str, Any]:
    if text.startswith("{") and text.endswith("}"):
        with contextlib.suppress(ValueError, RecursionError):
            fields = json.loads(text, parse_constant=lambda name: None)
            json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()  # what can't be sent on is shown as it is
            return _json_record(fields, text)
    found = _LEVEL_WORD.search(text[:200])
    return {"at": None, "level": _LEVELS[found[1].lower()] if found else "info", "message": text, "fields": {}}


def _json_record(fields: dict[str, Any], text: str) -> dict[str, Any]:
    def taken(keys: tuple[str, ...]) -> Any:
        return next((fields.pop(key) for key in keys if key in fields), None)

    level, message, at = taken(_LEVEL_KEYS), taken(_MESSAGES), taken(_TIMES)
    shown = text if message is None else str(message)
    return {"at": _time(at), "level": _LEVELS.get(str(level).lower(), "info"), "message": shown, "fields": fields}


def _time(value: Any) -> float | None:
    """Seconds since the epoch, from seconds, milli-, micro- or nanoseconds, or ISO 8601; None for what is no time after 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        for _ in range(3):
            value = value / 1000 if value > _LATEST else value
        return float(value) if 0 <= value <= _LATEST else None
    try:
        parsed = datetime.fromisoformat(str(value))
        at = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return None
    return at if 0 <= at <= _LATEST else None
