"""What a test needs and a machine may lack: a reason to skip for a user; never where everything must hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


class Missing(Exception):
    """A program that tests use can't be had here, and why."""


def need(obstacle: str | None) -> None:
    if obstacle:
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)


def built(*programs: Callable[[], Path]) -> None:
    """What is not there is built or fetched."""
    try:
        for program in programs:
            program()
    except Missing as error:
        need(str(error))
