"""A gap is shown at the line that asks for it; keys of jobs and of routes are found too."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.control import renderings
from aiculturekit.control.renderings import Wish
from aiculturekit.errors import Mistake, Unsupported

TEXT = """\
app: shop
services:
  web: {run: x, public: /, access: {jwt: {issuer: i, jwks: keys.json}}}
  api:
    run: x
    traffic:
      routes:
        - match: {path: /a}
          timeout: 1s
        - match: {path: /b}
          limit: 5/s
jobs:
  nightly: {run: x, needs: [{api: [GET /a]}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_text('{"keys": [{"kty": "EC"}]}')
    (tmp_path / "aic.yaml").write_text(TEXT)
    return tmp_path / "aic.yaml"


def refused(file: Path, mesh: str) -> list[tuple[str, int]]:
    with pytest.raises(Unsupported) as raised:
        renderings.rendered(file, mesh=mesh, environment=None, wish=Wish())
    return [(problem.path, problem.line) for problem in raised.value.problems]


def test_every_gap_has_its_place_in_the_file(file: Path) -> None:
    assert refused(file, "gateway-api") == [
        ("services.api.traffic.routes.1.limit.0", 11),
        ("jobs.nightly.needs", 13),
        ("services.web.access.jwt.0", 3),
    ]
    assert refused(file, "linkerd") == [
        ("services.api.traffic.routes.1.limit.0", 11),
        ("services.web.access.jwt.0", 3),
    ]


def test_the_namespace_is_the_applications_name_unless_told(file: Path) -> None:
    file.write_text("app: shop\nservices: {web: {run: x, public: /}}\n")

    def namespaces(**wish: str) -> set[str]:
        documents = renderings.rendered(file, mesh="linkerd", environment=None, wish=Wish(**wish))  # type: ignore[arg-type]
        return {one["metadata"]["namespace"] for one in documents}

    assert namespaces() == {"shop"}
    assert namespaces(namespace="prod") == {"prod"}


def test_the_matrix_has_every_mesh_and_this_machine_first() -> None:
    rows = renderings.matrix()
    assert [cell.mesh for cell in rows[0]] == ["local", "istio", "linkerd", "gateway-api"]
    assert sum(row[0].is_supported for row in rows) > sum(row[2].is_supported for row in rows)


def test_what_is_known_of_another_trust_domain_is_said_with_the_wish(tmp_path: Path) -> None:
    file = tmp_path / "aic.yaml"
    file.write_text('app: shop\nservices: {web: {run: x, needs: ["mesh://other.example/bank/pay"]}}\n')
    assert refused(file, "istio") == [("services.web.needs", 2)]
    wish = Wish(neighbours=("other.example=10.0.0.9:15443",), roots=("other.example=https://other.example/bundle",))
    documents = renderings.rendered(file, mesh="istio", environment=None, wish=wish)
    [entry] = [one for one in documents if one["kind"] == "ServiceEntry"]
    assert entry["spec"]["endpoints"] == [{"address": "10.0.0.9", "ports": {"http": 15443}}]
    for wrong in (
        Wish(neighbours=("other.example",)),
        Wish(neighbours=("other.example=nowhere",)),
        Wish(roots=("=x",)),
    ):
        with pytest.raises(Mistake):
            renderings.rendered(file, mesh="istio", environment=None, wish=wrong)


@pytest.mark.parametrize("mesh", ["istio", "linkerd", "gateway-api"])
def test_no_mesh_of_a_cluster_breaks_connections_off_and_each_says_so_at_the_line(file: Path, mesh: str) -> None:
    database = "resources: {db: {type: postgres, traffic: {fault: {abort: true, share: 10%}}}}"
    tcp = "services:\n  web: {run: x, needs: [resources/db, old]}\n  old: {run: x, protocol: tcp, traffic: {fault: {delay: 1s}}}\n"
    file.write_text(f"app: shop\n{tcp}{database}\n")
    assert sorted(refused(file, mesh)) == [("resources.db.traffic.fault", 5), ("services.old.traffic.fault", 4)]
