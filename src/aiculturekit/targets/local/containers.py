"""A document that names an image -> the container that the engine runs, with the folders that its needs give it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from aiculturekit import shells, threads
from aiculturekit.engine.environments import Environment
from aiculturekit.engine.workloads import Container, Mount
from aiculturekit.errors import Mistake
from aiculturekit.images import roots, runnables, users
from aiculturekit.images.blobs import Store
from aiculturekit.images.runnables import Runnable
from aiculturekit.images.users import User
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources.servers import Ground, Launch
from aiculturekit.targets.local import data


async def prepare(
    document: Document, *, home: Path, mounts: Sequence[Mount], tell: Callable[[str], None]
) -> tuple[Environment, Container]:
    """Raises what finding, fetching and unpacking an image raises, each with what to do next."""
    places = [str(one.place) for one in mounts]
    found = await runnables.prepare(
        reference(document.body["image"], document.body["directory"]), folder=_store(home), places=places, progress=tell
    )
    for one in mounts:
        if not one.is_read_only:
            await threads.run(_give, one.place, found.user)
    return Environment(found.variables, digest=found.digest), _container(document, found, mounts)


async def served(image: str, ground: Ground, *, home: Path, tell: Callable[[str], None]) -> Runnable:
    """The image of a resource's server, ready to see the resource's data. Raises what finding, fetching and unpacking an image raises."""
    return await runnables.prepare(image, folder=_store(home), places=[str(_data(ground))], progress=tell)


def server(ground: Ground, launch: Launch) -> Container:
    """The container of a resource's server: as the user who runs servers and owns the data, which is all of the machine that it sees."""
    uid = users.NOBODY if ground.uid is None else ground.uid
    return Container(
        root=ground.programs,
        arguments=launch.arguments,
        user=uid,
        group=uid,
        mounts=(Mount(_data(ground)), *map(Mount, launch.folders)),
    )


def _data(ground: Ground) -> Path:
    return ground.folder / "data"


def inherited(environment: Environment) -> dict[str, str]:
    """Nothing of this machine's: what is not said is the image's own."""
    return {"PATH": environment.variables["PATH"]}


def mounts(
    app: str, document: Document, *, documents: Mapping[tuple[str, str], Document], home: Path
) -> tuple[Mount, ...]:
    """The folders of the files that it needs, under the paths that their URLs have."""
    needed = [
        (need, documents.get(("resource", need["name"])))
        for need in document.body["needs"]
        if need["kind"] == "resources"
    ]
    return tuple(
        Mount(home / "data" / app / resource.name, is_read_only=need["verb"] == "read")
        for need, resource in needed
        if resource is not None and resource.body["type"] in data.TYPES
    )


def prune(home: Path, *, keep: Collection[Path]) -> None:
    """Unpacked images that nothing runs are removed; what they were unpacked from stays. Blocks."""
    roots.prune(Store(_store(home)), keep=keep)


def _store(home: Path) -> Path:
    return home / "images"


def reference(text: str, directory: str) -> str:
    """A layout's directory is relative to this one."""
    return f"oci:{Path(directory) / text.removeprefix('oci:')}" if text.startswith("oci:") else text


def _container(document: Document, found: Runnable, mounts: Sequence[Mount]) -> Container:
    said = document.body.get("run")
    arguments = ("/bin/sh", "-c", shells.command(said)) if said else found.arguments
    if not arguments:
        raise Mistake(
            say("{image} does not say what it runs", image=document.body["image"]),
            hint=say("build it with a command: CMD in a Dockerfile, or `aic build`"),
        )
    return Container(
        root=found.root,
        arguments=arguments,
        directory=found.directory,
        user=found.user.uid,
        group=found.user.gid,
        groups=found.user.groups,
        mounts=tuple(mounts),
        stop=found.stop,
    )


def _give(folder: Path, user: User) -> None:
    """Who runs in the container may write what its needs give it; root, as whom the platform's own processes run, may anyway. By open
    folders and not by paths: an earlier container still writes there, and a folder that it makes a link of would lead out of it."""
    for _, folders, files, opened in os.fwalk(folder.resolve(), follow_symlinks=False):
        os.chown(opened, user.uid, user.gid)
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):  # it may also remove
                os.chown(name, user.uid, user.gid, dir_fd=opened, follow_symlinks=False)
