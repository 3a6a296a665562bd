"""SCRAM-SHA-256 verifiers as PostgreSQL keeps them (RFC 5802, RFC 7677): what a statement may carry in the place of a password,
so that no log of the server ever shows one. Pure but for the salt."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096


def verifier(password: str, *, salt: bytes | None = None) -> str:
    """`SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY`. The password is ASCII, so that SASLprep (RFC 4013) leaves it as it is."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(_hmac(salted, b'Server Key'))}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
