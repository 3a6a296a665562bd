"""Certificates and trust bundles as Envoy asks for them: all over one stream (delta xDS, aggregated) on a unix socket.

What is served stands in files, which the authority writes and which outlive us. Envoy keeps what it has while nobody answers; when
somebody does again it asks for all anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from pathlib import Path

from aiculturekit.mesh import files, protobufs
from aiculturekit.mesh.envoy import names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.envoy.stages import parsed
from aiculturekit.mesh.frames import Connection

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024


class Discovery:
    """Serves the secrets in `folder` (the mesh's) at `socket`, which only its owner may open."""

    def __init__(self, folder: Path, *, socket: Path) -> None:
        self.socket = socket
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()

    async def open(self) -> None:
        """Raises OSError."""
        self.socket.unlink(missing_ok=True)  # of a daemon that was killed
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket))
        self.socket.chmod(0o600)  # nobody can connect before somebody listens
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def close(self) -> None:
        """Envoy goes on with what it has."""
        if self._server is None:
            return
        self._server.close()
        for client in self._clients:
            client.close()
        self._server = None

    def publish(self) -> None:
        """Send what has changed to who asked for it."""
        for client in self._clients:
            client.publish()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(self._folder, writer)
        self._clients.add(client)
        try:
            while data := await reader.read(_CHUNK):
                client.take(data)
        except (OSError, ValueError) as error:
            log.debug("the stream of secrets ended: %s", error)
        finally:
            self._clients.discard(client)
            client.close()


class _Client:
    """One connection of Envoy's; what it was sent last, by stream and secret ("" for what it still waits for)."""

    def __init__(self, folder: Path, writer: asyncio.StreamWriter) -> None:
        self._folder, self._writer = folder, writer
        self._connection = Connection()
        self._sent: dict[int, dict[str, str]] = {}
        self._count = 0

    def take(self, data: bytes) -> None:
        """Raises ValueError."""
        for stream, message in self._connection.receive(data):
            kind, wanted, left, wrong = protobufs.request(message)
            if wrong:
                log.warning("Envoy refused a certificate: %s", wrong)
            if kind == protobufs.SECRET:
                self._subscribe(stream, wanted, left)
        self._sent = {stream: sent for stream, sent in self._sent.items() if stream in self._connection.streams}
        self._write()

    def publish(self) -> None:
        for stream, sent in self._sent.items():
            self._send(stream, list(sent))
        self._write()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.close()

    def _subscribe(self, stream: int, wanted: Iterable[str], left: Iterable[str]) -> None:
        """Who asks for what he asked for before has lost it."""
        sent = self._sent.setdefault(stream, {})
        for name in left:
            sent.pop(name, None)
        sent |= dict.fromkeys(wanted, "")
        self._send(stream, list(wanted))

    def _send(self, stream: int, wanted: list[str]) -> None:
        """Each in a message of its own, so that one which Envoy refuses takes no other with it; the bundles first, since nobody may show a
        certificate whose root the others do not know yet."""
        sent = self._sent[stream]
        for name in sorted(wanted, key=lambda name: "/" in name):
            document = self._read(name)
            if document and document["version_info"] != sent[name]:
                sent[name], self._count = document["version_info"], self._count + 1
                [secret] = document["resources"]
                message = protobufs.response(secret, version=sent[name], nonce=str(self._count))
                self._connection.send(stream, message)

    def _read(self, name: str) -> Json | None:
        """None for one that is not there (yet)."""
        try:
            return parsed(files.read(self._folder / names.served_file(name)))
        except OSError as error:
            log.warning("%s cannot be served: %s", name, error)
            return None

    def _write(self) -> None:
        self._writer.write(self._connection.outgoing())
