from __future__ import annotations

import pytest

from aiculturekit.control import graphs
from aiculturekit.control.hubs import Hub
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.deploy.changes import Emit
from aiculturekit.errors import AicError, Failed, NotFound
from aiculturekit.mesh.nodes import Edge
from aiculturekit.plan.documents import Document


def _edge(source: str, target: str, *, rate: float, version: str = "v1", errors: float = 0.0) -> Edge:
    return Edge("s", source, target, version, rate, errors, 1.0, 2.0, 3.0, 10, 0, 0)


def _documents() -> list[Document]:
    need = {"name": "db", "kind": "resources"}
    workload = {"needs": [need]}
    return [
        Document("access", "pay", {"callers": ["web"]}),
        Document("access", "web", {"callers": ["ingress"]}),
        Document("workload", "web/v1", workload),
        Document("workload", "pay/v1", {"needs": []}),
        Document("workload", "pay/v2", {"needs": []}),
        Document("route", "pay", {"weights": {"v1": 90.0, "v2": 10.0}}),
        Document("ingress", "/", {"service": "web"}),
    ]


def _row(name: str, version: str) -> dict[str, object]:
    keys = {"state": "ready", "replicas": 1, "ready": 1, "rate": None, "p95_ms": None}
    return {"name": name, "version": version, "kind": "service", **keys}


def test_the_graph_has_every_permission_and_its_figures() -> None:
    rows = [_row("web", "v1"), _row("pay", "v1"), _row("pay", "v2"), _row("db", "sqlite") | {"kind": "resource"}]
    edges = [_edge("ingress", "web", rate=9), _edge("web", "pay", rate=8), _edge("web", "pay", rate=1, version="v2")]
    made = graphs.graph(_documents(), workloads=rows, edges=edges)
    assert [(node["id"], node["weight"]) for node in made["nodes"]] == [
        ("ingress", None),
        ("web", None),
        ("pay/v1", 90.0),
        ("pay/v2", 10.0),
        ("db", None),
    ]
    assert {(edge["source"], edge["target"]): edge["rate"] for edge in made["edges"]} == {
        ("web", "pay/v1"): 8,
        ("web", "pay/v2"): 1,
        ("ingress", "web"): 9,
        ("web", "db"): 0,
    }


def test_figures_of_several_callers_are_one() -> None:
    made = graphs.figures([_edge("a", "b", rate=30, errors=0.1), _edge("c", "b", rate=10)])
    assert made == {"rate": 40, "error_rate": pytest.approx(0.075), "p95_ms": 2.0}
    assert graphs.figures([]) == {"rate": None, "error_rate": None, "p95_ms": None}


async def _ended(operation: Operation) -> list[str]:
    return [kind async for kind, _ in operation.follow()]


async def test_an_operation_can_be_followed_from_its_first_event_also_late() -> None:
    told: list[str] = []

    async def note(operation: Operation) -> None:
        told.append(operation.state)

    async def work(emit: Emit) -> int | None:
        emit("step", {})
        return 7

    operations = Operations(on_end=note)
    operation = operations.start("shop", verb="up", author="ann", work=work)
    assert await _ended(operation) == ["step", "done"]
    assert await _ended(operation) == ["step", "done"]
    assert (operation.as_dict()["release"], told, operations.running("shop")) == (7, ["done"], None)
    with pytest.raises(NotFound):
        operations.get("nothing")


@pytest.mark.parametrize(("error", "code"), [(Failed("no"), "failed"), (KeyError("bug"), "failed")])
async def test_a_failure_ends_the_operation_and_lets_the_next_one_go(error: Exception, code: str) -> None:
    async def nothing(operation: Operation) -> None:
        pass

    async def fail(emit: Emit) -> int | None:
        raise error

    operations = Operations(on_end=nothing)
    operation = operations.start("shop", verb="up", author="", work=fail)
    await _ended(operation)
    assert isinstance(operation.error, AicError) and operation.as_dict()["error"]["code"] == code
    again = operations.start("shop", verb="up", author="", work=fail)
    assert await _ended(again) == ["done"]


async def test_a_slow_listener_loses_its_oldest_news_only() -> None:
    hub = Hub(backlog=2)
    async with hub.listen() as queue:
        assert hub.is_heard
        for at in range(5):
            hub.tell("n", {"at": at})
        assert [queue.get_nowait()[1]["at"] for _ in range(2)] == [3, 4]
    assert not hub.is_heard


def test_a_tcp_edge_shows_the_figures_of_all_versions_of_its_service() -> None:
    documents = [
        Document("access", "db", {"callers": ["web"], "protocol": "tcp"}),
        Document("workload", "web/v1", {"needs": []}),
        Document("workload", "db/v1", {"needs": []}),
    ]
    rows = [_row("web", "v1"), _row("db", "v1")]
    [edge] = graphs.graph(documents, workloads=rows, edges=[_edge("web", "db", rate=3, version="")])["edges"]
    assert (edge["rate"], edge["protocol"], edge["version"]) == (3, "tcp", "v1")
