"""What the code needs as layers: made once for each content of its manifests, interpreter and platform, and found again from then on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiculturekit import threads
from aiculturekit.errors import BuildFailed
from aiculturekit.images import contents, descriptors, nodes, pythons, tars
from aiculturekit.images.bases import Base, Progress
from aiculturekit.images.blobs import Store
from aiculturekit.images.facts import Package
from aiculturekit.images.languages import Code
from aiculturekit.images.tars import Entry, Layer
from aiculturekit.language import say

_VERSION = 1
"""Raised when the same manifests would make another layer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """Layers, lowest first, and the packages in them."""

    layers: tuple[Layer, ...] = ()
    packages: tuple[Package, ...] = ()


Install = Callable[[Path], Awaitable[tuple[Sequence[Entry], Sequence[Package]]]]
"""Installs into an empty folder, and says what of it belongs into a layer."""


async def layers(directory: Path, code: Code, *, base: Base, platform: str, store: Store, progress: Progress) -> Made:
    """Raises BuildFailed with the installer's last lines."""
    if not code.manifests and not (code.language == "python" and base.facts.python):
        return Made()
    traits = [base.facts.python, base.facts.python_version, base.facts.is_musl, platform]
    texts = [[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in code.manifests]
    if code.language == "node":
        modules = nodes.installer(directory, is_musl=base.facts.is_musl, platform=platform, progress=progress)
        return await _once(descriptors.key(_VERSION, "node", texts, traits), "dependencies", modules, store)
    if not base.facts.python:
        raise BuildFailed(
            say("{image} holds no Python", image=base.reference),
            hint=say("name a base that does: base: python:3.12-slim"),
        )
    wheels = pythons.Wheels(
        directory, facts=base.facts, platform=platform, progress=progress, has_manifests=bool(code.manifests)
    )
    made = [await _once(descriptors.key(_VERSION, "python", texts, traits), "dependencies", wheels.dependencies, store)]
    if code.is_project:
        key = descriptors.key(_VERSION, "project", traits, await threads.run(contents.digest, directory))
        made.append(await _once(key, "project", wheels.project, store))
    return Made(
        tuple(one for part in made for one in part.layers), tuple(one for part in made for one in part.packages)
    )


async def _once(key: str, title: str, install: Install, store: Store) -> Made:
    if (note := await threads.run(store.note, "layers", key)) is not None:
        made = Made(tuple(map(tars.layer, note["layers"])), tuple(Package(**one) for one in note["packages"]))
        if all(store.has(one.descriptor) for one in made.layers):
            return made
    with store.scratch() as folder:
        entries, packages = await install(folder)
        found = (await threads.run(tars.make, entries, title=title, store=store),) if entries else ()
    made = Made(found, tuple(packages))
    note = {
        "layers": [one.as_dict() for one in made.layers],
        "packages": [dataclasses.asdict(one) for one in made.packages],
    }
    await threads.run(store.keep, "layers", key, note)
    return made
