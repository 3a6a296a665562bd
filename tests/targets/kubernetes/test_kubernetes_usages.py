from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.targets.kubernetes import usages


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250m", 0.25),
        ("64Mi", 64 * 2**20),
        ("1", 1.0),
        ("12345678n", 0.012345678),
        ("1e3", 1000.0),
        ("5x", None),
        ("", None),
    ],
)
def test_amounts_are_read_as_kubernetes_writes_them(text: str, amount: float | None) -> None:
    found = usages.amount(text)
    assert found is None if amount is None else found == pytest.approx(amount)


def pod(name: str, *requests: dict[str, str], phase: str = "Running") -> dict[str, Any]:
    containers = [{"name": str(at), "resources": {"requests": one}} for at, one in enumerate(requests)]
    return {"metadata": {"name": name}, "spec": {"containers": containers}, "status": {"phase": phase}}


def test_a_pod_is_what_its_containers_are_together() -> None:
    measured = {"metadata": {"name": "web"}, "containers": [{"usage": {"cpu": "10m", "memory": "1Mi"}}] * 2}
    listed = [
        pod("web", {"cpu": "100m", "memory": "4Mi"}, {"cpu": "100m"}),
        pod("done", {}, phase="Succeeded"),
        pod("new", {}),
    ]
    web, new = usages.of_pods(listed, [measured])
    assert web.cpu == (pytest.approx(0.2), pytest.approx(0.02))
    assert web.memory == (4 * 2**20, 2 * 2**20)
    assert (new.cpu, new.memory) == ((None, None), (None, None))
