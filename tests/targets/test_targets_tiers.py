"""No place is called proven without the test that proved it, and none that can be used is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.registry import RENDERERS, TARGETS
from aiculturekit.targets.tiers import TIERS

ROOT = Path(__file__).parents[2]
_SIGNS = {
    "local": "aic",
    "kubernetes": '"--to"',
    "istio": '"istio"',
    "linkerd": "RENDERERS",
    "gateway-api": "RENDERERS",
}
"""A word by which the proof shows that it is about this place."""


def test_every_place_has_a_tier() -> None:
    assert set(TIERS) == {*TARGETS.schemes, *RENDERERS.schemes}


@pytest.mark.parametrize("name", TIERS)
def test_every_tier_names_a_test_that_runs_servers(name: str) -> None:
    text = (ROOT / TIERS[name].proof).read_text()
    assert "pytest.mark.integration" in text
    assert _SIGNS[name] in text


def test_only_what_ran_is_real() -> None:
    assert {name for name, tier in TIERS.items() if tier.level == "real"} == {"local", "kubernetes", "istio"}
