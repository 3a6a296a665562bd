"""What registries on the Internet do and Debian's does not: tokens for everybody, blobs behind a redirect to another host, refusals for haste,
lines that break. Played by small servers that note what they are told."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.errors import Again, Failed, Refused
from aiculturekit.images import pulls, references, wires
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import CONFIG, GZIP, MANIFEST

pytestmark = pytest.mark.integration

BLOB = b"a layer" * 1000
TOKEN = "t0ken"
Answer = Callable[[BaseHTTPRequestHandler], None]


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_HEAD = do_POST = do_PUT = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{made.server_address[1]}"
    finally:
        made.shutdown()
        made.server_close()


def said(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def image(platform: str = "linux/amd64") -> tuple[bytes, dict[str, bytes]]:
    """A manifest, and its blobs by digest."""
    system, _, architecture = platform.partition("/")
    config = json.dumps({"os": system, "architecture": architecture}).encode()
    parts = [
        {"mediaType": kind, "digest": digest(raw), "size": len(raw)} for kind, raw in ((CONFIG, config), (GZIP, BLOB))
    ]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": parts[0], "layers": parts[1:]}
    return json.dumps(manifest).encode(), {digest(config): config, digest(BLOB): BLOB}


async def test_a_token_goes_to_the_registry_and_never_to_where_it_redirects(tmp_path: Path) -> None:
    manifest, blobs = image()
    seen: list[tuple[str, str, str]] = []

    def store(request: BaseHTTPRequestHandler) -> None:
        seen.append(("store", request.path, request.headers.get("Authorization", "")))
        said(request, 200, blobs[request.path.strip("/")])

    def registry(request: BaseHTTPRequestHandler) -> None:
        seen.append(("registry", request.path, request.headers.get("Authorization", "")))
        name = request.path.rpartition("/")[2]
        if request.path.startswith("/token"):
            said(request, 200, json.dumps({"token": TOKEN}).encode())
        elif request.headers.get("Authorization") != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="http://{address}/token",service="tests",scope="repository:hub/x:pull"'
            said(request, 401, WWW_Authenticate=challenge)
        elif "/blobs/" in request.path:
            said(request, 307, Location=f"http://{cdn}/{name}")
        else:
            said(request, 200, manifest, Content_Type=MANIFEST)

    with server(store) as cdn, server(registry) as address:
        reference = references.parse(f"{address}/hub/x:1")
        found = await pulls.pull(reference, platform="linux/amd64", store=Store(tmp_path))
    assert found.digest == digest(manifest) and Store(tmp_path).path(digest(BLOB)).read_bytes() == BLOB
    assert {authorization for place, _, authorization in seen if place == "store"} == {""}
    asked = [path for place, path, _ in seen if path.startswith("/token")]
    assert asked == ["/token?service=tests&scope=repository%3Ahub%2Fx%3Apull"], "one token for all of it"


async def test_haste_is_slowed_down_and_a_line_that_breaks_is_taken_up_again(tmp_path: Path) -> None:
    manifest, blobs = image()
    turns: dict[str, int] = {}

    def registry(request: BaseHTTPRequestHandler) -> None:
        name = request.path.rpartition("/")[2]
        turns[name] = turns.get(name, 0) + 1
        if "/manifests/" in request.path:
            if turns[name] == 1:
                said(request, 429, Retry_After="0")
            elif turns[name] == 2:
                said(request, 503)
            else:
                said(request, 200, manifest, Content_Type=MANIFEST)
            return
        content = blobs[name]
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if turns[name] == 1 else content)

    with server(registry) as address:
        await pulls.pull(references.parse(f"{address}/x:1"), platform="linux/amd64", store=Store(tmp_path))
    assert Store(tmp_path).path(digest(BLOB)).read_bytes() == BLOB and turns["1"] == 3


@pytest.mark.parametrize(
    ("status", "body", "kind", "word"),
    [
        (404, b"{}", Failed, "no x/manifests/1"),
        (403, b'{"errors": [{"code": "DENIED", "message": "not yours"}]}', Refused, "DENIED not yours"),
        (418, b"\x1b[31mteapot", Failed, "418"),
        (200, b"<html>a portal</html>", Failed, "no image manifest"),
        (200, b"[]", Failed, "no image manifest"),
    ],
)
async def test_what_a_registry_says_instead_is_told(
    tmp_path: Path, status: int, body: bytes, kind: type[Exception], word: str
) -> None:
    with server(lambda request: said(request, status, body)) as address, pytest.raises(kind, match=word) as caught:
        await pulls.pull(references.parse(f"{address}/x:1"), platform="linux/amd64", store=Store(tmp_path))
    assert "\x1b" not in str(caught.value), "nothing from outside moves the cursor"


async def test_too_many_requests_end_with_a_word_about_mirrors(tmp_path: Path) -> None:
    with server(lambda request: said(request, 429, Retry_After="0")) as address, pytest.raises(Again) as caught:
        await pulls.pull(references.parse(f"{address}/x:1"), platform="linux/amd64", store=Store(tmp_path))
    assert "AIC_REGISTRY_MIRROR" in caught.value.hint


async def test_a_manifest_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    manifest, _ = image()
    with (
        server(lambda request: said(request, 200, manifest, Content_Type=MANIFEST)) as address,
        pytest.raises(Failed, match="damaged"),
    ):
        await pulls.pull(
            references.parse(f"{address}/x@sha256:{'0' * 64}"), platform="linux/amd64", store=Store(tmp_path)
        )


def test_a_place_to_go_on_at_is_never_without_encryption() -> None:
    line = wires.Registry("registry.example:5000", environ={})
    assert line.encrypted("http://registry.example/v2/x?a=b") == "https://registry.example:5000/v2/x?a=b"
    assert line.encrypted("https://other.example/x") == "https://other.example/x"
    with pytest.raises(Failed, match=r"other\.example"):
        line.encrypted("http://other.example/x")
    assert wires.Registry("localhost", is_plain=True).encrypted("http://localhost/x") == "http://localhost/x"
    usual = wires.Registry("registry.example", environ={})
    assert usual._is_ours("https://registry.example:443/x") and not usual._is_ours("https://registry.example.net/x")


def test_a_realm_without_encryption_gets_no_password() -> None:
    line = wires.Registry("registry.example", environ={})
    with pytest.raises(Failed, match="over http"):
        line._token('Bearer realm="http://registry.example/token",service="x"', "repository:x:pull")
