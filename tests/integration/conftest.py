"""A mesh with its Envoy, and who is on it, for the tests that need no daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiculturekit.mesh.meshes import Mesh
from tests.mesh import stages


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with stages.running(tmp_path) as mesh:
        yield mesh


@pytest.fixture
def stage() -> stages.Stage:
    return stages.Stage()
