"""Another trust domain: its authority, a service of it that others call, and workloads of it that call others."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiculturekit.mesh import svids
from aiculturekit.mesh.nodes import Neighbour
from aiculturekit.mesh.rotations import Lives
from tests.conformance.replicas import Replica

DOMAIN, PORT = "other.example", 9444
PAY = ("bank", "pay")


@functools.cache
def _root(domain: str) -> svids.Pair:
    return svids.make_root(trust_domain=domain, lives=Lives(), now=time.time())


def known() -> Neighbour:
    """As it is known beforehand."""
    return Neighbour(DOMAIN, "127.0.0.1", PORT, svids.pem(_root(DOMAIN)[0]))


def shown(identity: tuple[str, str], made: ssl.SSLContext, *, signer: str = DOMAIN) -> ssl.SSLContext:
    """With a certificate of the domain for the identity; `signer` names the authority that really signs it."""
    leaf, key = svids.issue(_root(signer), identity, trust_domain=DOMAIN, lives=Lives(), now=time.time())
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_text(svids.pem(leaf) + svids.key_pem(key))
        made.load_cert_chain(file.name)
    return made


class Pay:
    """The service behind its domain's gateway: it serves who shows a certificate of the stage's domain, and notes the name that greeted it
    and the SPIFFE ID of who called."""

    def __init__(self, identity: tuple[str, str], roots: Path) -> None:
        self.greeted: list[str] = []
        self.callers: list[str] = []
        self.replica = Replica("v1", "pay", port=PORT)
        self.context = shown(identity, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(roots)
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        self.context.sni_callback = lambda _, name, __: self.greeted.append(name or "")  # type: ignore[assignment, return-value]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names = (writer.get_extra_info("peercert") or {}).get("subjectAltName", ())
        self.callers += [value for kind, value in names if kind == "URI"]
        with contextlib.suppress(OSError):
            await self.replica._serve(reader, writer)


@contextlib.asynccontextmanager
async def paying(roots: Path, *, identity: tuple[str, str] = PAY) -> AsyncIterator[Pay]:
    made = Pay(identity, roots)
    server = await asyncio.start_server(made.serve, "127.0.0.1", PORT, ssl=made.context)
    try:
        yield made
    finally:
        server.close()
        for writer in made.replica._open:
            writer.transport.abort()
