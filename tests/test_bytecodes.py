"""The daemon's bytecode is kept, whatever the environment says about writing any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiculturekit import bytecodes

SHOWN = """
import json, sys
from aiculturekit import bytecodes
bytecodes.keep()
from aiculturekit import locator
print(json.dumps([sys.pycache_prefix, locator.__cached__, bytecodes.python(), sorted(bytecodes.environment())]))
"""


def shown(cache: Path) -> list[Any]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(cache), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-OO", "-c", SHOWN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def test_it_is_written_once_to_a_folder_of_the_user(tmp_path: Path) -> None:
    folder, cached, *_ = shown(tmp_path)
    assert Path(folder).is_relative_to(tmp_path) and Path(cached).is_relative_to(folder)
    assert cached.endswith(".opt-2.pyc")
    written = Path(cached).stat().st_ino
    assert shown(tmp_path)[1] == cached and Path(cached).stat().st_ino == written, "the second start only reads it"


def test_programs_of_the_daemon_do_the_same(tmp_path: Path) -> None:
    folder, _, command, variables = shown(tmp_path)
    assert command[1:] == ["-OO", "-X", f"pycache_prefix={folder}"]
    assert "PYTHONDONTWRITEBYTECODE" not in variables and "HOME" in variables


def test_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", None)
    assert bytecodes.python() == [sys.executable] and bytecodes.environment() == dict(os.environ)


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "aiculturekit").write_text("no folder")
    (tmp_path / "Library").write_text("nor where macOS has it")
    folder, _, command, _ = shown(tmp_path)
    assert folder is None and command == [sys.executable]


def test_a_folder_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    folder = Path(shown(tmp_path)[0])
    folder.chmod(0o770)
    assert shown(tmp_path)[0] is None
