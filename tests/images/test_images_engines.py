"""Images of an engine's own: what it says over its socket, and what is made of it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import socketserver
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from aiculturekit.errors import BuildFailed, Failed, Mistake, Unreachable
from aiculturekit.images import engines, layouts, roots
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import GZIP, Descriptor
from tests.images import bases


class Engine(socketserver.ThreadingUnixStreamServer):
    """One that knows one image, and counts what it is asked."""

    def __init__(self, place: Path, saved: bytes, status: int = 200) -> None:
        super().__init__(str(place), Handler)
        self.saved, self.status, self.asked = saved, status, list[str]()

    def get_request(self) -> tuple[object, object]:
        request, _ = super().get_request()
        return request, ("engine", 0)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        engine = self.server
        assert isinstance(engine, Engine)
        engine.asked.append(self.path)
        is_known = "web%3Av1" in self.path
        said = json.dumps({"Id": "sha256:1"}).encode() if self.path.endswith("/json") else engine.saved
        self.send_response(engine.status if is_known else 404)
        self.end_headers()
        self.wfile.write(said if is_known else b"{}")

    def log_message(self, *values: object) -> None:
        pass


@contextlib.contextmanager
def running(saved: bytes, monkeypatch: pytest.MonkeyPatch, status: int = 200) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder, Engine(Path(folder) / "socket", saved, status) as engine:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
        threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield engine
        finally:
            engine.shutdown()


@pytest.fixture
def saved(tmp_path: Path) -> bytes:
    """As `docker save` writes it."""
    place, _, tag = bases.layout(tmp_path / "made", is_bare=True).removeprefix("oci:").rpartition(":")
    layouts.archive(
        tmp_path / "saved.tar",
        {"web:v1": layouts.find(Path(place), tag=tag)},
        store=Store(tmp_path / "made" / "store"),
    )
    return (tmp_path / "saved.tar").read_bytes()


def fetched(folder: Path, name: str = "web:v1") -> Descriptor:
    told: list[str] = []
    return asyncio.run(engines.fetched(f"docker-daemon:{name}", store=Store(folder), progress=told.append))


def root(folder: Path, found: Descriptor) -> Path:
    return asyncio.run(roots.unpacked(found, store=Store(folder)))


def test_it_is_taken_once_and_unpacks_to_what_was_built(
    tmp_path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(saved, monkeypatch) as engine:
        found = fetched(tmp_path / "images")
        assert (root(tmp_path / "images", found) / "etc" / "os-release").read_text().startswith("ID=debian")
        assert fetched(tmp_path / "images") == found
        assert [path.rpartition("/")[2] for path in engine.asked] == ["json", "get", "json"]
        [layer] = Store(tmp_path / "images").document(found.digest)["layers"]
        Store(tmp_path / "images").path(layer["digest"]).unlink()
        assert fetched(tmp_path / "images") == found, "what is gone is taken again"


def test_older_engines_name_a_layer_twice_and_newer_ones_pack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    digest = f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}"
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest, digest]}}
    listed = [{"Config": "./config.json", "Layers": ["one/layer.tar", "two/layer.tar"]}]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        link = tarfile.TarInfo("two/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../one/layer.tar"
        tar.addfile(link)
        parts = {"one/layer.tar": gzip.compress(plain.getvalue(), mtime=0), "config.json": json.dumps(config).encode()}
        for name, content in (*parts.items(), ("manifest.json", json.dumps(listed).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with running(raw.getvalue(), monkeypatch):
        found = fetched(tmp_path)
    layers = Store(tmp_path).document(found.digest)["layers"]
    assert [one["mediaType"] for one in layers] == [GZIP, GZIP] and layers[0] == layers[1]
    assert (root(tmp_path, found) / "file").read_bytes() == b"x"


def test_what_is_not_there_or_not_as_it_should_be_is_said(
    tmp_path: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(saved, monkeypatch), pytest.raises(Mistake, match="has no image other"):
        fetched(tmp_path, "other")
    with running(saved, monkeypatch, status=500), pytest.raises(Failed, match="answered 500"):
        fetched(tmp_path)
    for wrong in (b"no archive at all", saved[:700]):
        with running(wrong, monkeypatch), pytest.raises(BuildFailed, match="docker save"):
            fetched(tmp_path)
    with pytest.raises(Unreachable, match="no Docker and no Podman"):
        fetched(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    with pytest.raises(Mistake, match="no socket of this machine"):
        fetched(tmp_path)
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr(engines, "USUAL", (str(tmp_path / "none"),))
    with pytest.raises(Unreachable, match="no Docker and no Podman"):
        fetched(tmp_path)
