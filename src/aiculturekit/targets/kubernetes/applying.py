"""One object into the cluster, and out of it again.

What is there and is not ours is left alone; what another program manages is not taken from it, unless it was asked for. A password is
made once and stays in the cluster. What is being deleted is waited for, so that nothing is applied to what is about to go.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiculturekit.errors import Failed, Refused
from aiculturekit.language import say
from aiculturekit.targets.kubernetes import answers, fields, givens
from aiculturekit.targets.kubernetes.answers import Conflicted
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.ledgers import Place, Record
from aiculturekit.targets.kubernetes.objects import ENVIRONMENT, PROTECTED, Fill, Owned

_DATA = (("", "PersistentVolumeClaim"), ("postgresql.cnpg.io", "Cluster"))
"""(API group, kind) of what holds data."""
_LEAVING, _POLL = 120.0, 0.3
_PASSWORD = "${password}"  # noqa: S105
_MARKS = ("app.kubernetes.io/managed-by", "app.kubernetes.io/part-of", ENVIRONMENT)
Json = dict[str, Any]
Tell = Callable[[str], None]


def wanted(owned: Owned) -> str:
    """A digest of what is asked for."""
    templates = dict(owned.fill.templates) if owned.fill else {}
    return hashlib.sha256(json.dumps([owned.manifest, templates], sort_keys=True).encode()).hexdigest()[:16]


def is_data(owned: Owned) -> bool:
    """Whether it outlives its document: data, passwords that data knows, and that data was seeded."""
    group, kind, _, _ = owned.place
    return (group, kind) in _DATA or owned.is_once or bool(owned.fill and owned.fill.needs_password)


def planned(owned: Owned) -> Record:
    """Before anything is sent."""
    return Record(owned.key, owned.manifest["apiVersion"], wanted="", is_data=is_data(owned))


class Applier:
    """`takes_over`: fields of other managers, and objects that are not ours, are taken over. `values` are what whoever deploys knows, by
    the keys that it has in its Secret."""

    def __init__(self, client: Client, *, takes_over: bool = False, values: Mapping[str, str] | None = None) -> None:
        self._client, self._takes_over, self._values = client, takes_over, values or {}

    async def apply(
        self, owned: Owned, *, record: Record | None, was: Mapping[str, Any] | None, tell: Tell
    ) -> tuple[Record, Json]:
        """The record of it, and the object as it is now. `was` is the object as it was applied before. Raises Conflicted, Refused."""
        manifest = await self._filled(owned.manifest, owned.fill) if owned.fill else owned.manifest
        found = (
            await self._found(owned) if record is None or not record.owned or owned.manifest["kind"] == "Job" else None
        )
        if found is not None and (record is None or not record.owned):
            self._refuse_foreign(found, owned)
        if found is not None and owned.manifest["kind"] == "Job" and _is_settled(found, owned):
            return _record(owned, found), found
        made = await self._sent(manifest, was=was, tell=tell)
        while "deletionTimestamp" in made["metadata"] and not _is_namespace(owned):
            await self._gone(owned.place, owned.manifest["apiVersion"], uid=made["metadata"]["uid"])
            made = await self._sent(manifest, was=was, tell=tell)
        kept = found is not None and _is_namespace(owned) and not _is_ours(found, owned)
        kept = kept or bool(record and record.is_data)
        return dataclasses.replace(_record(owned, made), is_data=kept or is_data(owned)), made

    async def remove(self, place: Place, record: Record, *, is_erased: bool = False) -> bool:
        """Whether it is gone, or on its way: what is protected stays, and so does what is not ours any more."""
        _, kind, namespace, name = place
        if not await self._client.knows(record.api, kind):  # it went with its definition
            return True
        found = await self._client.get(record.api, kind, name, namespace=namespace)
        if found is None:
            return True
        labels = found["metadata"].get("labels", {})
        if labels.get(PROTECTED) == "true" or (record.is_data and not is_erased) or labels.get(_MARKS[0]) != "aic":
            return False
        await self._client.delete(record.api, kind, name, namespace=namespace, uid=found["metadata"]["uid"])
        return True

    async def _found(self, owned: Owned) -> Json | None:
        _, kind, namespace, name = owned.place
        found = await self._client.get(owned.manifest["apiVersion"], kind, name, namespace=namespace)
        if found is not None and kind == "Job" and _condition(found, "Failed"):
            await self._client.delete(
                owned.manifest["apiVersion"], kind, name, namespace=namespace, uid=found["metadata"]["uid"]
            )
            await self._gone(owned.place, owned.manifest["apiVersion"], uid=found["metadata"]["uid"])
            return None
        return found

    def _refuse_foreign(self, found: Mapping[str, Any], owned: Owned) -> None:
        if _is_ours(found, owned) or _is_namespace(owned) or self._takes_over:
            return
        _, kind, namespace, name = owned.place
        labels = found["metadata"].get("labels", {})
        whose = "@".join(filter(None, (labels.get(_MARKS[1], ""), labels.get(ENVIRONMENT, ""))))
        raise Refused(
            say(
                "there is a {kind} {name} in {namespace} already, which is not this application's but {whose}",
                kind=kind,
                name=name,
                namespace=namespace or "–",
                whose=whose or fields.changer(found["metadata"]) or "–",
            ),
            hint=say("choose another namespace in the target, remove it, or take it over: --force-conflicts"),
        )

    async def _sent(self, manifest: Mapping[str, Any], *, was: Mapping[str, Any] | None, tell: Tell) -> Json:
        try:
            return await self._client.apply(manifest, is_forced=self._takes_over)
        except Conflicted as conflict:
            if not conflict.clashes or not fields.is_by_hand(conflict.clashes, was=was):
                raise
            what = f"{manifest['kind']} {manifest['metadata']['name']}"
            tell(say("put right: {what}", what=answers.foreign(what, conflict.clashes)))
            return await self._client.apply(manifest, is_forced=True)

    async def _filled(self, manifest: Mapping[str, Any], fill: Fill) -> Json:
        """With the password that the cluster has, or a new one; with the values that it has, or was given."""
        if fill.is_given:
            texts = self._given(await self._kept(manifest), fill)
        else:
            password = ""
            if fill.needs_password:
                password = (await self._kept(manifest)).get("password", "") or secrets.token_urlsafe(24)
            texts = {key: text.replace(_PASSWORD, password) for key, text in fill.templates.items()}
        return {**manifest, "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}

    def _given(self, kept: Mapping[str, str], fill: Fill) -> dict[str, str]:
        known = {**self._values, **kept}
        if missing := [reference for key, reference in fill.templates.items() if key not in known]:
            raise Failed(
                say("the value that {references} had is not kept any more", references=", ".join(sorted(set(missing)))),
                hint=say("set it, and run `aic deploy` again"),
            )
        return givens.remembered(known, {key: known[key] for key in fill.templates})

    async def _kept(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        metadata = manifest["metadata"]
        return texts(await self._client.get("v1", "Secret", metadata["name"], namespace=metadata["namespace"]))

    async def _gone(self, place: Place, api: str, *, uid: str) -> None:
        """Until it is not there any more."""
        _, kind, namespace, name = place
        end = time.monotonic() + _LEAVING
        while found := await self._client.get(api, kind, name, namespace=namespace):
            if found["metadata"]["uid"] != uid:
                return
            if time.monotonic() > end:
                raise Failed(
                    say(
                        "{kind} {name} in {namespace} is being deleted, and does not go",
                        kind=kind,
                        name=name,
                        namespace=namespace,
                    ),
                    hint=say(
                        "its finalizers hold it: {names}",
                        names=", ".join(found["metadata"].get("finalizers", ())) or "–",
                    ),
                )
            await asyncio.sleep(_POLL)


def texts(secret: Mapping[str, Any] | None) -> dict[str, str]:
    """What a Secret of the cluster holds; nothing where it is not there."""
    data = (secret or {}).get("data") or {}
    return {key: base64.b64decode(text).decode("utf-8", "replace") for key, text in data.items()}


def _record(owned: Owned, made: Mapping[str, Any]) -> Record:
    is_over = owned.manifest["kind"] == "Job" and _condition(made, "Complete")
    digest = fields.owned(made["metadata"])
    return Record(owned.key, owned.manifest["apiVersion"], wanted(owned), digest, is_data(owned), is_over)


def _is_settled(found: Mapping[str, Any], owned: Owned) -> bool:
    """A Job that ran, or runs: its pods cannot be changed."""
    return _is_ours(found, owned) or owned.is_once


def _condition(job: Mapping[str, Any], kind: str) -> bool:
    return any(one["type"] == kind and one["status"] == "True" for one in job.get("status", {}).get("conditions") or ())


def _is_namespace(owned: Owned) -> bool:
    return bool(owned.manifest["kind"] == "Namespace")


def _is_ours(found: Mapping[str, Any], owned: Owned) -> bool:
    """Of this application in this environment."""
    labels, ours = found["metadata"].get("labels", {}), owned.manifest["metadata"].get("labels", {})
    return all(labels.get(mark) == ours.get(mark) for mark in _MARKS)
