"""One name for the images of several platforms. Pure but for the store."""

from __future__ import annotations

from collections.abc import Sequence

from aiculturekit.images.blobs import Store
from aiculturekit.images.builds import Built
from aiculturekit.images.descriptors import INDEX, Descriptor


def join(parts: Sequence[Built], *, store: Store) -> Descriptor:
    """The index of these, in the order of their platforms. Blocks."""
    ordered = sorted(parts, key=lambda built: built.recipe.platform)
    listed = [{**built.manifest.as_dict(), "platform": _platform(built)} for built in ordered]
    return store.put_document({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, media_type=INDEX)


def _platform(built: Built) -> dict[str, str]:
    system, _, architecture = built.recipe.platform.partition("/")
    return {"os": system, "architecture": architecture}
