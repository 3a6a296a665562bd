"""Trust bundles as SPIFFE publishes them: a JWKS whose keys hold one root each (SPIFFE Trust Domain and Bundle, 4). Pure."""

from __future__ import annotations

import base64
import binascii
import json
import ssl
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

Bundle = Mapping[str, Any]
HINT = 3600
"""Seconds after which who trusts us should look for a newer bundle: much less than a new root is known before it signs."""
LARGEST = 256 * 1024
"""Bytes; a bundle is some hundred a root."""


def document(keys: Iterable[Mapping[str, Any]], *, sequence: int) -> dict[str, Any]:
    return {"keys": list(keys), "spiffe_sequence": sequence, "spiffe_refresh_hint": HINT}


def pem(bundle: Bundle) -> str:
    """The bundle's X.509 roots as PEM. Raises ValueError."""
    keys = bundle.get("keys")
    if not isinstance(keys, list):
        raise ValueError('no SPIFFE bundle: it has no "keys"')
    found = [_pem(key) for key in keys if isinstance(key, Mapping) and key.get("use") == "x509-svid"]
    if not found:
        raise ValueError("no SPIFFE bundle: it has no key for x509-svid")
    return "".join(found)


def parsed(text: str) -> dict[str, Any]:
    """A bundle from its document, or from PEM certificates, whose entries then hold `x5c` alone. Raises ValueError."""
    if len(text) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")
    if "-----BEGIN CERTIFICATE-----" in text:
        return {"keys": [{"use": "x509-svid", "x5c": [one]} for one in _ders(text)]}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("no SPIFFE bundle: it is no JSON object")
    pem(found)
    return found


def sequence(bundle: Bundle) -> int | None:
    """Its number, by which an older one is told from a newer one; None where it has none."""
    value = bundle.get("spiffe_sequence")
    return value if isinstance(value, int) else None


def _pem(key: Mapping[str, Any]) -> str:
    chain = key.get("x5c")
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise ValueError("a key for x509-svid must have exactly one certificate in x5c")
    try:
        base64.b64decode(chain[0], validate=True)
    except binascii.Error as error:
        raise ValueError(f"x5c is no base64: {error}") from error
    body = "\n".join(textwrap.wrap(chain[0], 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def _ders(text: str) -> list[str]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = [begin + block.partition(end)[0] + end for block in text.split(begin)[1:]]
    return [base64.b64encode(ssl.PEM_cert_to_DER_cert(block)).decode() for block in blocks]
