"""Federation without servers: what Envoy is told about neighbours, and what is let in as a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiculturekit.errors import Failed, Mistake, NotFound
from aiculturekit.mesh import authority, bundles, envoy, federations, identities
from aiculturekit.mesh.envoy import federation, names
from aiculturekit.mesh.federations import Federation
from aiculturekit.mesh.nodes import Caller, Gateway, Neighbour, Node, Remote, Service, Version
from aiculturekit.mesh.rules import Access

NOW = 1_800_000_000.0
WEB = "spiffe://a.test/ns/shop/sa/web"


def bundle(home: Path, domain: str, *, now: float = NOW, is_asked: bool = False) -> str:
    """A bundle of a new or a known authority."""
    authority.issue_all([], ca=home, mesh=home / "mesh", trust_domain=domain, now=now, is_asked=is_asked)
    return (home / "bundle.json").read_text()


def node(*neighbours: Neighbour, foreign: tuple[str, ...] = (WEB,)) -> Node:
    return Node(
        8080,
        services=(Service("bank", "pay", (Version("v1", 7001),), access=Access(foreign=foreign)),),
        callers=(Caller("bank", "desk", 7002, remotes={Remote("c.test", "lab", "risk"): 7003}),),
        trust_domain="b.test",
        neighbours=neighbours,
        gateway=Gateway("127.0.0.1", 15443),
    )


def compiled(given: Node) -> dict[str, list[str]]:
    found = envoy.compile(given, folder=Path("/m"), admin=Path("/m/admin.sock"))
    tables = found[names.routes_file(names.MESH_ROUTES)]["resources"][0]["virtual_hosts"]
    listed = {"lds": found[names.LISTENERS]["resources"], "cds": found[names.CLUSTERS]["resources"], "rds": tables}
    return {
        kind: [one["name"] for one in items if one["name"].startswith(("gate", "far"))]
        for kind, items in listed.items()
    }


def test_without_a_neighbour_there_is_no_way_in_or_out() -> None:
    assert compiled(node()) == {"lds": [], "cds": [], "rds": []}


def test_a_neighbour_comes_in_where_a_service_names_its_workload() -> None:
    assert compiled(node(Neighbour("a.test"))) == {"lds": ["gateway"], "cds": [], "rds": ["gate/bank/pay"]}
    assert compiled(node(Neighbour("a.test"), foreign=())) == {"lds": [], "cds": [], "rds": []}
    assert compiled(node(Neighbour("z.test"))) == {"lds": [], "cds": [], "rds": []}


def test_a_need_goes_out_where_the_gateway_is_known() -> None:
    way = ["far/bank/desk/c.test/lab/risk"]
    assert compiled(node(Neighbour("c.test", "10.0.0.9", 15443), foreign=())) == {"lds": way, "cds": way, "rds": way}
    assert compiled(node(Neighbour("c.test"), foreign=())) == {"lds": [], "cds": [], "rds": []}


def test_only_workloads_of_neighbours_are_permitted() -> None:
    both = (WEB, "spiffe://c.test/ns/lab/sa/risk")
    given = node(Neighbour("a.test"), foreign=both)
    assert federation.foreigners(given.services[0], given) == [WEB]
    text = json.dumps(list(federation.hosts(given)))
    assert WEB in text and "c.test" not in text


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("spiffe://a.test/ns/shop/sa/web", "a.test"),
        ("spiffe://a.test/x", "a.test"),
        ("spiffe://A.test/x", None),
        ("spiffe://a.test/", None),
        ("spiffe://a.test", None),
        ("spiffe://a.test/x//y", None),
        ("spiffe://a.test/../y", None),
        ("spiffe://a.test/x?y", None),
        ("https://a.test/x", None),
        ("spiffe://" + "a" * 256 + "/x", None),
        ("spiffe://a.test/" + "x" * 2048, None),
    ],
)
def test_names_are_as_spiffe_wants_them(text: str, domain: str | None) -> None:
    assert identities.domain(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"keys": []}',
        '{"keys": [{"use": "x509-svid"}]}',
        '{"keys": [{"use": "x509-svid", "x5c": ["!"]}]}',
        '{"keys": [{"use": "x509-svid", "x5c": ["AA==", "AA=="]}]}',
        '{"keys": [{"use": "jwt-svid", "x5c": ["AA=="]}]}',
        "no json",
        " " * (bundles.LARGEST + 1),
    ],
)
def test_what_is_no_bundle_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        bundles.parsed(text)


def test_pem_and_document_are_the_same_bundle(tmp_path: Path) -> None:
    document = bundles.parsed(bundle(tmp_path, "a.test"))
    assert bundles.pem(bundles.parsed(bundles.pem(document))) == bundles.pem(document)


class Events(list[str]):
    pass


@pytest.fixture
def told() -> Events:
    return Events()


@pytest.fixture
def known(tmp_path: Path, told: Events) -> Federation:
    (tmp_path / "mesh" / "sds").mkdir(parents=True)
    return Federation(
        file=tmp_path / "own" / "federation.json", mesh=tmp_path / "mesh", own="b.test", on_event=told.append
    )


async def test_a_bundle_is_kept_and_read_anew(
    tmp_path: Path, known: Federation, told: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(federations, "_SELDOM", 0.0)
    source = tmp_path / "a.json"
    first = bundle(tmp_path / "a", "a.test")
    source.write_text(first)
    await known.add("a.test", source=str(source), address="gate.example:15443")
    assert known.neighbours() == (Neighbour("a.test", "gate.example", 15443),)
    again = Federation(file=tmp_path / "own" / "federation.json", mesh=tmp_path / "mesh", own="b.test", on_event=print)
    again.open()
    assert [(one.name, one.bundle, one.source) for one in again.domains] == [("a.test", json.loads(first), str(source))]

    second = bundle(tmp_path / "a", "a.test", now=NOW + 60, is_asked=True)
    source.write_text(second)
    await known.refresh()
    assert known.domains[0].bundle == json.loads(second) and told == ["the trust bundle of a.test is renewed"]
    envoys = json.loads((tmp_path / "mesh" / names.federation_file()).read_text())
    assert json.dumps(envoys).count("BEGIN CERTIFICATE") == 2

    source.write_text(first)
    await known.refresh()
    await known.refresh()
    assert known.domains[0].bundle == json.loads(second), "an older one does not come back"
    source.unlink()
    await known.refresh()
    assert known.domains[0].bundle == json.loads(second) and known.domains[0].trouble
    assert len(told) == 3 and "older" in told[1] and "a.json" in told[2], "each trouble is told once"

    known.remove("a.test")
    assert known.neighbours() == ()
    with pytest.raises(NotFound, match=r"a\.test is not federated"):
        known.remove("a.test")


async def test_what_cannot_be_trusted_is_refused_and_nothing_has_changed(tmp_path: Path, known: Federation) -> None:
    source = tmp_path / "a.json"
    source.write_text(bundle(tmp_path / "a", "a.test"))
    for name, given, address, error in (
        ("A.test", source, "", "no trust domain"),
        ("b.test", source, "", "own trust domain"),
        ("c.test", source, "", "no root of c"),
        ("a.test", source, "nowhere", "write HOST:PORT"),
        ("a.test", source, "x:0", "write HOST:PORT"),
    ):
        with pytest.raises(Mistake, match=error):
            await known.add(name, source=str(given), address=address)
    leaf = tmp_path / "leaf.pem"
    authority.issue_all([("x", "y")], ca=tmp_path / "a", mesh=tmp_path / "a" / "mesh", trust_domain="a.test", now=NOW)
    secret = json.loads((tmp_path / "a" / "mesh" / "sds" / "x~y.json").read_text())["resources"][0]
    leaf.write_text(secret["tls_certificate"]["certificate_chain"]["inline_string"])
    with pytest.raises(Mistake, match=r"no root of a\.test"):
        await known.add("a.test", source=str(leaf))
    for given in ("http://a.example/bundle", "ftp://127.0.0.1/x", str(tmp_path / "none.json")):
        with pytest.raises(Failed, match="cannot be read"):
            await known.add("a.test", source=given)
    assert known.domains == []
