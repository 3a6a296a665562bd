"""Who makes tokens for the tests: good ones, and every kind of bad one. JWS compact serialization after RFC 7515, keys after RFC 7517."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def encoded(raw: bytes | str | dict[str, Any]) -> str:
    data = json.dumps(raw) if isinstance(raw, dict) else raw
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """Signs with ES256 and RS256."""

    def __init__(self, name: str = "https://issuer.example") -> None:
        self.name = name
        self._ec = ec.generate_private_key(ec.SECP256R1())
        self._rsa = rsa.generate_private_key(65537, 2048)

    @property
    def jwks(self) -> str:
        point = self._ec.public_key().public_numbers()
        public = self._rsa.public_key().public_numbers()
        x, y = (encoded(value.to_bytes(32, "big")) for value in (point.x, point.y))
        return json.dumps(
            {
                "keys": [
                    {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ec", "x": x, "y": y},
                    {
                        "kty": "RSA",
                        "use": "sig",
                        "alg": "RS256",
                        "kid": "rsa",
                        "n": number(public.n),
                        "e": number(public.e),
                    },
                ]
            }
        )

    @property
    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._rsa.public_key().public_bytes(serialization.Encoding.PEM, form)

    def token(self, *, alg: str = "ES256", lasts: float = 600, **claims: Any) -> str:
        now = int(time.time())
        payload = {"iss": self.name, "sub": "ann", "iat": now, "exp": int(now + lasts), **claims}
        head = {"alg": alg, "typ": "JWT", "kid": "ec" if alg == "ES256" else "rsa"}
        signed = f"{encoded(head)}.{encoded({k: v for k, v in payload.items() if v is not None})}"
        return f"{signed}.{encoded(self._signature(alg, signed.encode()))}"

    def _signature(self, alg: str, data: bytes) -> bytes:
        if alg == "none":
            return b""
        if alg == "HS256":  # the confusion of RFC 8725, 2.1: a public key taken for a shared secret
            return hmac.new(self.public_pem, data, hashlib.sha256).digest()
        if alg == "RS256":
            return self._rsa.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._ec.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def tampered(token: str, **claims: Any) -> str:
    """Another payload under the same signature."""
    head, payload, signature = token.split(".")
    known = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{head}.{encoded(known | claims)}.{signature}"
