"""A gap is shown at the line that asks for it; keys of jobs and of routes are found too."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.control import renderings
from aiculturekit.control.renderings import Wish
from aiculturekit.errors import Unsupported

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
