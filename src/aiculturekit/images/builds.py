"""From a recipe to an image in the store.

detect    the code's language and its manifests                    languages
find      the base: known, or fetched and looked into              bases
note      the same recipe, code and base before? then that is it
install   what the code needs, once for each content               dependencies
pack      the code itself                                          contents, tars
write     configuration, manifest, what is attached to it          configs, bills, provenances

Nothing leaves the store: `registries` and `layouts` do that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiculturekit import __version__, threads
from aiculturekit.errors import BuildFailed, HostTrouble, UsageError
from aiculturekit.images import (
    bases,
    bills,
    commands,
    configs,
    contents,
    dependencies,
    descriptors,
    languages,
    platforms,
    provenances,
    revisions,
    tars,
)
from aiculturekit.images.bases import Base, Progress
from aiculturekit.images.blobs import Store
from aiculturekit.images.dependencies import Made
from aiculturekit.images.descriptors import CONFIG, EMPTY, MANIFEST, Descriptor
from aiculturekit.images.languages import Code
from aiculturekit.images.tars import Entry, Layer
from aiculturekit.language import say

PORT = 8080


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """One image to make. `run` is the workload's command in `directory`, which listens on `port` (None: on nothing); `base` names an image,
    the language's usual one when empty; `health` is the probe in the engine's words; `platform` this machine's when empty. `document` is
    the kind and name of what it is made for."""

    name: str
    directory: Path
    run: str
    port: int | None = PORT
    base: str = ""
    health: Mapping[str, Any] | None = dataclasses.field(default=None, hash=False)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    platform: str = ""
    document: tuple[str, str] = ("workload", "")

    def asked(self) -> dict[str, Any]:
        """What decides about the image, but for the code itself. Where that stands on this machine does not matter."""
        return {
            "name": self.name,
            "run": self.run,
            "port": self.port,
            "base": self.base,
            "health": dict(self.health) if self.health else None,
            "labels": dict(self.labels),
            "platform": self.platform or platforms.own(),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """One image in the store. `digest` is its manifest's; `size` the bytes of all that a machine fetches to run it; `attached` the
    manifests of what hangs on it (bill of materials, provenance), each with its artifact type."""

    recipe: Recipe
    digest: str
    layers: tuple[Layer, ...]
    config: Descriptor
    size: int
    manifest: Descriptor
    attached: tuple[tuple[str, Descriptor], ...] = ()


def _silent(_: str) -> None:
    pass


async def build(
    recipe: Recipe, *, store: Path, is_fresh: bool = False, mirrors: str | None = None, progress: Progress = _silent
) -> Built:
    """The image of this recipe. `is_fresh` asks the base's registry what its tag means now. Raises BuildFailed, HostTrouble, Mistake,
    Refused, Unreachable or Failed."""
    room, recipe = (
        Store(store),
        dataclasses.replace(recipe, platform=platforms.checked(recipe.platform or platforms.own())),
    )
    epoch = _epoch(os.environ.get("SOURCE_DATE_EPOCH", ""))
    try:
        code = await threads.run(languages.detect, recipe.directory, run=recipe.run)
        base = await bases.find(
            recipe.base or _usual(recipe, code),
            platform=recipe.platform,
            store=room,
            is_fresh=is_fresh,
            mirrors=mirrors,
            progress=progress,
        )
        found = await threads.run(revisions.labels, recipe.directory)
        recipe = dataclasses.replace(recipe, labels={**found, **recipe.labels})
        files = await threads.run(_files, recipe.directory, code)
        key = descriptors.key(__version__, recipe.asked(), base.digest, files, epoch)
        if (known := await threads.run(_known, key, recipe, room)) is not None:
            return known
        await threads.run(room.tidy)
        made = await dependencies.layers(
            recipe.directory, code, base=base, platform=recipe.platform, store=room, progress=progress
        )
        return await threads.run(_assembled, key, recipe, code, base, made, files, epoch, room)
    except OSError as error:
        raise HostTrouble(
            say("the image of {name} can't be made: {error}", name=recipe.name, error=error),
            hint=say("free some space, or mend the permissions; `aic doctor` checks both"),
        ) from error


def _usual(recipe: Recipe, code: Code) -> str:
    if found := languages.BASES.get(code.language):
        return found
    raise BuildFailed(
        say("nothing in {directory} says what {name} is written in", directory=recipe.directory, name=recipe.name),
        hint=say("name an image to build on: base: debian:12-slim"),
    )


def _epoch(text: str) -> int:
    """Seconds since 1970 by the reproducible builds' convention. Raises UsageError."""
    if text and not text.isdecimal():
        raise UsageError(
            say("SOURCE_DATE_EPOCH: {text} is no number of seconds", text=repr(text[:40])),
            hint=say("write it like 1700000000"),
        )
    return int(text or 0)


