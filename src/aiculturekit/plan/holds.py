"""What was set at run time and stays set: a shifted weight, a scaled replica count.

A hold outlives `aic up` for as long as the file's own value is the one it was set over; when the file says something new, the
file wins. The value that the hold was set over travels with it, so that this needs no memory but the document itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from aiculturekit.plan.documents import Document

_HELD = {"route": "weights", "workload": "scale"}


def hold(document: Document, *, value: Any) -> Document:
    """The document with its weights (route) or scale (workload) set to `value` until the file says otherwise."""
    key = _HELD[document.kind]
    declared = document.body.get("declared", document.body[key])
    body = {**document.body, key: value, "declared": declared}
    if value == declared:
        del body["declared"]
    return dataclasses.replace(document, body=body)


def carry(desired: Iterable[Document], *, observed: Iterable[Document]) -> tuple[Document, ...]:
    """`desired` with the holds of `observed` that still hold."""
    held = {d.key: d for d in observed if d.kind in _HELD and "declared" in d.body}
    return tuple(_carried(document, held.get(document.key)) for document in desired)


def _carried(document: Document, observed: Document | None) -> Document:
    if observed is None:
        return document
    key = _HELD[document.kind]
    still = observed.body["declared"] == document.body[key]
    return hold(document, value=observed.body[key]) if still else document
