"""Requests from outside that somebody else is asked about first."""

from __future__ import annotations

from tests.conformance.cases import case
from tests.conformance.checkers import ADDRESS, Checker
from tests.conformance.stages import Stage


def checked(**more: object) -> str:
    fields = {"url": ADDRESS, "timeout": "5s", **more}
    return "access: {check: {" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}}"


@case("access.check", api=checked(headers="[X-User]"))
async def a_check_decides_and_its_answer_is_the_clients(stage: Stage) -> None:
    async with Checker() as checker:
        answer = await stage.ask("/a?b=c", source="ingress", method="POST", body=b"x", cookie="s=1", x_user="boss")
        assert (answer.status, answer.seen["x-user"], answer.json["size"]) == (200, "ann", 1)
        assert "x-other" not in answer.seen, "only what is named goes on"
        [asked] = checker.asked
        assert (asked.method, asked.path, asked.headers["cookie"]) == ("POST", "/check/a?b=c", "s=1")
        assert asked.headers["host"] == stage.door("ingress").host
        assert asked.size == 0 and "x-user" not in asked.headers
        assert "x-user" not in (await stage.ask("/anonymous", source="ingress", x_user="boss")).seen
        seen = len(stage.seen)
        refused = await stage.ask("/no", source="ingress")
        assert (refused.status, refused.body, refused.headers["x-why"]) == (418, b"no", "because")
        sent = await stage.ask("/login", source="ingress")
        assert (sent.status, sent.headers["location"]) == (302, "https://login.example/")
        assert len(stage.seen) == seen


@case("access.check", api=checked())
async def nobody_is_asked_about_calls_within_the_mesh(stage: Stage) -> None:
    async with Checker() as checker:
        assert (await stage.ask("/no")).status == 200
        assert checker.asked == []


@case("access.check", api=checked(timeout="200ms"))
async def a_check_that_does_not_answer_refuses(stage: Stage) -> None:
    async with Checker() as checker:
        checker.waits = 30.0
        answer = await stage.ask("/x", source="ingress")
        assert answer.status == 503, answer
    assert (await stage.ask("/x", source="ingress")).status == 503, "nobody is there"
    assert stage.seen == []


@case("access.check", api=checked(timeout="200ms", fails="open"))
async def a_check_may_fail_open(stage: Stage) -> None:
    async with Checker() as checker:
        checker.waits = 30.0
        assert (await stage.ask("/x", source="ingress")).status == 200
    assert (await stage.ask("/x", source="ingress")).status == 200, "nobody is there"


@case("access.check", api=checked() + "\ntraffic: {cors: 'https://shop.example'}")
async def nobody_is_asked_about_a_browsers_question(stage: Stage) -> None:
    asks = {"origin": "https://shop.example", "access_control_request_method": "GET"}
    async with Checker() as checker:
        answer = await stage.ask("/no", source="ingress", method="OPTIONS", **asks)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
        assert checker.asked == []
        assert (await stage.ask("/no", source="ingress", method="OPTIONS")).status == 418
        assert (await stage.ask("/no", source="ingress", origin="https://shop.example")).status == 418
