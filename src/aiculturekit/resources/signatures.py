"""Requests of Amazon S3 signed with a key (Signature Version 4), without a body. Pure but for the clock of who calls.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

_EMPTY = hashlib.sha256(b"").hexdigest()


def headers(
    method: str,
    path: str,
    *,
    host: str,
    key: str,
    secret: str,
    at: float,
    region: str = "us-east-1",
    query: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """What makes `METHOD path` a request of the key's owner; `at` is seconds since the epoch."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    named = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    signed = ";".join(named)
    listed = "".join(f"{name}:{value}\n" for name, value in named.items())
    request = "\n".join([method, quote(path), _sorted(query), listed, signed, _EMPTY])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signer = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        signer = hmac.new(signer, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signer, text.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}"
    return named | {"authorization": authorization}


def _sorted(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
