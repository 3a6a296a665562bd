"""The order of changes: never a name that is not there yet, or not there any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aiculturekit.mesh import envoy
from aiculturekit.mesh.envoy import inquiries, names
from aiculturekit.mesh.envoy.stages import lagging, parsed, stages
from aiculturekit.mesh.nodes import Caller, Entry, Node, Service, Version
from aiculturekit.mesh.rules import Access, Check, Fault, Jwt, Traffic

SERVICES = ("a", "b", "c")
ONE, OTHER = Jwt("me", '{"keys": []}'), Jwt("you", "https://you.example/keys", open=("/open",))
ACCESSES = (
    Access(),
    Access(jwt=(ONE,)),
    Access(jwt=(ONE, OTHER)),
    Access(jwt=(OTHER,), check=Check("https://check.example/x")),
    Access(check=Check("http://a/check", service="a")),
)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    present = draw(st.sets(st.sampled_from(SERVICES)))
    protocols = {name: draw(st.sampled_from(["http", "tcp"])) for name in present}
    services = tuple(
        Service(
            "app",
            name,
            tuple(
                Version(f"v{n}", 9000 + 10 * SERVICES.index(name) + n) for n in range(1, draw(st.integers(1, 2)) + 1)
            ),
            protocol=protocols[name],  # type: ignore[arg-type]
            access=draw(st.sampled_from(ACCESSES if protocols.get("a") == "http" else ACCESSES[:-1])),
        )
        for name in sorted(present)
    )
    callers = tuple(
        Caller(
            "app",
            name,
            9100 + SERVICES.index(name),
            {n: 9200 + 10 * SERVICES.index(name) + SERVICES.index(n) for n in needs},
        )
        for name in sorted(present)
        for needs in [draw(st.sets(st.sampled_from(sorted(present))))]
    )
    public = [name for name in sorted(present) if protocols[name] == "http"]
    entries = tuple(Entry("app", "/", name) for name in public[: draw(st.integers(0, 1))])
    return Node(8080, services, callers, entries)


def compiled(node: Node) -> dict[str, Any]:
    files = envoy.compile(node, folder=Path("/m"), admin=Path("/m/s"))
    return {name: document for name, document in files.items() if name != names.BOOTSTRAP}


def values(tree: Any, key: str) -> set[str]:
    """Every string under `key`, anywhere."""
    if isinstance(tree, list):
        return set().union(*(values(item, key) for item in tree))
    if not isinstance(tree, dict):
        return set()
    own = {tree[key]} if isinstance(tree.get(key), str) else set()
    return own.union(*(values(item, key) for item in tree.values()))


def missing(files: dict[str, Any]) -> set[str]:
    """What something in the files refers to, and is not there."""
    used = {str(path).removeprefix("/m/") for kind in ("lds.json", "cds.json") for path in values(files[kind], "path")}
    needed_files = {name for name in used if name.startswith(("eds/", "rds/"))} - files.keys()
    clusters = {cluster["name"] for cluster in files["cds.json"]["resources"]}
    read = {path for path in used if path.startswith("rds/")} & files.keys()
    used_clusters = values(files["lds.json"], "cluster").union(*(values(files[name], "cluster") for name in read))
    weighted = [files[name] for name in read]
    used_clusters |= {c["name"] for table in weighted for c in found(table, "clusters") if "name" in c}
    [kinds] = files["tokens.json"]["resources"]
    used_clusters |= values(kinds, "cluster")
    asked = set().union(*(values(files[name], "requirement_name") for name in read))
    providers = values(kinds["typed_config"]["requirement_map"], "provider_name")
    gone = (asked - kinds["typed_config"]["requirement_map"].keys()) | (
        providers - kinds["typed_config"]["providers"].keys()
    )
    return needed_files | (used_clusters - clusters - {inquiries.NOBODY}) | gone


def found(tree: Any, key: str) -> list[Any]:
    if isinstance(tree, list):
        return [item for part in tree for item in found(part, key)]
    if not isinstance(tree, dict):
        return []
    own = tree[key] if isinstance(tree.get(key), list) else []
    return own + [item for part in tree.values() for item in found(part, key)]


@given(nodes(), nodes())
@settings(max_examples=60, deadline=None)
def test_at_no_moment_is_anything_referred_to_that_is_not_there(before: Node, after: Node) -> None:
    files, target = compiled(before), compiled(after)
    assert missing(files) == set()
    for stage in stages(files, target):
        for name, document in stage.items():
            files = {k: v for k, v in files.items() if k != name} | ({name: document} if document else {})
            assert missing(files) == set(), (name, missing(files))
    assert files == target
    assert stages(files, target) == []


def test_only_the_routes_change_when_a_weight_does() -> None:
    """Of the callers alone: the services' own sides keep their rate limits' buckets as full as they are."""

    def node(weight: float) -> dict[str, Any]:
        versions = (Version("v1", 1, weight), Version("v2", 2, 100 - weight))
        return compiled(Node(80, (Service("s", "x", versions),), (Caller("s", "y", 3, {"x": 4}),)))

    [stage] = stages(node(90), node(10))
    assert sorted(stage) == ["rds/mesh.json"]


def test_only_the_routes_change_when_a_permission_does() -> None:
    def node(*callers: str) -> dict[str, Any]:
        return compiled(Node(80, (Service("s", "x", (Version("v1", 1),), callers=callers),)))

    assert [list(stage) for stage in stages(node("a"), node("a", "b"))] == [["rds/inbound.json"]]


def test_what_envoy_has_not_taken_up_is_named_by_its_file() -> None:
    files = {n: {"version_info": "new"} for n in ("lds.json", "cds.json", "rds/mesh.json", "rds/ingress.json")}
    figures = {
        "listener_manager.lds.version_text": "new",
        "cluster_manager.cds.version_text": "old",
        "http.outbound.rds.mesh.version_text": "old",
        "http.inbound.rds.mesh.version_text": "new",
        "http.ingress.rds.ingress.version_text": "new",
        "http.other.rds.unknown.version_text": "unknown to us",
        "sds.bundle.version_text": "x",
        "cluster.in/s/x/v1.update_rejected": 3,
    }
    assert lagging(figures, files) == ["cds.json", "rds/mesh.json"]


def test_a_spoilt_file_is_no_document() -> None:
    assert parsed(None) is parsed(b"") is parsed(b"{") is parsed(b"[]") is parsed(b"{}") is None
    assert parsed(b'{"version_info": "1"}') == {"version_info": "1"}


def test_nobody_is_led_into_the_tunnel_before_its_door_is_there_nor_after_it_is_gone() -> None:
    def node(fault: Fault | None) -> dict[str, Any]:
        service = Service("s", "db", (Version("v1", 1),), ("web",), traffic=Traffic(fault=fault), protocol="tcp")
        return compiled(Node(80, (service,), (Caller("s", "web", 3, {"db": 4}),)))

    def is_led(files: dict[str, Any]) -> bool:
        [one] = [one for one in files["cds.json"]["resources"] if one["name"] == "out/s/web/db/*"]
        return "entrance" in str(one)

    def has_door(files: dict[str, Any]) -> bool:
        return "tunnel/s/web/db" in str(files["rds/mesh.json"])

    plain, faulty = node(None), node(Fault(abort=True))
    assert (is_led(plain), is_led(faulty)) == (False, True)
    for before, after in ((plain, faulty), (faulty, plain)):
        files = dict(before)
        for stage in stages(before, after):
            assert len(stage) == 1, "a stage is in force as a whole; two files would be one after the other"
            files |= stage
            assert has_door(files) or not is_led(files)
            assert before["lds.json"] == files["lds.json"]
        assert files == after
