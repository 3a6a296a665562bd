"""The documents with the image that each of their processes runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiculturekit.plan.documents import Document

Key = tuple[str, str]


def pinned(documents: Sequence[Document], references: Mapping[Key, str]) -> tuple[Document, ...]:
    """`references` has the image of each workload and job that was built, by its document's key, and that knows its command; the others
    name a ready one. A migration runs in its service's image, with a command of its own: that of the version with the same code, else
    that of the first."""
    found = {document.key: _with(document, references.get(document.key)) for document in documents}
    return tuple(
        _with(document, _of_service(document, tuple(found.values()))) if document.kind == "migration" else document
        for document in found.values()
    )


def _with(document: Document, reference: str | None) -> Document:
    if reference is None or "image" in document.body:
        return document
    kept = {key: value for key, value in document.body.items() if key != "run" or document.kind == "migration"}
    return Document(document.kind, document.name, {**kept, "image": reference})


def _of_service(migration: Document, documents: Sequence[Document]) -> str | None:
    versions = [
        one.body
        for one in documents
        if one.kind == "workload" and one.name.partition("/")[0] == migration.name and "image" in one.body
    ]
    same = [body for body in versions if body["directory"] == migration.body["directory"]]
    return next((str(body["image"]) for body in (*same, *versions)), None)
