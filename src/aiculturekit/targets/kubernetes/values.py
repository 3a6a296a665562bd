"""The values behind an application's references, for as long as an operation lasts: those that its Secret in the cluster has, and those
that whoever deploys has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import applying, givens
from aiculturekit.targets.kubernetes.clients import Client


class Values:
    """`known` has them by the keys of the Secret."""

    def __init__(self, client: Client, *, app: str, namespace: str) -> None:
        self._client, self._name, self._namespace = client, givens.name(app), namespace
        self.known: dict[str, str] = {}

    async def remember(self, documents: Iterable[Document]) -> None:
        """What is in force now, before a step takes any of it out of the Secret: an undo needs it."""
        if any(map(givens.used, documents)):
            self.known |= await self._kept()

    async def numbered(self, documents: Sequence[Document], *, secrets: Mapping[str, str]) -> tuple[Document, ...]:
        """The documents with the numbers of the values that they use, which are those of `secrets` by reference."""
        if not any(map(givens.used, documents)):
            return tuple(documents)
        found, values = givens.numbered(documents, values=secrets, kept=await self._kept())
        self.known |= values
        return found

    async def _kept(self) -> dict[str, str]:
        return applying.texts(await self._client.get("v1", "Secret", self._name, namespace=self._namespace))
