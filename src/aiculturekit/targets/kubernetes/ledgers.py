"""What of an application is in force in a cluster, written down in the cluster itself: any machine that deploys there sees the same.

The documents in force, those that a step has begun to change, and each object with what it was made from. Pure.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Mapping
from typing import Any

from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.plan.documents import Document

FORMAT = 1
Key = tuple[str, str]
Place = tuple[str, str, str, str]
"""API group, kind, namespace, name."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One object that we applied: the document that it is there for, a digest of what was asked for, a digest of the fields that were ours
    afterwards. `is_data`: it stays when its document goes. `is_over`: a Job that has ended well."""

    key: Key
    api: str
    wanted: str
    owned: str = ""
    is_data: bool = False
    is_over: bool = False


@dataclasses.dataclass(slots=True)
class Ledger:
    """`begun` are the documents that a step has begun to change: what is there of them may be anything. `ran` are the Jobs of
    migrations that ended well."""

    documents: dict[Key, Document] = dataclasses.field(default_factory=dict)
    begun: dict[Key, Document] = dataclasses.field(default_factory=dict)
    objects: dict[Place, Record] = dataclasses.field(default_factory=dict)
    environment: str = ""
    ran: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.documents or self.begun or self.objects)

    def written(self) -> bytes:
        value = {
            "format": FORMAT,
            "environment": self.environment,
            "ran": self.ran,
            "documents": [document.as_dict() for document in self.documents.values()],
            "begun": [document.as_dict() for document in self.begun.values()],
            "objects": [[*place, dataclasses.asdict(record)] for place, record in sorted(self.objects.items())],
        }
        return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0)


def read(data: bytes) -> Ledger:
    """An empty one where nothing was written. Raises Failed for what is no ledger: taken for an empty one, all that is there would be made
    again, or forgotten."""
    if not data:
        return Ledger()
    try:
        value = json.loads(gzip.decompress(data))
        if value["format"] != FORMAT:
            raise ValueError(say("format {format}", format=value["format"]))
        documents = [Document.from_dict(one) for one in value["documents"]]
        begun = [Document.from_dict(one) for one in value["begun"]]
        objects = {(a, b, c, d): _record(body) for a, b, c, d, body in value["objects"]}
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise Failed(
            say("what the cluster keeps of the application can't be read: {error}", error=str(error)),
            hint=say(
                "a newer version of aic may have written it; else remove the Secret, and deploy again with --force-conflicts"
            ),
        ) from None
    return Ledger(
        {one.key: one for one in documents},
        {one.key: one for one in begun},
        objects,
        value["environment"],
        value["ran"],
    )


def _record(body: Mapping[str, Any]) -> Record:
    return Record(**{**body, "key": tuple(body["key"])})
