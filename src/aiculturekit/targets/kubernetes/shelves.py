"""Bytes that are kept in a cluster, in a Secret, since what an application file says may hold secrets.

What is large lies in further Secrets that the first one names; they are written before it and go after it. Whoever writes names the
version that he read, so that one who lost his lock cannot write over the next.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from aiculturekit.errors import Busy
from aiculturekit.language import say
from aiculturekit.targets.kubernetes.answers import Conflicted
from aiculturekit.targets.kubernetes.clients import Client

KIND = "aiculturekit.dev/ledger"
_PART = 700_000
"""Bytes of one Secret: etcd takes a million and a half in all."""


class Shelf:
    """One writer at a time: the one who read it last."""

    def __init__(self, client: Client, *, name: str, namespace: str, labels: Mapping[str, str]) -> None:
        self._client, self._name, self._namespace = client, name, namespace
        self._labels = dict(labels)
        self._version, self._parts = "", ()  # type: tuple[str, tuple[str, ...]]
        self._written = b""

    async def load(self) -> bytes:
        """Nothing where there is none yet."""
        head = await self._client.get("v1", "Secret", self._name, namespace=self._namespace)
        if head is None:
            self._version, self._parts, self._written = "", (), b""
            return b""
        self._version = head["metadata"]["resourceVersion"]
        self._parts = _parts(head)
        data = [_data(head)]
        for name in self._parts:
            part = await self._client.get("v1", "Secret", name, namespace=self._namespace)
            data.append(_data(part or {}))
        self._written = b"".join(data)
        return self._written

    async def save(self, data: bytes) -> None:
        """Nothing is sent where it says the same. Raises Busy where another one wrote since it was read."""
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
        """Nothing is left of it."""
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
