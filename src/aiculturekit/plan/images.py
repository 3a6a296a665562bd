"""Which images an application needs, and the documents with them. Pure.

An image is a directory of code with what it depends on: workloads, migrations and jobs that share the directory share the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiculturekit.plan.documents import Document

_RUNNING = ("workload", "job", "migration")


def directories(app: str, documents: Sequence[Document]) -> dict[str, str]:
    """Directory -> the image's name, for all that is not a ready-made image: `shop-orders`, and `shop-orders-v2` for a version that has
    code of its own."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for document in documents:
        directory = document.body.get("directory", "")
        if document.kind not in _RUNNING or "image" in document.body or directory in found:
            continue
        workload, _, version = document.name.partition("/")
        name = f"{app}-{workload}"
        if name in taken:
            name = f"{name}-{version}" if version else f"{name}-{document.kind}"
        taken.add(name)
        found[directory] = name
    return found


def pinned(documents: Sequence[Document], references: Mapping[str, str]) -> tuple[Document, ...]:
    """The documents with the image that each runs: `references` has it by directory."""
    return tuple(_pinned(document, references) for document in documents)


def _pinned(document: Document, references: Mapping[str, str]) -> Document:
    reference = references.get(document.body.get("directory", ""))
    if document.kind not in _RUNNING or "image" in document.body or reference is None:
        return document
    return Document(document.kind, document.name, {**document.body, "image": reference})
