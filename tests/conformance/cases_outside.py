"""What lies outside: a workload reaches what it needs there, and nobody anything else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conformance.cases import case
from tests.conformance.stages import STAND_INS, Stage

BANK, SHOPS = "https://bank.example", "https://*.shops.example:8443"


class Bank:
    """A TLS server for every name, which answers a line with the name that it was greeted with."""

    def __init__(self) -> None:
        self.greeted: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.readline()
            writer.write(f"{self.greeted[-1]}\n".encode())
        writer.close()

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.sni_callback = lambda _, name, __: self.greeted.append(name or "")  # type: ignore[assignment, return-value]
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(_certificate())
            made.load_cert_chain(file.name)
        return made


def _certificate() -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name.from_rfc4514_string("CN=outside")
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    made = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + private


@contextlib.asynccontextmanager
async def bank() -> AsyncIterator[Bank]:
    made = Bank()
    server = await asyncio.start_server(made.serve, *STAND_INS[BANK], ssl=made.context())
    async with server:
        yield made


async def greeted(stage: Stage, host: str, *, source: str = "web", port: int = 443, name: str = "") -> str:
    """What the server that is met says it was greeted with; empty where nobody is met."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(10):
            made = await stage.outwards(source, host, port)
            reader, writer = await asyncio.open_connection(sock=made, ssl=trusting, server_hostname=name or host)
            writer.write(b"hello\n")
            line = (await reader.readline()).decode().strip()
            writer.close()
            return line
    return ""


@case("needs external", web=f'[api, "{BANK}", "{SHOPS}"]')
async def an_address_outside_passes_by_its_name(stage: Stage) -> None:
    async with bank() as met:
        assert await greeted(stage, "bank.example") == "bank.example"
        assert await greeted(stage, "one.shops.example", port=8443) == "one.shops.example"
        for host, port, name in [
            ("bank.example", 443, "evil.example"), ("bank.example", 443, "one.shops.example"),
            ("one.shops.example", 8443, "shops.example"), ("one.shops.example", 8443, "bank.example"),
        ]:  # fmt: skip
            assert await greeted(stage, host, port=port, name=name) == "", (port, name)
        assert len(met.greeted) == 2


@case("needs external", web=f'[api, "{BANK}"]')
async def who_does_not_need_an_address_outside_is_refused(stage: Stage) -> None:
    async with bank() as met:
        assert await greeted(stage, "bank.example", source="other") == ""
        assert met.greeted == []
        assert await greeted(stage, "bank.example") == "bank.example"


async def said(stage: Stage, host: str, port: int, text: str, *, source: str = "web") -> str:
    """The first line of an answer to plain bytes; empty where nobody answers."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(10):
            made = await stage.outwards(source, host, port)
            reader, writer = await asyncio.open_connection(sock=made)
            writer.write(text.encode())
            line = (await reader.readline()).decode().strip()
            writer.close()
            return line
    return ""


@case("needs external", web='["tcp://db.example:5432"]')
async def bytes_pass_to_an_address_outside(stage: Stage) -> None:
    assert await said(stage, "db.example", 5432, "hello\n") == "v2-1 HELLO"
    assert await said(stage, "db.example", 5432, "hello\n", source="other") == ""


@case("needs external", web='["http://news.example"]')
async def requests_pass_to_an_address_outside(stage: Stage) -> None:
    text = "GET / HTTP/1.1\r\nhost: news.example\r\nconnection: close\r\n\r\n"
    answer = await said(stage, "news.example", 80, text)
    assert answer.startswith("HTTP/1.1 200"), answer
    seen = len(stage.seen)
    refused = await said(stage, "news.example", 80, text, source="other")
    assert "200" not in refused, refused
    assert len(stage.seen) == seen
