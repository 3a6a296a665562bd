"""The local target over a mesh that only remembers; the real one is in tests/integration."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.errors import Mistake
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.spec import load
from aiculturekit.targets.local import Local, checks, launches


class Remembers:
    """Ports and a mesh in one: both only have to answer."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.nodes: list[Any] = []
        self._next = itertools.count(20000)

    async def ensure(self, names: list[str]) -> dict[str, int]:
        for name in names:
            self.held.setdefault(name, next(self._next))
        return self.held

    async def apply(self, node: Any) -> None:
        self.nodes.append(node)


def local(around: Any) -> Local:
    return Local(
        home=Path("/nowhere"),
        engine=around,
        mesh=around,
        ports=around,
        scheduler=around,
        inherited={},
        ingress_port=8080,
        stores=around,
    )


async def test_what_is_in_force_is_listed_in_one_order_however_it_came_about() -> None:
    access = [
        Document(
            "access", name, {"callers": [], "versions": ["v1"], "operations": {}, "access": {}, "protocol": "http"}
        )
        for name in "abc"
    ]
    ingress = Document("ingress", "/", {"service": "a"})
    wanted = [("access", "a"), ("access", "b"), ("access", "c"), ("ingress", "/")]
    for seed in range(5):
        target = local(Remembers())
        for document in random.Random(seed).sample([*access, ingress], k=4):
            step = Step("create", document, why="new")
            await target.perform("app", step=step, release=1, progress=lambda name, message: None)
        assert [document.key for document in target.in_force("app")] == wanted


def test_stand_ins_are_written_as_need_and_place() -> None:
    text = "https://API.example.com=127.0.0.1:9443  tcp://mail.example.com:587=localhost:2525"
    assert launches.stand_ins(text) == {
        "https://api.example.com": ("127.0.0.1", 9443),
        "tcp://mail.example.com:587": ("localhost", 2525),
    }
    for wrong in ("api.example.com=127.0.0.1:1", "https://a.com=9443", "https://a.com"):
        with pytest.raises(Mistake, match="AIC_STAND_INS"):
            launches.stand_ins(wrong)


def test_a_secret_of_a_cluster_is_refused_here_with_its_line(tmp_path: Path) -> None:
    text = 'app: a\nservices:\n  web:\n    run: x\n    env:\n      TOKEN: "secret:kubernetes/stripe/key"\n'
    (found,) = checks.problems(load.parse(text, file=tmp_path / "aic.yaml"), is_isolated=True)
    assert (found.line, found.path) == (6, "services.web.env.TOKEN")
    assert found.message == "only in a cluster a variable is filled in from a Secret"
