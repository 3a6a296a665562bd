"""Documents: the plain records that a plan is about. A document is created, updated or deleted as a whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

RANKS = {
    "resource": 0,
    "server": 1,
    "access": 1,
    "migration": 2,
    "workload": 3,
    "route": 4,
    "traffic": 4,
    "ingress": 5,
    "job": 6,
}
"""kind -> the wave it is created in (lower first); deletions run in the opposite order."""

DRIFT = "drift"
"""The key that a target adds to the body of an observed document which is not as it was left: why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """One thing that a target can make: `kind` is a key of RANKS, `name` is unique within kind and application, `body` is plain JSON."""

    kind: str
    name: str
    body: Mapping[str, Any] = dataclasses.field(hash=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the body, first 16 hex digits."""
        text = json.dumps(self.body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "body": dict(self.body)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Document:
        return cls(kind=record["kind"], name=record["name"], body=record["body"])


def undrifted(document: Document) -> Document:
    """As it was asked for."""
    return Document(document.kind, document.name, {key: value for key, value in document.body.items() if key != DRIFT})
