"""What AIC_OTLP may say."""

from __future__ import annotations

import pytest

from aiculturekit.errors import LocatorError
from aiculturekit.mesh import tracings
from aiculturekit.mesh.envoy import tracers
from aiculturekit.mesh.nodes import Tracing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("http://127.0.0.1:4318", Tracing("127.0.0.1", 4318)),
        ("otlp://collector", Tracing("collector", 4318)),
        ("http://[::1]:99/base/?percent=12.5", Tracing("::1", 99, path="/base", percent=12.5)),
    ],
)
def test_an_address_is_read(text: str | None, expected: Tracing | None) -> None:
    assert tracings.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["https://x", "http://", "http://a,b", "http://a?percent=101", "http://a?sample=1", "4318"]
)
def test_what_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(LocatorError):
        tracings.parse(text)


def test_the_address_is_written_as_others_read_it() -> None:
    assert Tracing("::1", 4318, path="/base").url == "http://[::1]:4318/base"


def test_a_collector_by_name_is_looked_up() -> None:
    kinds = [tracers.collector(Tracing(host, 4318))[0]["type"] for host in ("127.0.0.1", "::1", "collector")]
    assert kinds == ["STATIC", "STATIC", "STRICT_DNS"]
    assert tracers.collector(None) == []
