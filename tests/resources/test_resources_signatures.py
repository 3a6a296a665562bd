from __future__ import annotations

import datetime

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aiculturekit.resources import signatures


def test_a_signature_is_what_the_vendors_own_library_makes() -> None:
    at = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC).timestamp()
    named = signatures.headers("PUT", "/my-bucket", host="h:81", key="K", secret="S", at=at, region="eu-west-1")
    request = AWSRequest("PUT", "http://h:81/my-bucket", headers={"host": "h:81", "x-amz-date": named["x-amz-date"]})
    request.context |= {"timestamp": named["x-amz-date"], "payload_signing_enabled": True}
    request.headers["X-Amz-Content-SHA256"] = named["x-amz-content-sha256"]
    theirs = S3SigV4Auth(Credentials("K", "S"), "s3", "eu-west-1")
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert named["authorization"].endswith(f"Signature={theirs.signature(text, request)}")
