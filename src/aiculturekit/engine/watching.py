"""Files that change while somebody works on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiculturekit import threads, trees
from aiculturekit.engine import sources

DEBOUNCE_MS = 100


async def watch(places: Mapping[str, Path]) -> AsyncIterator[set[str]]:
    """The names of the places (directories, or single files) whose content changed, each time something was saved. Never ends by
    itself; a place that goes and comes back is picked up again."""
    import watchfiles  # heavy: a native module that only `up --watch` needs

    known = {name: await threads.run(_digest, place) for name, place in places.items()}
    roots = {place if place.is_dir() else place.parent for place in places.values()}
    rules = list(trees.IGNORED)
    async for _ in watchfiles.awatch(
        *(root for root in roots if root.is_dir()),
        debounce=DEBOUNCE_MS,
        step=20,
        watch_filter=lambda _change, path: not any(trees.is_ignored(part, rules) for part in Path(path).parts[-3:]),
        ignore_permission_denied=True,
    ):
        now = {name: await threads.run(_digest, place) for name, place in places.items()}
        touched = {name for name in places if now[name] != known[name]}
        known = now
        if touched:
            yield touched


def _digest(place: Path) -> str:
    if place.is_dir():
        return sources.digest(place)
    return str(hash(place.read_bytes())) if place.is_file() else ""
