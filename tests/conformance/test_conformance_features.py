"""The support matrix says yes for this machine and for Istio only where a case of this suite asks both (test_conformance plays them).

What a case is about it says itself (`Case.features`); what exactly it uses is read from its application file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aiculturekit.control import renderings
from aiculturekit.mesh import uses
from tests.conformance import stages, test_conformance
from tests.conformance.cases import CASES, Case

ROOT = Path(__file__).parents[2]
MODULES = test_conformance.MODULES
"""Importing them declares their cases."""

ELSEWHERE: dict[str, dict[str, str]] = {
    "local": {
        "traffic.fault tcp": "tests/integration/test_integration_tunnels.py",
        "traffic.fault.callers": "tests/integration/test_integration_rules.py",
    },
    "istio": {},
}
"""What one mesh alone is asked, by another suite with real processes."""


def part(name: str) -> list[str]:
    """What a feature's or a case's name is about, without its finer points."""
    words = re.split(r"[. ]", name)
    words = [word for word in words if word != "match"] if words[:2] == ["traffic", "routes"] else words
    depth = 3 if words[:2] == ["traffic", "routes"] else 2
    return words[:depth] if words[0] in ("traffic", "match", "versions", "access", "protocol") else words[:1]


def asked(case: Case, folder: Path) -> set[str]:
    about = [part(name) for name in case.features]
    for name, text in case.files.items():
        (folder / name).write_text(text)
    used = {use.feature for use in uses.of(stages.node(case.text, folder=folder))}
    return {feature for feature in used if part(feature) in about}


def backed(folder: Path) -> set[str]:
    return {feature for case in CASES for feature in asked(case, folder)}


@pytest.mark.parametrize("mesh", ["local", "istio"])
def test_no_yes_is_without_a_case(mesh: str, tmp_path: Path) -> None:
    said = {cell.feature for row in renderings.matrix() for cell in row if cell.mesh == mesh and cell.is_supported}
    assert said - backed(tmp_path) - set(ELSEWHERE[mesh]) == set()


@pytest.mark.parametrize("mesh", ELSEWHERE)
def test_what_is_asked_elsewhere_is_needed_and_there(mesh: str, tmp_path: Path) -> None:
    assert not set(ELSEWHERE[mesh]) & backed(tmp_path), "a case asks it now"
    for proof in ELSEWHERE[mesh].values():
        assert (ROOT / proof).is_file()


def test_every_case_is_about_what_it_uses(tmp_path: Path) -> None:
    """A case that names a feature which its own file does not use backs nothing; defaults state nothing and are left out."""
    idle = {case.name: case.features for case in CASES if not asked(case, tmp_path)}
    assert {name: features for name, features in idle.items() if not _is_about_defaults(features)} == {}


def _is_about_defaults(features: tuple[str, ...]) -> bool:
    usual = {"traffic.retries.attempts", "traffic.balance.policy", "protocol.http", "needs", "traffic.limit.by"}
    return set(features) <= usual
