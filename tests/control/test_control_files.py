"""Nothing that is secret is in any file that is made of an application, in whatever format; and who applies the files is told what has to be
there."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aiculturekit.cli import commands

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"
VALUES = {
    "STRIPE": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "API_TOKEN": "the-token-of-an-api",
    "DB_PASSWORD": "the-password-of-a-database",
    "LEDGER": "postgres://me:the-password-in-a-url@ledger.example.com/x",
    "QUEUE": "the-password-of-a-queue",
}
FILED = "the-text-of-a-file"
ENV = """
      STRIPE: "${env.STRIPE}"
      API_TOKEN: "${env.API_TOKEN}"
      HEADER: "Bearer ${env.API_TOKEN}"
      DATABASE: "mysql://me:${env.DB_PASSWORD}@db.example.com/x"
      QUEUE: "secret:env/QUEUE"
      CERT: "secret:file/keys/cert.pem"
      THEIRS: "secret:kubernetes/theirs/key"
      LEVEL: "${env.LEVEL}"
"""
FILE = f"""\
app: hush
services:
  web:
    image: registry.example.com/web:1
    public: /
    needs: [resources/ledger, resources/db]
    migrate: ./migrate
    env: {ENV}
    versions:
      v1: {{}}
      v2: {{weight: 0%, env: {{SECOND_KEY: "secret:env/QUEUE"}}}}
jobs:
  nightly: {{run: python nightly.py, schedule: "0 2 * * *", env: {{JOB_TOKEN: "${{env.API_TOKEN}}"}}}}
resources:
  db: {{type: postgres}}
  ledger: {{type: postgres, url: "secret:env/LEDGER"}}
environments:
  staging: {{target: "kubernetes:///staging?mesh=istio&registry=registry.example.com/team"}}
  prod: {{target: "kubernetes:///prod?mesh=istio&registry=registry.example.com/team"}}
"""
FORGES = ("github", "gitlab", "gitee", "jenkins")
PLAIN = ["kubernetes", "--env", "prod"]
FORMATS = {
    "plain": ["render", *PLAIN],
    "kustomize": ["render", "kubernetes", "--format", "kustomize"],
    "helm": ["render", "kubernetes", "--format", "helm"],
    "compose": ["render", "compose"],
    "docker": ["render", "docker"],
    "istio": ["render", "istio", "--env", "prod"],
}
PROD = """
  prod: {target: "kubernetes:///shop?mesh=istio&registry=registry.example.com/team"}
"""
CLUSTERS = ("plain", "kustomize", "helm", "gitops")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "hush" / "aic.yaml"
    (place.parent / "keys").mkdir(parents=True)
    (place.parent / "keys" / "cert.pem").write_text(FILED + "\n")
    place.write_text(FILE)
    place.with_name("nightly.py").touch()
    for name, value in (VALUES | {"LEVEL": "debug", "AIC_HOME": str(tmp_path / "home")}).items():
        monkeypatch.setenv(name, value)
    return place


def run(*words: str) -> str:
    """What it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        commands.application()(args=list(words), standalone_mode=False)
    return printed.getvalue()


def written(folder: Path) -> dict[str, str]:
    return {str(one.relative_to(folder)): one.read_text() for one in sorted(folder.rglob("*")) if one.is_file()}


def rendered(file: Path, format_: str, folder: Path) -> dict[str, str]:
    if format_ == "gitops":
        file.write_text(_without_jobs(file.read_text()))  # nothing is to be built
        run("deploy", str(file), "--to", "prod", "--gitops", str(folder))
        return written(folder)
    if format_ in FORGES:
        return {format_: run("ci", format_, str(file), "--print")}
    kind, *words = FORMATS[format_]
    shown = run(kind, words[0], str(file), *words[1:]) if format_ == "plain" else ""
    run(kind, words[0], str(file), *words[1:], "-o", str(folder))
    return written(folder) | {"shown": shown}


def _without_jobs(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("jobs:", "  nightly:")))


def seen(files: dict[str, str]) -> set[tuple[str, str]]:
    wanted = {**VALUES, "cert": FILED, "ledger": "the-password-in-a-url"}
    found = {}
    for name, value in wanted.items():
        found |= {value: name, base64.b64encode(value.encode()).decode().rstrip("=")[:-1]: name}
    return {(place, name) for place, text in files.items() for value, name in found.items() if value in text}


@pytest.mark.parametrize("format_", [*FORMATS, "gitops", *FORGES])
def test_no_value_is_in_any_file(file: Path, format_: str, tmp_path: Path) -> None:
    files = rendered(file, format_, tmp_path / "out")
    assert sum(map(len, files.values())) > 200
    assert seen(files) == set()
    if format_ in CLUSTERS:
        text = "".join(files.values())
        assert "debug" in text  # what is no secret is there
        assert "hush.env" in text
        assert "${env." not in text


@pytest.mark.parametrize("format_", [one for one in CLUSTERS if one != "gitops"])
def test_the_shop_s_files_have_no_value_of_its_environment(
    file: Path, format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SHOP.read_text()
    copied = file.with_name("shop.yaml")
    shutil.copytree(SHOP.parent / "services", file.parent / "services")
    head, colon, rest = text.partition("    source: services/payment\n")
    assert colon, "the shop has a payment service"
    copied.write_text(f"{head}{colon}    env: {ENV}{rest}{PROD}")
    kind, *words = FORMATS[format_]
    run(kind, words[0], str(copied), *words[1:], "-o", str(tmp_path / "out"))
    files = written(tmp_path / "out")
    assert seen(files) == set()
    assert "shop.env" in "".join(files.values())


KUBECTL = """\
#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  *"get secret"*) exit 1 ;;
  *apply*) cat >> "$APPLIED" ;;
esac
"""


def test_the_script_makes_the_secrets_from_where_it_runs(file: Path, tmp_path: Path) -> None:
    rendered(file, "plain", tmp_path / "out")
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    env = {
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "APPLIED": str(tmp_path / "applied"),
    }
    script = ["sh", str(tmp_path / "out" / "secrets.sh")]
    done = subprocess.run(script, env=env, cwd=file.parent, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "API_TOKEN" in done.stderr
    done = subprocess.run(script, env=VALUES | env, cwd=file.parent, capture_output=True, text=True, check=False)
    applied, calls = (tmp_path / "applied").read_text(), (tmp_path / "calls").read_text()
    for value in (VALUES["API_TOKEN"], VALUES["QUEUE"], FILED):
        assert base64.b64encode(value.encode()).decode() in applied
        assert value not in calls
        assert base64.b64encode(value.encode()).decode() not in calls
