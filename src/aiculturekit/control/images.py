"""Building an application's images and sending them where they are wanted. Needs no daemon; writes into the store and what is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control.recipes import recipes
from aiculturekit.errors import HostTrouble, Mistake, NotFound, Problem, Unsupported
from aiculturekit.images import bills, builds, descriptors, indexes, layouts, platforms, provenances, registries
from aiculturekit.images.blobs import Store
from aiculturekit.images.builds import Built, Recipe
from aiculturekit.images.descriptors import Descriptor
from aiculturekit.language import say
from aiculturekit.spec import load
from aiculturekit.spec.models import Application

Progress = Callable[[str], None]
_SUFFIXES = {bills.MEDIA_TYPE: "spdx.json", provenances.MEDIA_TYPE: "provenance.json"}


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. `only`: these images; empty is all. `push` is a registry with a path, under which each image has its name;
    `output` a folder, or a file that ends in .tar. `platforms` is this machine's when empty, `mirrors` the environment's when None."""

    only: tuple[str, ...] = ()
    push: str = ""
    tag: str = ""
    output: Path | None = None
    platforms: tuple[str, ...] = ()
    is_fresh: bool = False
    mirrors: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """One workload's image: the same for each platform that was asked for. `top` is what its name leads to."""

    recipe: Recipe
    parts: tuple[Built, ...]
    top: Descriptor
    reference: str = ""

    def as_dict(self) -> dict[str, Any]:
        kind, name = self.recipe.document
        return {
            "name": self.recipe.name,
            "kind": kind,
            "workload": name,
            "digest": self.top.digest,
            "reference": self.reference or None,
            "platforms": [built.recipe.platform for built in self.parts],
            "size_bytes": sum(built.size for built in self.parts),
            "layers": [
                {"digest": one.descriptor.digest, "size_bytes": one.descriptor.size, "holds": one.title}
                for built in self.parts
                for one in built.layers
            ],
        }


async def build(file: Path, *, environment: str | None, order: Order, store: Path, progress: Progress) -> list[Image]:
    """The images of the file's workloads, built, written and pushed as ordered. Raises SpecError, Unsupported, Mistake, BuildFailed,
    Refused, Unreachable, Failed or HostTrouble."""
    application = await threads.run(load.load, file, environment=environment)
    if problems := _unbuildable(application):
        raise Unsupported(problems)
    ready = [await made(recipe, order, store=store, progress=progress) for recipe in _wanted(application, order)]
    if order.output is not None:
        await threads.run(_write, order.output, ready, Store(store))
    if not order.push:
        return ready
    return [await pushed(image, order, store=store, progress=progress) for image in ready]


def _unbuildable(application: Application) -> list[Problem]:
    """A Dockerfile's steps run things, which needs a container: that is other tools' work."""
    found = []
    for name, service in application.services.items():
        if service.build:
            path = f"services.{name}.build"
            line, column = application.place(path)
            message = say("`build:` runs a Dockerfile, which `aic build` does not")
            hint = say(
                "write source:, run: and base: instead, or build it with another tool and name it: image: REFERENCE"
            )
            found.append(Problem(path, message, hint, file=str(application.file), line=line, column=column))
    return found


def _wanted(application: Application, order: Order) -> Sequence[Recipe]:
    """Raises NotFound."""
    known = recipes(application)
    if unknown := [name for name in order.only if not any(_is_meant(name, one) for one in known)]:
        raise NotFound(
            say("{app} has no image {name}", app=application.app, name=repr(unknown[0])),
            hint=say("there is {known}", known=", ".join(one.name for one in known) or "-"),
        )
    return [one for one in known if not order.only or any(_is_meant(name, one) for name in order.only)]


def _is_meant(name: str, recipe: Recipe) -> bool:
    """By the image's name, the workload's, or the service's for all of its versions."""
    workload = recipe.document[1]
    return name in (recipe.name, workload, workload.partition("/")[0])


async def made(recipe: Recipe, order: Order, *, store: Path, progress: Progress) -> Image:
    """The image for each of the platforms that are asked for. Raises what `builds.build` raises."""

    def told(line: str) -> None:
        progress(f"{recipe.name}: {line}")

    chosen = dict.fromkeys(map(platforms.checked, order.platforms or (platforms.own(),)))
    parts = [
        await builds.build(
            dataclasses.replace(recipe, platform=platform),
            store=store,
            is_fresh=order.is_fresh,
            mirrors=order.mirrors,
            progress=told,
        )
        for platform in chosen
    ]
    top = parts[0].manifest if len(parts) == 1 else await threads.run(indexes.join, parts, store=Store(store))
    return Image(recipe, tuple(parts), top)


async def pushed(image: Image, order: Order, *, store: Path, progress: Progress) -> Image:
    """The same, with its reference in the registry that the order names."""
    place = f"{order.push.rstrip('/')}/{image.recipe.name}" + (f":{order.tag}" if order.tag else "")
    progress(say("{name}: pushing to {place}", name=image.recipe.name, place=place))
    if len(image.parts) == 1:
        reference = await registries.push(image.parts[0], store=store, to=place)
    else:
        reference = await registries.push_index(image.top, image.parts, store=store, to=place)
    return dataclasses.replace(image, reference=reference)


def _write(output: Path, images: Sequence[Image], store: Store) -> None:
    """The images, and beside them what each consists of and how it was made, as plain files."""
    if output.suffix == ".tar":
        if several := [image.recipe.name for image in images if len(image.parts) > 1]:
            raise Mistake(
                say("an archive for `docker load` holds one platform; {name} has several", name=several[0]),
                hint=say("name a folder instead: -o DIRECTORY"),
            )
        layouts.archive(output, {f"{image.recipe.name}:latest": image.top for image in images}, store=store)
        _beside(output.with_suffix(".attached"), images, store)
        return
    beside = [
        {**manifest.as_dict(), "artifactType": kind}
        for image in images
        for built in image.parts
        for kind, manifest in built.attached
    ]
    layouts.write(output, {image.recipe.name: image.top for image in images}, store=store, beside=beside)
    _beside(output / "attached", images, store)


def _beside(folder: Path, images: Sequence[Image], store: Store) -> None:
    files = {
        name: text for image in images for built in image.parts for name, text in _attached(image, built, store).items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise HostTrouble(
            say("{folder} can't be written: {error}", folder=folder, error=error.strerror or str(error)),
            hint=say("name another directory: -o DIRECTORY"),
        ) from error


def _attached(image: Image, built: Built, store: Store) -> Mapping[str, str]:
    more = "" if len(image.parts) == 1 else f".{built.recipe.platform.replace('/', '-')}"
    found = {}
    for kind, manifest in built.attached:
        content = descriptors.described(store.document(manifest.digest)["layers"][0])
        text = json.dumps(store.document(content.digest), indent=1, ensure_ascii=False)
        found[f"{built.recipe.name}{more}.{_SUFFIXES[kind]}"] = text + "\n"
    return found
