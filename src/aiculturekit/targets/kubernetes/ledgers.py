"""What of an application is in force in a cluster, written down in the cluster itself: any machine that deploys there sees the same.

A Secret (`aic-APP`), since what the file says may hold secrets: the documents in force, those that a step has begun to change, and
each object
with what it was made from. When it is large, it lies in further Secrets that the first one names; they are written before it and go
after it. Whoever writes names the version that he read, so that one who lost his lock cannot write over the next.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aiculturekit.errors import Busy, Failed
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes.answers import Conflicted
from aiculturekit.targets.kubernetes.clients import Client

KIND = "aiculturekit.dev/ledger"
FORMAT = 1
_PART = 700_000
"""Bytes of one Secret: etcd takes a million and a half in all."""
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
    """Raises Failed for what is no ledger: taken for an empty one, all that is there would be made again, or forgotten."""
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


class Shelf:
    """Where an application's ledger lies. One writer at a time: the one who read it last."""

    def __init__(self, client: Client, *, app: str, namespace: str, labels: Mapping[str, str]) -> None:
        self._client, self._name, self._namespace = client, f"aic-{app}", namespace
        self._labels = dict(labels)
        self._version, self._parts = "", ()  # type: tuple[str, tuple[str, ...]]
        self._written = b""

    async def load(self) -> Ledger:
        """An empty one where there is none yet."""
        head = await self._client.get("v1", "Secret", self._name, namespace=self._namespace)
        if head is None:
            self._version, self._parts, self._written = "", (), b""
            return Ledger()
        self._version = head["metadata"]["resourceVersion"]
        self._parts = _parts(head)
        data = [_data(head)]
        for name in self._parts:
            part = await self._client.get("v1", "Secret", name, namespace=self._namespace)
            data.append(_data(part or {}))
        self._written = b"".join(data)
        return read(self._written)

    async def save(self, ledger: Ledger) -> None:
        """Nothing is sent where it says the same. Raises Busy where another one wrote since it was read."""
        data = ledger.written()
        if data == self._written and self._version:
            return
        pieces = [data[at : at + _PART] for at in range(0, max(1, len(data)), _PART)]
        mark = hashlib.sha256(data).hexdigest()[:10]
        names = tuple(f"{self._name}-{mark}-{at}" for at in range(1, len(pieces)))
        for name, piece in zip(names, pieces[1:], strict=True):
            await self._client.apply(self._secret(name, piece), is_forced=True)
        await self._put(self._secret(self._name, pieces[0], names), mark)
        gone, self._parts, self._written = set(self._parts) - set(names), names, data
        for name in gone:
            await self._client.delete("v1", "Secret", name, namespace=self._namespace)

    async def remove(self) -> None:
        """The last of an application."""
        for name in (*self._parts, self._name):
            await self._client.delete("v1", "Secret", name, namespace=self._namespace)
        self._version, self._parts, self._written = "", (), b""

    async def _put(self, secret: dict[str, Any], mark: str) -> None:
        secret["metadata"]["annotations"]["aiculturekit.dev/mark"] = mark
        try:
            if self._version:
                secret["metadata"]["resourceVersion"] = self._version
                answer = await self._client.replace(secret)
            else:
                answer = await self._client.create(secret)
        except Conflicted:
            answer = await self._is_mine(mark)
        self._version = answer["metadata"]["resourceVersion"]

    async def _is_mine(self, mark: str) -> dict[str, Any]:
        """The answer to a write that went well may have been lost on the way: then what is there is what was to be written."""
        found = await self._client.get("v1", "Secret", self._name, namespace=self._namespace)
        if found and found["metadata"].get("annotations", {}).get("aiculturekit.dev/mark") == mark:
            return found
        raise Busy(
            say("somebody else deploys {app} there at this moment", app=self._name.removeprefix("aic-")),
            hint=say("wait for it to end, then try again"),
        )

    def _secret(self, name: str, data: bytes, parts: tuple[str, ...] = ()) -> dict[str, Any]:
        annotations = {"aiculturekit.dev/parts": " ".join(parts)}
        metadata = {"name": name, "namespace": self._namespace, "labels": self._labels, "annotations": annotations}
        body = {"ledger": base64.b64encode(data).decode()}
        return {"apiVersion": "v1", "kind": "Secret", "type": KIND, "metadata": metadata, "data": body}


def _parts(head: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(head["metadata"].get("annotations", {}).get("aiculturekit.dev/parts", "").split())


def _data(secret: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(secret.get("data", {}).get("ledger", ""), validate=True)
    except binascii.Error:
        return b""
