"""The difference between what is wanted and what is observed, as frozen steps in the order of their performance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Literal

from aiculturekit.errors import Protected
from aiculturekit.language import say
from aiculturekit.plan.documents import DRIFT, RANKS, Document

Action = Literal["create", "update", "delete"]
_OPENED = ("traffic", "access")
"""Keys of a document whose own keys are worth naming."""
_SECTIONS = {"resource": "resources", "traffic": "resources", "job": "jobs", "ingress": "services"}


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Create, update or delete one document. `before` is what it replaces; for a deletion `document` is what goes."""

    action: Action
    document: Document
    before: Document | None = None
    why: str = ""

    @property
    def path(self) -> str:
        """The key path in the application file that this step comes from."""
        kind, name = self.document.key
        if kind == "ingress":
            return f"services.{self.document.body.get('service', '')}.public"
        return f"{_SECTIONS.get(kind, 'services')}.{name.partition('/')[0]}"

    def as_dict(self) -> dict[str, Any]:
        """As plans and the journal keep it; the document itself is kept beside it."""
        return {
            "action": self.action,
            "kind": self.document.kind,
            "name": self.document.name,
            "why": self.why,
            "path": self.path,
        }


def diff(desired: Iterable[Document], observed: Iterable[Document]) -> tuple[Step, ...]:
    """Steps that turn `observed` into `desired`: creations and updates by rank, then deletions in the opposite order.

    Widening comes first and narrowing last, so that nothing loses its way in between. Raises Protected, before any step is
    made, where a protected document would go or would have to be replaced.
    """
    wanted, there = _by_key(desired), _by_key(observed)
    gone = [document for key, document in there.items() if key not in wanted]
    _refuse_losses(
        gone, replaced=[there[key] for key in wanted if key in there and _is_replaced(there[key], wanted[key])]
    )
    made = [step for document in wanted.values() if (step := _step(document, there.get(document.key)))]
    deleted = [Step("delete", document, why=say("no longer in the file")) for document in gone]
    return (
        *sorted(made, key=lambda step: RANKS[step.document.kind]),
        *sorted(deleted, key=lambda step: -RANKS[step.document.kind]),
    )


def waves(steps: Iterable[Step]) -> list[tuple[Step, ...]]:
    """The steps in groups; the steps of one group do not depend on each other and may be performed at once."""
    grouped = groupby(steps, key=lambda step: (step.action == "delete", RANKS[step.document.kind]))
    return [tuple(group) for _, group in grouped]


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The keys that differ; of what is a mapping on both sides, the keys in it (`traffic.timeout`)."""
    found: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if key in _OPENED and isinstance(one, Mapping) and isinstance(other, Mapping):
            found += [f"{key}.{inner}" for inner in changed_keys(one, other)]
        elif one != other:
            found.append(key)
    return found


def _by_key(documents: Iterable[Document]) -> dict[tuple[str, str], Document]:
    return {document.key: document for document in documents}


def _step(document: Document, before: Document | None) -> Step | None:
    if before is None:
        return Step("create", document, why=say("new"))
    if document.digest == before.digest:
        return None
    return Step("update", document, before=before, why=_why(before.body, document.body))


def _why(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if DRIFT in before:
        return say("not as it was left: {why}", why=before[DRIFT])
    keys = changed_keys(before, after)
    if keys == ["source"]:
        return say("its code changed")
    return say("changed: {keys}", keys=", ".join(keys))


def _is_replaced(before: Document, after: Document) -> bool:
    return before.kind == "resource" and before.body.get("type") != after.body.get("type")


def _refuse_losses(gone: list[Document], *, replaced: list[Document]) -> None:
    lost = sorted(document.name for document in [*gone, *replaced] if document.body.get("protected"))
    if lost:
        raise Protected(
            say(
                "protected: {names} would be deleted; nothing was touched",
                names=", ".join(f"resources/{name}" for name in lost),
            ),
            hint=say(
                "put it back into the file; to give it up, first remove it from `protect:` and run `aic up`, then delete it"
            ),
        )
