"""Templates and static files. Jinja2 is loaded with the first page: a daemon whose console nobody opens does without."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from aiculturekit import language
from aiculturekit.control import phrases
from aiculturekit.language import say

FOLDER = Path(__file__).parent
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def render(template: str, **values: Any) -> str:
    """A page in the language in force; everything is escaped unless it is marked otherwise."""
    return str(_templates().get_template(template).render(lang=language.current(), **values))


@cache
def _templates() -> Any:
    import jinja2  # heavy: 4 MB that only a browser needs

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"say": say, "static": static_url, "trouble_words": phrases.trouble_words}
    environment.filters |= {
        "ago": ago, "clock": clock, "number": number, "percent": percent, "ms": milliseconds, "bytes": size, "state": state,
        "image": image, "figure": phrases.figure, "seconds": seconds, "left": left, "amount": amount, "span": span,
        "troubles": phrases.troubles,
    }  # fmt: skip
    return environment


@cache
def static_file(name: str) -> tuple[bytes, str, str] | None:
    """(content, type, digest) of a file in static/, None for anything else."""
    file = FOLDER / "static" / name
    if "/" in name or file.suffix not in TYPES or not file.is_file():
        return None
    content = file.read_bytes()
    return content, TYPES[file.suffix], hashlib.sha256(content).hexdigest()[:12]


def static_url(name: str) -> str:
    found = static_file(name)
    return f"/static/{name}?v={found[2] if found else ''}"


def ago(moment: str | None) -> str:
    """How long ago an ISO time was, in words."""
    if not moment:
        return "–"
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    if seconds < 60:
        return say("{count} s ago", count=seconds)
    if seconds < 3600:
        return say("{count} min ago", count=seconds // 60)
    if seconds < 86400:
        return say("{count} h ago", count=seconds // 3600)
    return say("{count} d ago", count=seconds // 86400)


def left(moment: str) -> str:
    """How long until an ISO time, in minutes."""
    seconds = (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
    return say("{minutes} min", minutes=max(0, round(seconds / 60)))


def clock(moment: str | None) -> str:
    return moment[11:19] if moment else "–"


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def size(value: int | None) -> str:
    return "–" if value is None else f"{value / 2**20:,.0f} MB"


def amount(value: int | None) -> str:
    """Bytes in the unit that suits them."""
    if value is None:
        return "–"
    size, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            break
        size /= 1024
    return f"{size:,.1f} {unit}" if unit != "B" and size < 100 else f"{size:,.0f} {unit}"


def span(seconds: float | None) -> str:
    """How long something has lasted, in its largest unit."""
    if seconds is None:
        return "–"
    if seconds < 3600:
        return say("{count} min", count=round(seconds // 60)) if seconds >= 60 else f"{seconds:.0f} s"
    return (
        say("{count} h", count=round(seconds // 3600))
        if seconds < 86400
        else say("{count} d", count=round(seconds // 86400))
    )


def image(reference: str) -> str:
    """The end of an image's name, and the beginning of its digest: what tells one from another."""
    name, _, digest = reference.partition("@")
    short = name.rpartition("/")[2] or name
    return f"{short}@{digest.removeprefix('sha256:')[:12]}" if digest else short


def seconds(value: float | None) -> str:
    return "–" if value is None else phrases.length(value)


def state(value: str) -> Mapping[str, str]:
    """(class, word) of a state's pill; the word carries the meaning, the colour repeats it."""
    words = {
        "ready": ("ok", say("ready")), "serving": ("ok", say("serving")), "current": ("ok", say("current")), "exited": ("ok", say("done")),
        "done": ("ok", say("done")), "scheduled": ("info", say("scheduled")),
        "external": ("info", say("elsewhere")), "starting": ("info", say("starting")),
        "pending": ("info", say("pending")), "stopping": ("info", say("stopping")), "degraded": ("warn", say("degraded")),
        "unready": ("warn", say("not ready")), "backoff": ("warn", say("restarting")), "crash_loop": ("bad", say("keeps crashing")),
        "failed": ("bad", say("failed")), "down": ("", say("down")), "superseded": ("", say("superseded")), "info": ("", ""),
        "unknown": ("warn", say("unknown")), "back": ("warn", say("went back")), "unchanged": ("", say("unchanged")),
        "warning": ("warn", say("warning")), "error": ("bad", say("error")),
    }  # fmt: skip
    kind, word = words.get(value, ("", value))
    return {"kind": kind, "word": word}
