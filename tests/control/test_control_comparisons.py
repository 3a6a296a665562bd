from __future__ import annotations

from aiculturekit.control import comparisons
from aiculturekit.plan.documents import Document


def test_files_differ_at_the_deepest_place() -> None:
    one = {"services": {"web": {"env": {"LEVEL": "low", "SAME": "x"}, "scale": 2}}}
    other = {"services": {"web": {"env": {"LEVEL": "high", "SAME": "x", "TOKEN": "abc"}}}}
    assert comparisons.of_files(one, other) == [
        {"path": "services.web.env.LEVEL", "a": "low", "b": "high"},
        {"path": "services.web.env.TOKEN", "a": None, "b": "••••••"},
        {"path": "services.web.scale", "a": 2, "b": None},
    ]


def test_an_empty_mapping_is_something_that_is_said() -> None:
    assert comparisons.of_files({"local": {}}, {}) == [{"path": "local", "a": {}, "b": None}]


def test_what_a_machine_alone_knows_is_no_difference() -> None:
    one = Document("workload", "web/v1", {"image": "web@sha256:1", "directory": "/home/a", "source": "1"})
    other = Document("workload", "web/v1", {"image": "web@sha256:2", "directory": "/home/b", "source": "2"})
    assert comparisons.of_documents([one], [other]) == [
        {"kind": "workload", "name": "web/v1", "path": "image", "a": "web@sha256:1", "b": "web@sha256:2"}
    ]


def test_what_only_one_has_is_one_row() -> None:
    document = Document("resource", "db", {"type": "postgres", "version": 18})
    assert comparisons.of_documents([document], []) == [
        {"kind": "resource", "name": "db", "path": "", "a": True, "b": False}
    ]


def test_workloads_stand_side_by_side() -> None:
    row = {"name": "web", "version": "v1", "image": "a"}
    assert comparisons.of_workloads([row], []) == [{"name": "web", "version": "v1", "a": row, "b": None}]
