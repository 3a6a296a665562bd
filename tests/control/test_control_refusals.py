"""What is said about that which was not let through: the line that would allow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.control import refusals
from aiculturekit.mesh.nodes import Refusal

FILE = """\
app: shop
services:
  web:
    run: python web.py
    public: /
    needs:
      - {orders: [GET /orders*, HEAD]}
    access:
      jwt: {issuer: me, jwks: "https://keys.example/jwks"}
  orders: {run: python orders.py}
  far: {run: python far.py}
jobs:
  report: {run: python report.py, schedule: "@daily"}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "aic.yaml"
    path.write_text(FILE)
    return str(path)


@pytest.mark.parametrize(
    ("refusal", "message", "hint", "line"),
    [
        (
            Refusal(1.0, "shop", "web", "far", "GET", "/"),
            "web called far, which is not in its needs",
            "to allow it, add `far` to services.web.needs",
            6,
        ),
        (
            Refusal(1.0, "shop", "web", "orders", "POST", "/orders"),
            "web called POST /orders of orders, which its needs do not name",
            "to allow it, add `POST /orders` to the need `orders` of services.web.needs",
            6,
        ),
        (
            Refusal(1.0, "shop", "report", "orders", "GET", "/", allowed=True),
            "report called orders, which is not in its needs (allowed, because audit)",
            "to allow it, add `orders` to jobs.report.needs",
            13,
        ),
        (
            Refusal(1.0, "shop", "ingress", "web", "GET", "/", kind="token", detail="Jwt is expired"),
            "a request to web had no good token: Jwt is expired",
            "what a token must be like says services.web.access.jwt",
            9,
        ),
    ],
)
def test_the_line_that_decides_is_named(file: str, refusal: Refusal, message: str, hint: str, line: int) -> None:
    record = refusals.explained(refusal, file=file, environment="local")
    assert (record["message"], record["hint"], record["line"]) == (message, hint, line)
    assert record["allowed"] == refusal.allowed


def test_without_a_file_the_need_is_still_named() -> None:
    record = refusals.explained(
        Refusal(1.0, "shop", "web", "far", "GET", "/"), file="/nowhere/aic.yaml", environment=""
    )
    assert (record["hint"], record["line"]) == ("to allow it, add `far` to services.web.needs", 0)


def test_what_differs_only_in_its_path_is_the_same_again() -> None:
    one, two = (Refusal(at, "shop", "web", "far", "GET", f"/{at}") for at in (1.0, 2.0))
    assert refusals.key(one) == refusals.key(two)
    assert refusals.key(one) != refusals.key(Refusal(1.0, "shop", "web", "far", "POST", "/1.0"))
