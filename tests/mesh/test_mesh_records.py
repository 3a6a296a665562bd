"""Documents become values by their own annotations."""

from __future__ import annotations

import dataclasses
import json

import pytest

from aiculturekit.mesh import features, records
from aiculturekit.mesh.rules import Access, Traffic


@pytest.mark.parametrize("feature", features.FEATURES, ids=lambda feature: feature.name)
def test_what_is_written_down_reads_back_the_same(feature: features.Feature) -> None:
    for service in feature.node.services:
        for value in (service.traffic, service.access):
            record = json.loads(json.dumps(dataclasses.asdict(value)))
            assert records.read(type(value), record) == value


def test_what_is_left_out_has_its_default_and_nothing_else_is_taken() -> None:
    assert records.read(Traffic, {}) == Traffic()
    assert records.read(Access, {"jwt": [{"issuer": "me", "jwks": "{}"}]}).jwt[0].open == ()
    with pytest.raises(TypeError):
        records.read(Traffic, {"unheard": 1})
