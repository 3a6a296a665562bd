"""Data and a copy of it change places, with the servers stopped meanwhile; should anything fail, back they go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.resources import copies, places
from aiculturekit.targets.local.stores import Stores, needed_users

log = logging.getLogger(__name__)
Tell = Callable[[str, str], None]
"""Called with (resource, message)."""


class Exchange:
    """The data of `data`, and `folder`/NAME for each. Which of them have changed places is seen on the disk, by the number of the
    folder that is in the data's place: no failure in the middle leaves a doubt."""

    def __init__(
        self, app: str, data: Sequence[Document], folder: Path, *, home: Path, stores: Stores,
        documents: Sequence[Document], release: int,
    ) -> None:  # fmt: skip
        self._app, self._data, self._folder = app, data, folder
        self._home, self._stores = home, stores
        self._documents, self._release = documents, release
        self._touched: list[Document] = []
        self._numbers = {document.name: self._number(document) for document in data}

    async def forth(self, tell: Tell) -> None:
        """One after the other: its server stops, its data changes places with the copy, its server starts. Raises AicError."""
        for document in self._data:
            tell(document.name, say("restoring"))
            self._touched.append(document)
            await self._stop(document)
            await to_its_end(threads.run(self._swap, document))
            await self._start(document)

    async def back(self) -> list[Document]:
        """Data that has changed places goes back, and what was stopped is started. Answers those whose data could not go back: it is
        in the folder."""
        for document in reversed(self._touched):
            try:
                await self._stop(document)
                if self._is_moved(document):
                    await threads.run(self._swap, document)
            except (AicError, OSError):
                log.exception("%s/%s does not go back", self._app, document.name)
            try:
                await self._start(document)
            except (AicError, OSError):
                log.exception("%s/%s does not start again", self._app, document.name)
        return [document for document in self._touched if self._is_moved(document)]

    async def _stop(self, document: Document) -> None:
        if server := server_of(self._documents, document.name):
            await self._stores.stop(self._app, server)

    async def _start(self, document: Document) -> None:
        if server := server_of(self._documents, document.name):
            needed = needed_users(self._documents, document.name)
            await self._stores.start(self._app, server, needed=needed, release=self._release, tell=lambda _: None)

    def _swap(self, document: Document) -> None:
        copies.exchange(self._folder / document.name, self._place(document))

    def _is_moved(self, document: Document) -> bool:
        return self._number(document) != self._numbers[document.name]

    def _number(self, document: Document) -> int:
        try:
            return self._place(document).stat().st_ino
        except FileNotFoundError:
            return 0

    def _place(self, document: Document) -> Path:
        return places.folder(self._home, self._app, document.name).resolve()


def server_of(documents: Sequence[Document], name: str) -> Document | None:
    return next((document for document in documents if document.key == ("server", name)), None)


async def to_its_end(work: Coroutine[Any, Any, Any]) -> None:
    """Who is cancelled meanwhile learns it when the work has ended."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
