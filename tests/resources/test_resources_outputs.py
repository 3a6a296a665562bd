from __future__ import annotations

import pytest

from aiculturekit.resources import outputs


def test_a_url_is_given_in_its_parts_too() -> None:
    found = outputs.of("redis", "redis://w:p%2Fw@127.0.0.1:7000/0")
    assert found == {
        "url": "redis://w:p%2Fw@127.0.0.1:7000/0",
        "host": "127.0.0.1",
        "port": "7000",
        "username": "w",
        "password": "p/w",
        "database": "0",
    }
    assert outputs.of("postgres", "postgresql://h/db")["port"] == "5432"
    assert outputs.of("sqlite", "sqlite:////x/y.db") == {"url": "sqlite:////x/y.db"}
    assert outputs.of("redis", "") == {"url": ""}, "nobody was admitted yet"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("s3://k:s@127.0.0.1:8333/b", "http://127.0.0.1:8333"),
        ("s3://k:s@s3.amazonaws.com/b", "https://s3.amazonaws.com"),
        ("s3://k:s@minio.example:9000/b?tls=true", "https://minio.example:9000"),
        ("s3://k:s@minio.example/b?tls=false", "http://minio.example"),
    ],
)
def test_an_s3_server_has_an_endpoint(url: str, endpoint: str) -> None:
    found = outputs.of("s3", url)
    assert (found["endpoint"], found["key"], found["secret"], found["bucket"]) == (endpoint, "k", "s", "b")
    assert outputs.amazon(found)["AWS_ENDPOINT_URL_S3"] == endpoint


def test_what_a_custom_resource_declares_is_filled_with_its_place() -> None:
    declared = {"url": "http://${host}:${port}/kept", "admin": "${host}:${port}/admin"}
    found = outputs.of("custom", "http://127.0.0.1:81/kept", declared=declared)
    assert found == {
        "url": "http://127.0.0.1:81/kept",
        "host": "127.0.0.1",
        "port": "81",
        "admin": "127.0.0.1:81/admin",
    }


@pytest.mark.parametrize(
    ("kind", "url", "standing"),
    [
        ("mongodb", "mongodb://u:p@a:1,B/db", [("a", 1), ("b", 27017)]),
        ("s3", "s3://k:s@h/b", [("h", 443)]),
        ("s3", "s3://k:s@h/b?tls=false", [("h", 80)]),
        ("custom", "https://h/x", [("h", 443)]),
        ("custom", "tcp://h", []),
    ],
)
def test_where_a_server_stands(kind: str, url: str, standing: list[tuple[str, int]]) -> None:
    assert outputs.standing(kind, url) == standing