def _files(directory: Path, code: Code) -> dict[str, str]:
    """The SHA-256 of the code, and of what decides about its dependencies."""
    manifests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in code.manifests}
    return {**manifests, "code": contents.digest(directory)}


def _known(key: str, recipe: Recipe, store: Store) -> Built | None:
    """What was made of the same before; None when a blob of it is gone."""
    note = store.note("builds", key)
    if note is None:
        return None
    attached = tuple((kind, descriptors.described(one)) for kind, one in note["attached"])
    manifest, config = descriptors.described(note["manifest"]), descriptors.described(note["config"])
    layers = tuple(map(tars.layer, note["layers"]))
    blobs = [manifest, config, *(one.descriptor for one in layers), *(one for _, one in attached)]
    return (
        Built(recipe, manifest.digest, layers, config, note["size"], manifest, attached)
        if all(map(store.has, blobs))
        else None
    )


def _assembled(
    key: str, recipe: Recipe, code: Code, base: Base, made: Made, files: Mapping[str, str], epoch: int, store: Store
) -> Built:
    entries = [Entry("app", "folder"), *contents.entries(recipe.directory, under="app")]
    own = (*made.layers, tars.make(entries, title="code", store=store))
    config = store.put_document(_config(recipe, code, base, own, epoch), media_type=CONFIG)
    manifest = store.put_document(configs.manifest(config, own, base=base), media_type=MANIFEST)
    attached = _attached(recipe, base, made, manifest, files, epoch, store)
    layers = (*base.layers, *own)
    size = sum({one.descriptor.digest: one.descriptor.size for one in layers}.values()) + config.size + manifest.size
    built = Built(recipe, manifest.digest, layers, config, size, manifest, attached)
    store.keep("builds", key, _note(built))
    return built


def _config(recipe: Recipe, code: Code, base: Base, own: tuple[Layer, ...], epoch: int) -> dict[str, Any]:
    created = {
        "org.opencontainers.image.created": descriptors.moment(epoch),
        "org.opencontainers.image.title": recipe.name,
    }
    return configs.config(
        base,
        own,
        command=commands.words(recipe.run, facts=base.facts, port=recipe.port),
        variables=configs.environment(base.config, language=code.language, port=recipe.port, facts=base.facts),
        port=recipe.port,
        health=commands.healthcheck(recipe.health, language=code.language, facts=base.facts),
        labels={**created, **recipe.labels},
        epoch=epoch,
    )


def _attached(
    recipe: Recipe, base: Base, made: Made, subject: Descriptor, files: Mapping[str, str], epoch: int, store: Store
) -> tuple[tuple[str, Descriptor], ...]:
    packages = (*base.facts.packages, *made.packages)
    documents = {
        bills.MEDIA_TYPE: bills.document(
            recipe.name, subject=subject, packages=packages, system=base.facts.system, epoch=epoch
        ),
        provenances.MEDIA_TYPE: provenances.statement(
            recipe.name,
            subject=subject,
            asked=recipe.asked(),
            base=("oci:" if base.is_layout else base.reference, base.digest),
            files=files,
            labels=recipe.labels,
        ),
    }
    empty = store.put(b"{}", media_type=EMPTY)
    found = []
    for kind, document in documents.items():
        content = store.put_document(document, media_type=kind)
        manifest = configs.attachment(content, subject=subject, empty=empty)
        found.append((kind, store.put_document(manifest, media_type=MANIFEST)))
    return tuple(found)


def _note(built: Built) -> dict[str, Any]:
    return {
        "manifest": built.manifest.as_dict(),
        "config": built.config.as_dict(),
        "layers": [one.as_dict() for one in built.layers],
        "size": built.size,
        "attached": [[kind, one.as_dict()] for kind, one in built.attached],
    }
