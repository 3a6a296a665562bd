from __future__ import annotations

import pytest

from aiculturekit.errors import LocatorError
from aiculturekit.locator import Locator
from aiculturekit.targets.kubernetes import places, rendering


def parsed(options: str) -> places.Cluster:
    return places.parse(Locator.parse(f"kubernetes:///shop?{options}"))


@pytest.mark.parametrize(("options", "sampled"), [("mesh=istio", []), ("mesh=istio&traces=12.5", [12.5])])
def test_traces_are_asked_of_istio_where_a_share_is_named(options: str, sampled: list[float]) -> None:
    found = rendering.rendered("shop", (), cluster=parsed(options))
    telemetry = [one.manifest for one in found if one.manifest["kind"] == "Telemetry"]
    assert [one["spec"]["tracing"][0]["randomSamplingPercentage"] for one in telemetry] == sampled


@pytest.mark.parametrize(
    "options", ["mesh=istio&traces=101", "mesh=istio&traces=-1", "mesh=none&traces=10", "traces=10"]
)
def test_traces_that_nobody_could_make_are_refused(options: str) -> None:
    with pytest.raises(LocatorError, match="traces"):
        parsed(options)
