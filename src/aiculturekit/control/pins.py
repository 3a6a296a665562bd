"""The images that a cluster runs: built from the code as it is, pushed to the registry that the target names, and pinned by their
digests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiculturekit.control import images
from aiculturekit.control.images import Image, Order
from aiculturekit.deploy.changes import Emit
from aiculturekit.images import references
from aiculturekit.plan import images as plan
from aiculturekit.plan.documents import Document
from aiculturekit.spec.models import Application
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.nodes import RUNNING


async def pinned(
    application: Application,
    documents: Sequence[Document],
    *,
    cluster: Cluster,
    store: Path,
    is_pushed: bool,
    emit: Emit,
) -> tuple[Document, ...]:
    """The documents with the image that each runs. Where nothing is pushed, the images are what they would be. Raises what building
    and pushing raise."""
    if all("image" in document.body for document in documents if document.kind in RUNNING):
        return tuple(documents)
    made = await images.build(
        application.file,
        environment=application.environment,
        order=Order(push=cluster.registry if is_pushed else ""),
        store=store,
        progress=lambda line: emit("progress", _told(line)),
    )
    found = {image.recipe.document: _reference(image, cluster) for image in made}
    return plan.pinned(documents, found)


def _told(line: str) -> Mapping[str, str]:
    """`shop-web: installing …` is of shop-web."""
    name, colon, rest = line.partition(": ")
    return {"workload": name, "message": rest} if colon else {"workload": "", "message": line}


def _reference(image: Image, cluster: Cluster) -> str:
    if image.reference:
        return image.reference
    place = references.parse(f"{cluster.registry}/{image.recipe.name}")
    return str(dataclasses.replace(place, digest=image.top.digest))
