"""Variables that name what a workload in a network of its own does not reach."""

from __future__ import annotations

import pytest

from aiculturekit.control import unreached
from aiculturekit.plan.documents import Document


def workload(env: dict[str, str], *needs: str) -> Document:
    listed = [{"kind": "external", "name": "", "url": url, "operations": []} for url in needs]
    listed.append({"kind": "services", "name": "back", "url": None, "operations": []})
    return Document("workload", "web/v1", {"env": env, "needs": listed})


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("postgres://app:secret@localhost:5432/app", "localhost:5432"),
        ("postgresql+asyncpg://127.0.0.1/app", "localhost:5432"),
        ("redis://127.0.0.1:6380/0", "localhost:6380"),
        ("http://10.0.0.5/x", "10.0.0.5:80"),
    ],
)
def test_an_address_that_the_needs_do_not_name(value: str, place: str) -> None:
    [line] = unreached.problems([workload({"DATABASE": value})])
    assert line.startswith(f"web: DATABASE names {place}") and f"tcp://{place}" in line
    assert "secret" not in line
    assert unreached.problems([workload({"DATABASE": value}, f"tcp://{place}")]) == []
    assert unreached.problems([workload({"DATABASE": value}, f"tcp://{place.replace('localhost', '127.0.0.1')}")]) == []


@pytest.mark.parametrize(
    "value",
    [
        "https://api.example.com/v1",
        "postgres://db/app",
        "localhost:5432",
        "http://localhost.example.com:80/",
        "v1.2.3.4",
        "http://back",
        "",
    ],
)
def test_what_is_reported_elsewhere_or_is_no_address_is_left_alone(value: str) -> None:
    """A name that is looked up in vain is reported when that happens."""
    assert unreached.problems([workload({"ANY": value})]) == []


def test_versions_of_one_workload_say_it_once() -> None:
    one = workload({"CACHE": "redis://localhost"})
    assert len(unreached.problems([one, Document("workload", "web/v2", one.body)])) == 1
