"""`aic render`, `aic mesh matrix` and `aic targets` as a shell runs them: no daemon, the same bytes each time, nothing written when a rule
would be lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.test_cli_commands import aic, written

SHOP = Path(__file__).parents[2] / "examples" / "shop"
PLAIN = """\
app: shop
services:
  web: {run: python web.py, public: /, needs: [orders]}
  orders:
    run: python orders.py
    traffic: {timeout: 2s}
    versions: {v1: {weight: 90%}, v2: {run: python v2.py, weight: 10%}}
environments:
  strict:
    services:
      orders:
        traffic: {sticky: session}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "shop", PLAIN)


@pytest.mark.parametrize("mesh", ["istio", "linkerd", "gateway-api"])
def test_every_mesh_is_printed_as_yaml_and_as_json(mesh: str, home: Path, folder: Path) -> None:
    done = aic(home, "render", mesh, str(folder), "--namespace", "prod", "--host", "shop.example")
    assert (done.returncode, done.stderr) == (0, "")
    documents = list(yaml.safe_load_all(done.stdout))
    assert len(documents) > 4
    assert {one["metadata"].get("namespace", "prod") for one in documents} == {"prod"}
    assert "shop.example" in done.stdout
    assert "*id" not in done.stdout, "no anchors"
    again = aic(home, "render", mesh, str(folder), "--namespace", "prod", "--host", "shop.example", "--json")
    assert json.loads(again.stdout) == documents
    assert not home.exists(), "no daemon, no home"


