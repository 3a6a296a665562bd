"""What a test needs and a machine may lack: a reason to skip for a user; never where everything must hold."""

from __future__ import annotations

import os

import pytest


def need(obstacle: str | None) -> None:
    if obstacle:
        if os.environ.get("CI"):
            pytest.fail(obstacle)
        pytest.skip(obstacle)
