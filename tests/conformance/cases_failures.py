"""When things go wrong, or are made to: timeouts, retries, breakers, faults, copies."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.conformance.cases import case
from tests.conformance.stages import Stage, until

ALL_V2 = "versions: {v1: {weight: 0}, v2: {weight: 100}}"
"""A single replica takes everything."""


@case("traffic.timeout", api="traffic: {timeout: 500ms}")
async def a_timeout_is_for_the_whole_answer(stage: Stage) -> None:
    stage.behave(delay=3.0)
    for source in ("web", "ingress"):
        answer = await stage.ask("/", source=source)
        assert answer.status == 504 and 0.4 < answer.took < 2.5, answer


@case("traffic.timeout", api="traffic: {timeout: null, retries: 0}")
async def no_timeout_is_none(stage: Stage) -> None:
    stage.behave(delay=2.0)
    answer = await stage.ask("/")
    assert answer.status == 200 and answer.took > 1.9


@case("traffic.routes.timeout", api="traffic: {timeout: 500ms, routes: [{match: {path: /slow}, timeout: 10s}]}")
async def a_route_has_its_own_timeout(stage: Stage) -> None:
    stage.behave(delay=1.5)
    assert (await stage.ask("/")).status == 504
    assert (await stage.ask("/slow")).status == 200


@case("traffic.retries.attempts")
async def an_answer_is_not_tried_again_by_default(stage: Stage) -> None:
    stage.behave(status=503)
    assert (await stage.ask("/")).status == 503
    assert len(stage.seen) == 1


@case("traffic.retries.attempts", "traffic.retries.on", api="traffic: {retries: {attempts: 3, on: 5xx}}")
async def so_many_tries_after_the_first(stage: Stage) -> None:
    stage.behave(status=503)
    for source in ("web", "ingress"):
        before = len(stage.seen)
        assert (await stage.ask("/", source=source)).status == 503
        assert len(stage.seen) - before == 4


@case("traffic.retries.attempts", "traffic.retries.on", api="traffic: {retries: {attempts: 4, on: 5xx}}")
async def a_later_try_may_succeed(stage: Stage) -> None:
    stage.behave("v1-1", status=500)
    found = Counter(answer.status for answer in await stage.many(30))
    assert found[200] >= 25, found


@case("traffic.retries.on", api="traffic: {retries: {attempts: 2, on: gateway-error}}")
async def only_what_is_named_is_tried_again(stage: Stage) -> None:
    stage.behave(status=500)
    assert (await stage.ask("/")).status == 500
    assert len(stage.seen) == 1
    stage.behave(status=502)
    assert (await stage.ask("/")).status == 502
    assert len(stage.seen) == 4


@case("traffic.retries.on", api="traffic: {retries: {attempts: 2, on: 'retriable-4xx,5xx'}}")
async def several_words(stage: Stage) -> None:
    stage.behave(status=409)
    assert (await stage.ask("/")).status == 409
    assert len(stage.seen) == 3
    stage.behave(status=404)
    assert (await stage.ask("/")).status == 404
    assert len(stage.seen) == 4


@case("traffic.retries.on", api="traffic: {retries: {attempts: 1, on: '503,404'}}")
async def a_status_by_its_number(stage: Stage) -> None:
    for status, tries in ((503, 2), (404, 2), (502, 1)):
        before = len(stage.seen)
        stage.behave(status=status)
        assert (await stage.ask("/")).status == status
        assert len(stage.seen) - before == tries, status


@case("traffic.retries.attempts", api="traffic: {retries: 0}")
async def no_tries(stage: Stage) -> None:
    stage.behave(status=503)
    assert (await stage.ask("/")).status == 503
    assert len(stage.seen) == 1


@case("traffic.retries.per_try", api="traffic: {timeout: 30s, retries: {attempts: 2, on: 5xx, per_try: 500ms}}")
async def each_try_has_its_time(stage: Stage) -> None:
    stage.behave(delay=4.0)
    answer = await stage.ask("/")
    assert answer.status == 504 and 1.2 < answer.took < 4.0, answer
    assert len(stage.seen) == 3


_OWN = "traffic: {retries: 0, routes: [{match: {path: /again}, retries: {attempts: 2, on: 5xx}}]}"


@case("traffic.routes.retries", api=_OWN)
async def a_route_has_its_own_retries(stage: Stage) -> None:
    stage.behave(status=503)
    assert (await stage.ask("/again")).status == 503
    assert len(stage.seen) == 3
    assert (await stage.ask("/")).status == 503
    assert len(stage.seen) == 4


@case("traffic.retries.budget", api=f"{ALL_V2}\ntraffic: {{retries: {{attempts: 3, on: 5xx, budget: 20}}}}")
async def retries_stay_within_their_budget(stage: Stage) -> None:
    stage.behave(status=503, delay=0.5)
    answers = await stage.many(40, at_once=40)
    assert {answer.status for answer in answers} == {503}
    assert 40 < len(stage.seen) < 100, "without a budget it would be 160"


@case("traffic.breaker.consecutive", "traffic.breaker.over", api="traffic: {breaker: {consecutive: 3, over: 3s}}")
async def a_replica_that_fails_in_a_row_is_left_out_for_a_while(stage: Stage) -> None:
    bad = stage.replicas["v1-1"]
    stage.behave("v1-1", status=500)
    found = Counter(answer.status for answer in await stage.many(60, at_once=1))
    assert 3 <= found[500] <= 6 and len(bad.seen) == found[500], "a few are under way while the word goes round"
    struck = len(bad.seen)
    stage.behave("v1-1", status=200)

    async def is_back() -> bool:
        await stage.ask("/")
        return len(bad.seen) > struck

    await until(is_back, what="the replica is asked again")


@case("traffic.breaker.consecutive", api=f"{ALL_V2}\ntraffic: {{breaker: {{consecutive: 2, over: 30s}}}}")
async def the_last_replica_opens_the_circuit(stage: Stage) -> None:
    stage.behave(status=500)
    found = [(await stage.ask("/")).status for _ in range(20)]
    assert found[:2] == [500, 500] and found[-10:] == [503] * 10, found
    assert len(stage.seen) <= 10, found


@case("traffic.breaker.consecutive", api="traffic: {breaker: {consecutive: 3, over: 30s}}")
async def failures_that_are_not_in_a_row_do_not_count(stage: Stage) -> None:
    stage.behave(status=500, every=2)
    await stage.many(30, at_once=1)
    counts = {name: len(replica.seen) for name, replica in stage.replicas.items()}
    assert counts["v1-1"] > 4 and counts["v1-2"] > 4, counts


@case("traffic.breaker.errors", "traffic.breaker.over", api="traffic: {breaker: {errors: 40, over: 1s}}")
async def a_replica_whose_share_of_failures_is_too_large_is_left_out(stage: Stage) -> None:
    stage.behave("v1-1", status=500, every=2)

    async def is_left_out() -> bool:
        await stage.many(30, at_once=2)
        before = len(stage.replicas["v1-1"].seen)
        await stage.many(10, at_once=1)
        return len(stage.replicas["v1-1"].seen) == before

    await until(is_left_out, what="it is left out")


@case("traffic.breaker.errors", api="traffic: {breaker: {errors: 60, over: 1s}}")
async def a_share_of_failures_below_the_bar_is_borne(stage: Stage) -> None:
    stage.behave("v1-1", status=500, every=4)
    for _ in range(6):
        await stage.many(20, at_once=2)
        await asyncio.sleep(0.3)
    before = len(stage.replicas["v1-1"].seen)
    await stage.many(20, at_once=2)
    assert len(stage.replicas["v1-1"].seen) > before


@case("traffic.breaker.max_requests", api=f"{ALL_V2}\ntraffic: {{retries: 0, breaker: {{max_requests: 2}}}}")
async def more_requests_than_it_takes_are_refused_at_once(stage: Stage) -> None:
    stage.behave(delay=1.5)
    answers = await stage.many(12, at_once=12)
    found = Counter(answer.status for answer in answers)
    assert found == {200: 2, 503: 10}, found
    assert min(answer.took for answer in answers if answer.status == 503) < 1.0
    assert stage.replicas["v2-1"].most_active == 2


@case("traffic.breaker.max_connections", api=f"{ALL_V2}\ntraffic: {{retries: 0, breaker: {{max_connections: 2}}}}")
async def more_connections_than_it_takes_are_not_made(stage: Stage) -> None:
    stage.behave(delay=1.0)
    answers = await stage.many(16, at_once=16)
    found = Counter(answer.status for answer in answers)
    assert 2 <= found[200] <= 8 and found[200] + found[503] == 16, found
    assert stage.replicas["v2-1"].most_active <= 4, "a thread of Envoy's may always have one"


@case("traffic.fault.abort", api="traffic: {fault: {abort: 418}}")
async def an_abort_answers_instead_of_the_service(stage: Stage) -> None:
    for source in ("web", "ingress"):
        assert (await stage.ask("/", source=source)).status == 418
    assert stage.seen == []


@case("traffic.fault.share", "traffic.fault.abort", api="traffic: {fault: {abort: 503, share: 30}}")
async def a_fault_strikes_its_share(stage: Stage) -> None:
    found = Counter(answer.status for answer in await stage.many(200, at_once=8))
    assert set(found) == {200, 503} and 30 <= found[503] <= 95, found


@case("traffic.fault.delay", api="traffic: {fault: {delay: 1s}}")
async def a_delay_comes_first(stage: Stage) -> None:
    answer = await stage.ask("/")
    assert answer.status == 200 and answer.took > 0.95


@case("traffic.fault.when", api="traffic: {fault: {abort: 503, when: {header: {x-chaos: '1'}}}}")
async def a_fault_for_some_requests_only(stage: Stage) -> None:
    assert (await stage.ask("/", x_chaos="1")).status == 503
    assert (await stage.ask("/", x_chaos="2")).status == 200
    assert (await stage.ask("/")).status == 200


@case("traffic.routes.fault", api="traffic: {routes: [{match: {path: /bad}, fault: {abort: 500, delay: 500ms}}]}")
async def a_route_has_its_own_fault(stage: Stage) -> None:
    answer = await stage.ask("/bad")
    assert answer.status == 500 and answer.took > 0.45
    assert (await stage.ask("/")).status == 200


@case("traffic.mirror.version", api="traffic: {mirror: v2}")
async def a_copy_goes_to_another_version(stage: Stage) -> None:
    copies = stage.replicas["v2-1"].seen
    for source in ("web", "ingress"):
        assert {answer.version for answer in await stage.many(10, "/x?y=1", source=source, x_mine="7")} == {"v1"}
    await until(lambda: _true(len(copies) == 20), what="twenty copies")
    assert {(copy.method, copy.path, copy.headers["x-mine"]) for copy in copies} == {("GET", "/x?y=1", "7")}


@case("traffic.mirror.share", api="traffic: {mirror: {version: v2, share: 30}}")
async def a_share_is_copied(stage: Stage) -> None:
    assert await stage.versions(200, at_once=8) == Counter(v1=200)
    await asyncio.sleep(0.5)
    assert 30 <= len(stage.replicas["v2-1"].seen) <= 95


@case("traffic.mirror.version", api="traffic: {mirror: v2}")
async def a_failing_copy_is_nobodys_trouble(stage: Stage) -> None:
    stage.behave("v2-1", hang_up=True)
    assert await stage.versions(10) == Counter(v1=10)


@case("traffic.routes.mirror", api="traffic: {routes: [{match: {path: /copied}, mirror: v2}]}")
async def a_route_has_its_own_copy(stage: Stage) -> None:
    await stage.ask("/plain/7")
    await stage.ask("/copied/7")

    async def copies() -> list[str]:
        return [copy.path for copy in stage.replicas["v2-1"].seen if copy.path.endswith("/7")]

    await until(copies, what="a copy")
    await asyncio.sleep(0.3)
    assert await copies() == ["/copied/7"]


async def _true(value: object) -> bool:
    return bool(value)


_SPREAD = "scale: 2\ntraffic: {{zones: [{zones}], breaker: {{consecutive: 3, over: 3s}}, retries: 0}}"


@case("traffic.zones", api=_SPREAD.format(zones="eu-west/a, eu-west/b"))
async def the_first_place_takes_all_until_it_fails_and_again_when_it_is_well(stage: Stage) -> None:
    await _moves_and_returns(stage)


@case("traffic.zones", api=_SPREAD.format(zones="eu-west/a, us-east"))
async def another_region_takes_over(stage: Stage) -> None:
    await _moves_and_returns(stage)


async def _moves_and_returns(stage: Stage) -> None:
    for source in ("web", "ingress"):
        assert await _replicas(stage, source, count=20) == {"v1-1"}
    for source in ("web", "ingress"):
        stage.behave("v1-1", status=503)
        await until(lambda source=source: _all_from(stage, "v1-2", source), what=f"the second place serves {source}")
        stage.behave("v1-1", status=200)
        await until(
            lambda source=source: _all_from(stage, "v1-1", source), what=f"the first place serves {source} again"
        )


async def _all_from(stage: Stage, name: str, source: str) -> bool:
    return await _replicas(stage, source, count=10) == {name}


async def _replicas(stage: Stage, source: str, *, count: int) -> set[str]:
    return {answer.replica for answer in await stage.many(count, source=source, at_once=1)}


@case("traffic.zones", api="scale: 2\ntraffic: {zones: [eu-west/a, eu-west/b], balance: {header: x-user}}")
async def equal_requests_go_to_the_same_replica_of_the_nearest_place(stage: Stage) -> None:
    found = {(await stage.ask("/", x_user=str(user))).replica for user in range(20)}
    assert found == {"v1-1"}
