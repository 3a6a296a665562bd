"""SCRAM-SHA-256 verifiers as PostgreSQL keeps them (RFC 5802, RFC 7677): what a statement may carry in the place of a password,
so that no log of the server ever shows one. Pure but for the salt."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096
_MOST = 1_000_000
"""Rounds that a server may ask for: it decides how long we compute."""


def verifier(password: str, *, salt: bytes | None = None) -> str:
    """`SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`. The password is ASCII, so that SASLprep (RFC 4013) leaves it as it is."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(_hmac(salted, b'Server Key'))}"


class Client:
    """The client's side of one exchange (RFC 5802, 3), without channel binding. PostgreSQL knows the user before, and reads none here."""

    def __init__(self, password: str, *, user: str = "", nonce: str | None = None) -> None:
        named = user.replace("=", "=3D").replace(",", "=2C")
        self._password, self._bare = password, f"n={named},r={nonce or secrets.token_urlsafe(18)}"

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """The proof. Raises ValueError for a challenge that is none."""
        said = dict(part.split("=", 1) for part in challenge.decode("ascii").split(","))
        if not {"r", "s", "i"} <= said.keys() or int(said["i"]) > _MOST:
            raise ValueError("its challenge is not SCRAM")
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), base64.b64decode(said["s"]), int(said["i"]))
        key = _hmac(salted, b"Client Key")
        bare = f"c=biws,r={said['r']}"
        signature = _hmac(hashlib.sha256(key).digest(), f"{self._bare},{challenge.decode('ascii')},{bare}".encode())
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        return f"{bare},p={_text(proof)}".encode()


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
