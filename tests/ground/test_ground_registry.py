"""Schemes: exact, lazy, loud."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.errors import LocatorError
from aiculturekit.locator import Locator
from aiculturekit.registry import STATE, Registry


@pytest.fixture
def known() -> Registry:
    places = {
        "s3": "json:loads",
        "s3express": "json:dumps",
        "pg": "nope_driver:Open",
        "own": "aiculturekit.nowhere:Open",
    }
    return Registry("state", places, extras={"pg": "postgresql", "own": "postgresql"})


def test_schemes_match_exactly(known: Registry) -> None:
    assert known.load(Locator.parse("s3express://b")) is json.dumps
    assert known.load(Locator.parse("S3://b")) is json.loads


@pytest.mark.parametrize(("scheme", "hint"), [("s3x", "s3"), ("zzz", "own, pg, s3, s3express")])
def test_an_unknown_scheme_is_refused_with_what_was_meant(known: Registry, scheme: str, hint: str) -> None:
    with pytest.raises(LocatorError, match=scheme) as caught:
        known.load(Locator.parse(f"{scheme}://user:hunter2@b"))
    assert hint in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_a_missing_extra_is_named_with_its_command(known: Registry) -> None:
    with pytest.raises(LocatorError, match="nope_driver") as caught:
        known.load(Locator.parse("pg://h"))
    assert caught.value.hint == "pip install 'aiculturekit[postgresql]'"


def test_our_own_bug_is_never_dressed_up_as_a_missing_extra(known: Registry) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"aiculturekit\.nowhere"):
        known.load(Locator.parse("own://h"))


@pytest.mark.parametrize(
    ("scheme", "place"), [("s3", "evil:Open"), ("new", "no_attribute"), ("new", ":x"), ("new", "x:")]
)
def test_a_plugin_shadows_nothing_and_reads_right(known: Registry, scheme: str, place: str) -> None:
    with pytest.raises(LocatorError):
        known.add(scheme, place=place)
    assert known.schemes == ("own", "pg", "s3", "s3express")


def test_only_plugins_that_were_allowed_are_discovered(known: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def points(*, group: str) -> list[Any]:
        return [importlib.metadata.EntryPoint(name, f"{name}_state:Open", group) for name in ("one", "two")]

    monkeypatch.setattr("aiculturekit.registry.entry_points", points)
    known.discover(allowed={"two"})
    assert set(known.schemes) - {"own", "pg", "s3", "s3express"} == {"two"}


def test_asking_for_one_backend_imports_no_other() -> None:
    code = (
        "import sys; from aiculturekit.locator import Locator; from aiculturekit.registry import STATE\n"
        "before = 'sqlalchemy' in sys.modules\n"
        "STATE.load(Locator.parse('memory://')); print(before, 'sqlalchemy' in sys.modules, 'psycopg' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path.home())
    assert shown.stdout.split() == ["False", "True", "False"]


def test_every_scheme_of_the_state_loads() -> None:
    for scheme in STATE.schemes:
        assert callable(STATE.load(Locator(scheme)))
