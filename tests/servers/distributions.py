"""A real registry (Debian's docker-registry) on a free port of loopback: open, with a password, or with tokens that we give out ourselves."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

PROGRAM = shutil.which("docker-registry")
MISSING = (
    ""
    if PROGRAM and shutil.which("skopeo")
    else "docker-registry and skopeo are not here: apt-get install docker-registry skopeo"
)
USER, PASSWORD = "anna", "correct horse"


class Served:
    """A running registry. `asked` are its requests so far, as (method, path)."""

    def __init__(self, address: str, log: Path) -> None:
        self.address, self._log = address, log

    @property
    def asked(self) -> list[tuple[str, str]]:
        lines = self._log.read_text("utf-8", "replace").splitlines()
        quoted = [
            line.split('"')[1].split()
            for line in lines
            if '" ' in line and " HTTP/1.1" in line and line.startswith("127.0.0.1")
        ]
        return [(words[0], words[1]) for words in quoted]

    @property
    def sent(self) -> list[str]:
        """The paths of what was uploaded, mounts included."""
        return [path for method, path in self.asked if method in ("PUT", "POST", "PATCH")]


@contextlib.contextmanager
def running(folder: Path, *, auth: dict[str, Any] | None = None) -> Iterator[Served]:
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free()}"
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address},
        **({"auth": auth} if auth else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(PROGRAM), "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _await(address, process, folder / "log")
        yield Served(address, folder / "log")
    finally:
        process.terminate()
        process.wait(30)


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError(log.read_text("utf-8", "replace")[-2000:])


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def tokens(folder: Path) -> Iterator[dict[str, Any]]:
    """A token service, by the distribution's specification, for the `auth` of a registry: it knows one user, and anybody may read `public/`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    (folder / "root.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(key, certificate))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    realm = f"http://127.0.0.1:{server.server_address[1]}/token"
    try:
        yield {
            "token": {"realm": realm, "service": "tests", "issuer": "tests", "rootcertbundle": str(folder / "root.pem")}
        }
    finally:
        server.shutdown()
        server.server_close()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        x509.random_serial_number(),
        now - datetime.timedelta(hours=1),
        now + datetime.timedelta(days=1),
    )
    return builder.sign(key, hashes.SHA256())


def _handler(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            given = self.headers.get("Authorization", "")
            right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if given and given != right:
                self.send_error(401)
                return
            body = json.dumps(
                {"token": _signed(key, certificate, [one for scope in scopes for one in _granted(scope, bool(given))])}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            """OAuth2, which is asked for first: by the specification it need not be there, and GET is tried then."""
            self.send_error(405)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _granted(scope: str, is_known: bool) -> list[dict[str, Any]]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.partition(":")
    wanted = (
        actions.split(",")
        if is_known
        else [one for one in actions.split(",") if one == "pull" and name.startswith("public/")]
    )
    return [{"type": kind, "name": name, "actions": wanted}] if wanted else []


def _signed(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, access: list[dict[str, Any]]) -> str:
    now = int(time.time())
    chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    header = {"typ": "JWT", "alg": "ES256", "x5c": [chain]}
    claims = {
        "iss": "tests",
        "aud": "tests",
        "sub": "",
        "iat": now,
        "nbf": now - 10,
        "exp": now + 300,
        "jti": str(now),
        "access": access,
    }
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
