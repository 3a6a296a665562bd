"""An image made ready to run on this machine: found, fetched, unpacked, and read for what it runs."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import BuildFailed, Mistake, Unreachable
from aiculturekit.images import bases, descriptors, engines, platforms, references, roots, users
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import Descriptor
from aiculturekit.images.users import User
from aiculturekit.language import say

Progress = Callable[[str], None]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True, slots=True)
class Runnable:
    """`arguments` is what the image runs, empty where it says nothing; `directory` a path in `root`."""

    digest: str
    root: Path
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    directory: str
    user: User
    stop: int = signal.SIGTERM


async def prepare(
    text: str, *, folder: Path, places: Collection[str] = (), mirrors: str | None = None, progress: Progress
) -> Runnable:
    """The image that `text` names, from its registry or, where that is out of reach, as it was last; `places` are folders that something
    will be mounted on. Raises Mistake, Refused, Unreachable, Failed or HostTrouble."""
    store = Store(folder)
    manifest = await _found(text, store, mirrors, progress)
    await threads.run(_check, text, manifest, store)
    try:
        root = await roots.unpacked(manifest, store=store, places=places)
    except BuildFailed as error:
        raise BuildFailed(
            say("{image} can't be run: {error}", image=text, error=error.message),
            hint=error.hint or say("it was not made as images are made: build it anew, or take another one"),
        ) from error
    return await threads.run(_read, manifest, root, store)


async def _found(text: str, store: Store, mirrors: str | None, progress: Progress) -> Descriptor:
    """What a digest names is there for good; what a tag means is asked each time."""
    reference = None if text.startswith(engines.SCHEME) else references.parse(text)
    name = descriptors.key(str(reference or text), platforms.own())
    known = await threads.run(store.note, "running", name)
    last = descriptors.described(known["manifest"]) if known else None
    is_whole = last is not None and await threads.run(_is_whole, last, store)
    if last and is_whole and reference and reference.digest:
        return last
    try:
        if reference is None:
            found = await engines.fetched(text, store=store, progress=progress)
        else:
            found = await bases.fetched(reference, platforms.own(), store, mirrors, progress)
    except Unreachable:
        if last is None or not is_whole:
            raise
        progress(say("its registry is out of reach: taking {image} as it was last", image=reference or text))
        return last
    await threads.run(store.keep, "running", name, {"manifest": found.as_dict()})
    return found


def _is_whole(manifest: Descriptor, store: Store) -> bool:
    if not store.has(manifest):
        return False
    document = store.document(manifest.digest)
    return all(store.has(descriptors.described(one)) for one in (document["config"], *document["layers"]))


def _check(text: str, manifest: Descriptor, store: Store) -> None:
    config = store.document(store.document(manifest.digest)["config"]["digest"])
    found = f"{config.get('os')}/{config.get('architecture')}"
    if found != platforms.own():
        raise Mistake(
            say("{image} is for {found}, not for {platform}", image=text, found=found, platform=platforms.own()),
            hint=say("build it for this machine too: --platform {platform}", platform=platforms.own()),
        )


def _read(manifest: Descriptor, root: Path, store: Store) -> Runnable:
    document = store.document(manifest.digest)
    config: dict[str, Any] = store.document(document["config"]["digest"]).get("config") or {}
    user = users.find(config.get("User") or "", root=root)
    said = dict(text.partition("=")[::2] for text in config.get("Env") or ())
    return Runnable(
        digest=manifest.digest,
        root=root,
        arguments=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        variables={"PATH": _PATH, "HOME": user.home, **said},
        directory=os.path.normpath(PurePosixPath("/", config.get("WorkingDir") or "/")),
        user=user,
        stop=_signal(config.get("StopSignal") or "SIGTERM"),
    )


def _signal(text: str) -> int:
    """`SIGQUIT`, `QUIT` or `3`. Raises Mistake."""
    known = {one.name: one.value for one in signal.Signals}
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    number = int(text) if text.isdecimal() else known.get(name)
    if number is None or number not in known.values():
        raise Mistake(say("the image asks to be stopped by {signal}, which is no signal", signal=repr(text[:60])))
    return number