@pytest.mark.parametrize(
    "words", [("istio",), ("linkerd",), ("gateway-api", "--env", "gateway-api")], ids=lambda words: words[0]
)
def test_the_shop_is_rendered_for_every_mesh(words: tuple[str, ...], home: Path) -> None:
    mesh, *rest = words
    done = aic(home, "render", mesh, str(SHOP), *rest, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    names = {one["metadata"]["name"] for one in json.loads(done.stdout)}
    assert {"order-service", "payment-service"} <= names


def test_files_are_written_in_the_order_in_which_they_can_be_applied(home: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = aic(home, "render", "linkerd", str(folder), "-o", str(out))
    assert done.returncode == 0
    assert f"kubectl apply -f {out}" in done.stdout
    names = sorted(file.name for file in out.iterdir())
    assert names[0] == "01-service-orders.yaml"
    assert "02-service-orders-v1.yaml" in names
    kept = out / "notes.yaml"
    kept.write_text("mine: true\n")
    written(folder, PLAIN.replace("    versions: {v1: {weight: 90%}, v2: {run: python v2.py, weight: 10%}}\n", ""))
    before = {file.name for file in out.iterdir()}
    listed = json.loads(aic(home, "render", "linkerd", str(folder), "-o", str(out), "--json").stdout)
    after = {file.name for file in out.iterdir()}
    assert kept.exists(), "what somebody else wrote stays"
    assert "02-service-orders-v1.yaml" in before - after, "what is none of the objects any more goes"
    assert after == {Path(file).name for file in listed} | {"notes.yaml"}


def test_a_rule_that_would_be_lost_is_refused_before_anything_is_written(
    home: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = aic(home, "render", "linkerd", str(folder), "--env", "strict", "-o", str(out))
    assert (done.returncode, done.stdout) == (3, "")
    file = folder / "aic.yaml"
    assert f"{file}:12:19: services.orders.traffic.sticky: linkerd cannot express it: " in done.stderr
    assert "aic mesh matrix" in done.stderr
    assert not out.exists()
    assert aic(home, "render", "istio", str(folder), "--env", "strict").returncode == 0


def test_a_refusal_as_json_names_each_rule(home: Path, folder: Path) -> None:
    done = aic(home, "render", "gateway-api", str(folder), "--env", "strict", "--json")
    assert done.returncode == 3
    record = json.loads(done.stdout or done.stderr)
    problems = record.get("error", record)["problems"]
    assert [(one["path"], one["line"]) for one in problems] == [("services.orders.traffic.sticky", 12)]


def test_an_unknown_mesh_has_a_proposal(home: Path, folder: Path) -> None:
    done = aic(home, "render", "linkrd", str(folder))
    assert done.returncode == 1
    assert "did you mean linkerd?" in done.stderr


def test_a_directory_that_cannot_be_written_is_said(home: Path, folder: Path) -> None:
    done = aic(home, "render", "istio", str(folder), "-o", str(folder / "aic.yaml"))
    assert done.returncode == 1
    assert "can't be written" in done.stderr


def test_the_matrix_is_shown_with_reasons(home: Path) -> None:
    done = aic(home, "mesh", "matrix", "--why")
    assert done.returncode == 0
    assert "traffic.mirror, linkerd: Linkerd's policy controller refuses this filter" in done.stdout
    (mirror,) = [
        row for row in json.loads(aic(home, "mesh", "matrix", "--json").stdout) if row["feature"] == "traffic.mirror"
    ]
    assert mirror["meshes"]["gateway-api"] == {"yes": True, "reason": ""}
    assert not mirror["meshes"]["linkerd"]["yes"]
    assert "不支持" in aic(home, "mesh", "matrix", lang="zh").stdout


def test_targets_say_how_they_are_proven(home: Path) -> None:
    rows = {row["scheme"]: row["tier"] for row in json.loads(aic(home, "targets", "--json").stdout)}
    assert rows == {
        "local:": "real",
        "kubernetes:": "real",
        "istio": "real",
        "linkerd": "validated",
        "gateway-api": "validated",
    }
    assert "aic render linkerd" in aic(home, "targets").stdout


def test_what_kubectl_cannot_apply_stands_apart(home: Path, folder: Path, tmp_path: Path) -> None:
    """Who is asked about requests stands in Istio's own installation."""
    written(folder, PLAIN.replace("public: /,", "public: /, access: {check: 'http://orders/check'},"))
    out = tmp_path / "out"
    done = aic(home, "render", "istio", str(folder), "-o", str(out))
    assert done.returncode == 0, done.stderr
    [file] = (out / "installation").iterdir()
    assert str(file) in done.stdout and "istioctl install" in done.stdout
    assert "IstioOperator" not in "".join(one.read_text() for one in out.glob("*.yaml"))
    written(folder, PLAIN)
    aic(home, "render", "istio", str(folder), "-o", str(out))
    assert list((out / "installation").iterdir()) == [], "as soon as nothing is asked any more"


def test_containers_are_rendered_to_files_and_in_the_reader_s_language(
    home: Path, folder: Path, tmp_path: Path
) -> None:
    assert aic(home, "render", "compose", str(folder), "-o", str(tmp_path / "out")).stdout == "written: compose.yaml\n"
    text = (tmp_path / "out" / "compose.yaml").read_text("utf-8")
    assert "# - no mTLS between services" in text and set(yaml.safe_load(text)["services"]) >= {
        "web",
        "orders-v1",
        "orders-v2",
    }
    assert "没有 mTLS" in aic(home, "render", "compose", str(folder), lang="zh").stdout
    files = json.loads(aic(home, "render", "docker", str(folder), "-o", str(tmp_path / "out"), "--json").stdout)
    assert [Path(file).name for file in files if file.endswith("file")] == [
        "shop-web.Dockerfile", "shop-orders.Dockerfile", "shop-orders-v2.Dockerfile",
    ]  # fmt: skip
    assert aic(home, "render", "docker", str(folder)).stdout.count("FROM python:3.12-slim") == 3


def test_a_base_that_is_no_image_is_a_mistake_of_the_file(home: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "x", "app: x\nservices: {web: {run: python a.py, base: 'a b'}}\n")
    done = aic(home, "build", str(folder))
    assert done.returncode == 1 and "services.web.base" in done.stderr and "REGISTRY/REPOSITORY" in done.stderr


def test_a_dockerfile_is_not_run(home: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "x", "app: x\nservices: {web: {build: .}}\n")
    done = aic(home, "build", str(folder))
    assert done.returncode == 3 and "aic.yaml:2" in done.stderr and "image: REFERENCE" in done.stderr
    nothing = written(tmp_path / "y", "app: x\nservices: {web: {image: 'registry.example/x:1'}}\n")
    assert "every workload names a ready image" in aic(home, "build", str(nothing)).stdout
    assert "there is" in aic(home, "build", str(written(tmp_path / "z", PLAIN)), "--workload", "nobody").stderr
