"""Which requests go where: weights and matches."""

from __future__ import annotations

from collections import Counter

from tests.conformance.cases import case
from tests.conformance.stages import Stage


@case("versions.weight", api="versions: {v1: {weight: 80}, v2: {weight: 20}}")
async def weights_split_by_share(stage: Stage) -> None:
    for source in ("web", "ingress"):
        seen = await stage.versions(200, source=source)
        assert seen.total() == seen["v1"] + seen["v2"] == 200, seen
        assert 15 <= seen["v2"] <= 70, seen


@case("versions.weight", api="versions: {v1: {weight: 0}, v2: {weight: 100}}")
async def no_weight_is_no_request(stage: Stage) -> None:
    assert await stage.versions(20) == Counter(v2=20)
