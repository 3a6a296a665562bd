from __future__ import annotations

from typing import Any

import pytest

from aiculturekit.targets.kubernetes import sights


def pod(name: str = "web-1", **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"app": "web", "version": "v1"}}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running", **status},
    }


READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def waiting(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "web", "restartCount": 4, "state": {"waiting": {"reason": reason}}}]}


@pytest.mark.parametrize(
    ("one", "state", "reason"),
    [
        (pod(**READY), "ready", ""),
        (pod(), "starting", ""),
        (pod(phase="Succeeded"), "done", ""),
        (pod(**waiting("ImagePullBackOff")), "failed", "ImagePullBackOff"),
        (pod(**waiting("CrashLoopBackOff")), "failed", "CrashLoopBackOff: exit code ?"),
        (pod(**READY) | {"metadata": {"name": "x", "labels": {}, "deletionTimestamp": "now"}}, "stopping", ""),
    ],
)
def test_a_pod_says_how_it_does_and_why_not_better(one: dict[str, Any], state: str, reason: str) -> None:
    (row,) = sights.pod_rows([one])
    assert (row["state"], row["reason"]) == (state, reason)


def test_pods_with_trouble_come_first() -> None:
    rows = sights.pod_rows([pod("a", **READY), pod("b", **waiting("ImagePullBackOff"))])
    assert [row["name"] for row in rows] == ["b", "a"]
