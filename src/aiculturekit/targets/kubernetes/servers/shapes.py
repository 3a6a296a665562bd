"""What a module of this folder is: a type of server in a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster


class Kind(Protocol):
    """`PORT` is where it listens, `USER` the number of its user in the image, `OWNER` its administrator. `ARRIVAL` is a shell's command
    that ends when the server lets a user in whose outputs are in the variables `GIVEN` (variable -> output)."""

    @property
    def PORT(self) -> int: ...  # noqa: N802
    @property
    def USER(self) -> int: ...  # noqa: N802
    @property
    def OWNER(self) -> str: ...  # noqa: N802
    @property
    def GIVEN(self) -> Mapping[str, str]: ...  # noqa: N802
    @property
    def ARRIVAL(self) -> str: ...  # noqa: N802

    def image(self, document: Document, *, cluster: Cluster) -> str:
        """The image that has the server and its client."""

    def databases(self, document: Document) -> list[str]:
        """What its URL can end with, first what it does end with."""

    def server(self, app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
        """The objects of the process."""

    def script(self, document: Document) -> str:
        """What a Job runs in the server's image to make true what is declared, with the passwords in `settings.variables`; empty: it reads
        its users when it starts."""
