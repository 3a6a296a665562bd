"""A server of MongoDB's protocol for tests (FerretDB, built by Go from its module), and an image of it as an OCI layout."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.images import layouts, platforms, tars
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import CONFIG, MANIFEST
from aiculturekit.images.tars import Entry
from tests.servers import programs


def program() -> Path:
    """Raises Missing."""
    return programs.built("ferretdb")["ferretdb"]


def layout(folder: Path) -> str:
    """Writes the layout, as the project's own image is: the program at the top, and no shell. Answers with the reference to it."""
    store = Store(folder / "store")
    entries = [Entry("ferretdb", "file", program(), True), Entry("tmp", "folder")]
    layer = tars.make(entries, title="server", store=store)
    system, _, architecture = platforms.own().partition("/")
    config = {
        "architecture": architecture,
        "os": system,
        "config": {"Entrypoint": ["/ferretdb"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    described = store.put_document(config, media_type=CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.as_dict(),
        "layers": [layer.descriptor.as_dict()],
    }
    place = folder / "layout"
    layouts.write(place, {"test": store.put_document(manifest, media_type=MANIFEST)}, store=store)
    return f"oci:{place}:test"
