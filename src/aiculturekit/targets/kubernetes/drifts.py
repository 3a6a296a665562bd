"""Whether what was applied is still there as it was left. What carries our labels is listed by kind, all kinds at once and only its
metadata: the digest of the fields that are ours says whether anybody took one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.errors import Again, AicError
from aiculturekit.language import say
from aiculturekit.plan.documents import DRIFT, Document
from aiculturekit.targets.kubernetes import applying, fields
from aiculturekit.targets.kubernetes.answers import Forbidden
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.ledgers import Ledger, Place, Record
from aiculturekit.targets.kubernetes.objects import Owned

Json = dict[str, Any]


async def seen(client: Client, ledger: Ledger, *, app: str) -> Mapping[Place, Json]:
    """The metadata of what carries our labels, by place; of kinds that are not there any more, nothing."""
    kinds = sorted({(record.api, place[1], place[2]) for place, record in ledger.objects.items()})
    labels = f"app.kubernetes.io/managed-by=aic,app.kubernetes.io/part-of={app}"
    lists = await asyncio.gather(*(_listed(client, api, kind, namespace, labels) for api, kind, namespace in kinds))
    return {
        (api.rpartition("/")[0], kind, one["metadata"].get("namespace", ""), one["metadata"]["name"]): one["metadata"]
        for (api, kind, _), found in zip(kinds, lists, strict=True)
        for one in found
    }


def why(place: Place, record: Record, *, wanted: Owned | None, found: Mapping[str, Any] | None) -> str:
    """Why the object is not as it was left; empty where it is. `wanted` is what it should be, None for what is nobody's any more."""
    what = f"{place[1]} {place[3]}"
    if wanted is None:
        return "" if record.is_data else say("{what} is left over", what=what)
    if not record.wanted:
        return say("{what} was not finished", what=what)
    if record.wanted != applying.wanted(wanted):
        return say("{what} is made otherwise now", what=what)
    if record.is_over or place[1] == "Namespace":
        return ""
    if found is None or "deletionTimestamp" in found:
        return say("{what} is gone", what=what)
    if fields.owned(found) != record.owned:
        return say("{what} was changed by {manager}", what=what, manager=fields.changer(found) or "?")
    return ""


def marked(document: Document, whys: Sequence[str]) -> Document:
    """It counts as another one than what is wanted, and says why."""
    return Document(document.kind, document.name, {**document.body, DRIFT: "; ".join(whys)})


async def _listed(client: Client, api: str, kind: str, namespace: str, labels: str) -> list[Json]:
    try:
        return await client.listed(api, kind, namespace=namespace, labels=labels, is_short=True)
    except Again:
        raise
    except Forbidden:
        if kind != "Namespace":
            raise
        return []
    except AicError:
        return []
