"""Deliveries as documents: what moves, what each step is, and that going back leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.errors import Mistake, NotFound, Refused
from aiculturekit.plan import deliveries, holds
from aiculturekit.plan.deliveries import Delivery, Move
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import diff


def service(
    name: str, *, protocol: str = "http", weights: dict[str, float] | None = None, **versions: str
) -> list[Document]:
    return [
        Document("access", name, {"callers": [], "versions": list(versions), "protocol": protocol}),
        *(
            Document("workload", f"{name}/{v}", {"source": code, "needs": [], "scale": {"min": 1}})
            for v, code in versions.items()
        ),
        Document("route", name, {"weights": weights or dict.fromkeys(versions, 100.0 / len(versions)), "matches": {}}),
    ]


OLD, NEW = service("web", v1="old"), service("web", v1="new")
CANARY = Move("web", "canary", "web/v1", is_temporary=True)


def found(before: list[Document], wanted: list[Document], version: str | None = None) -> tuple[Move, ...]:
    return deliveries.moves(before, wanted, version=version, name="canary")


def made(before: list[Document], wanted: list[Document], *moves: Move, **rest: Any) -> Delivery:
    return Delivery("shop", tuple(before), tuple(wanted), moves, **rest)


def body(documents: tuple[Document, ...], *key: str) -> Any:
    return {d.key: d for d in documents}[key[0], key[1]].body


def test_only_what_changes_its_code_moves() -> None:
    assert found(OLD, NEW) == (CANARY,)
    assert found(OLD, OLD) == ()
    scaled = [holds.hold(d, value={"min": 4}) if d.kind == "workload" else d for d in OLD]
    assert found(OLD, scaled) == ()
    assert found(OLD, [*NEW, *service("more", v1="x")]) == (CANARY,)
    assert found([], NEW) == ()


def test_a_step_is_the_new_version_beside_what_runs() -> None:
    more = [*service("more", v1="x"), Document("ingress", "/more", {"service": "more"}), Document("job", "note", {})]
    step = deliveries.at(made(OLD, [*NEW, *more], CANARY), 25.0)
    assert body(step, "workload", "web/v1")["source"] == "old"
    assert body(step, "workload", "web/canary")["source"] == "new"
    assert body(step, "route", "web") == {"weights": {"canary": 25.0, "v1": 75.0}, "matches": {}}
    kinds = {d.key for d in step}
    assert ("workload", "more/v1") in kinds and ("route", "more") in kinds
    assert not {("ingress", "/more"), ("job", "note")} & kinds


def test_at_the_end_the_file_is_true_and_going_back_leaves_nothing() -> None:
    delivery = made(OLD, NEW, CANARY)
    step = deliveries.at(delivery, 50.0)
    assert diff(deliveries.after(delivery, 100.0), NEW) == ()
    back = deliveries.emptied(delivery, there=step)
    assert body(back, "route", "web")["weights"] == {"v1": 100.0}
    assert ("workload", "web/canary") in {d.key for d in back}
    assert [s.action for s in diff(OLD, back)] == ["delete"]
    beside = deliveries.beside(delivery.wanted, delivery, there=step)
    assert [s.action for s in diff(delivery.wanted, beside)] == ["delete"]


def test_a_preview_is_reached_by_a_header_and_by_nothing_else() -> None:
    step = deliveries.at(made(OLD, NEW, CANARY, has_preview=True), 0.0)
    assert body(step, "route", "web")["weights"] == {"canary": 0.0, "v1": 100.0}
    assert body(step, "route", "web")["matches"] == {"canary": {"header": {"x-preview": {"exact": "shop"}}}}


def test_a_version_of_the_file_moves_when_it_is_named() -> None:
    before = service("pay", weights={"v1": 90.0, "v2": 10.0}, v1="one", v2="two")
    wanted = service("pay", weights={"v1": 90.0, "v2": 10.0}, v1="one", v2="three")
    with pytest.raises(Refused, match="versions of its own"):
        found(before, wanted)
    move = Move("pay", "v2", "pay/v2", is_temporary=False)
    assert found(before, wanted, "v2") == found(before, wanted, "pay/v2") == (move,)
    delivery = made(before, wanted, move)
    assert body(deliveries.emptied(delivery, there=before), "route", "pay")["weights"] == {"v1": 100.0, "v2": 0.0}
    step = deliveries.at(delivery, 25.0)
    assert body(step, "route", "pay")["weights"] == {"v1": 75.0, "v2": 25.0}
    assert body(step, "workload", "pay/v2")["source"] == "three"
    last = body(deliveries.after(delivery, 100.0), "route", "pay")
    assert last == {"weights": {"v1": 0.0, "v2": 100.0}, "matches": {}, "declared": {"v1": 90.0, "v2": 10.0}}
    assert body(deliveries.emptied(delivery, there=step), "route", "pay")["weights"] == {"v1": 100.0, "v2": 0.0}


def test_a_version_that_is_new_in_the_file_moves_when_it_is_named() -> None:
    before, wanted = service("pay", v1="one"), service("pay", weights={"v1": 50.0, "v2": 50.0}, v1="one", v2="two")
    with pytest.raises(Refused):
        found(before, wanted)
    (move,) = found(before, wanted, "v2")
    delivery = made(before, wanted, move)
    assert body(deliveries.at(delivery, 5.0), "route", "pay")["weights"] == {"v1": 95.0, "v2": 5.0}


def test_what_is_refused_says_what_to_do() -> None:
    two = [*service("pay", v1="a", v2="b"), *service("web", v1="a", v2="b")]
    with pytest.raises(Mistake, match="pay, web have a version v2") as several:
        found(two, two, "v2")
    assert "--version pay/v2" in several.value.hint
    with pytest.raises(NotFound):
        found(OLD, NEW, "v7")
    with pytest.raises(Refused, match="all requests"):
        found(OLD, NEW, "v1")
    with pytest.raises(Refused, match="tcp"):
        found(service("db", protocol="tcp", v1="a"), service("db", protocol="tcp", v1="b"))


def test_the_name_of_the_file_is_left_alone() -> None:
    before, wanted = service("web", canary="old"), service("web", canary="new")
    assert found(before, wanted) == (Move("web", "canary-2", "web/canary", is_temporary=True),)


def test_the_only_version_may_change_its_name() -> None:
    before, wanted = service("web", v1="old"), service("web", v2="new")
    assert found(before, wanted) == (Move("web", "canary", "web/v2", is_temporary=True),)
    step = deliveries.at(made(before, wanted, *found(before, wanted)), 5.0)
    assert body(step, "route", "web")["weights"] == {"canary": 5.0, "v1": 95.0}
    assert ("workload", "web/v2") not in {d.key for d in step}
