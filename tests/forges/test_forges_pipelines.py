"""What each forge's file says, that it is made anew alike, and that a file which a hand changed is left alone."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.control import pipelines
from aiculturekit.errors import Mistake
from aiculturekit.forges import actions, clouds, scripts, stamps
from aiculturekit.forges.pipelines import waiting
from tests.cli.test_cli_commands import aic

FORGES = tuple(pipelines.FORGES)
FILE = """\
app: shop
services:
  web: {source: web, run: python app.py, public: /}
environments:
  cheap: {services: {web: {scale: 1}}}
  staging: {target: "kubernetes://stage/shop?flavor=eks&registry=1234.dkr.ecr.eu-west-1.amazonaws.com/shop"}
  gke: {target: "kubernetes://gke/shop?flavor=gke&registry=europe-docker.pkg.dev/p/shop"}
  aks: {target: "kubernetes:///shop?flavor=aks&registry=shop.azurecr.io"}
  ack: {target: "kubernetes://ack/shop?flavor=ack&registry=registry.cn-hangzhou.aliyuncs.com/shop"}
  tke: {target: "kubernetes://tke/shop?flavor=tke&registry=ccr.ccs.tencentyun.com/shop"}
  production: {target: "kubernetes://prod/shop?registry=ghcr.io/acme"}
"""
CLUSTERS = ["staging", "gke", "aks", "ack", "tke", "production"]


def repository(folder: Path, *, inside: str = ".") -> Path:
    """A repository with the application in a folder of it; the application file."""
    place = folder / inside
    (place / "web").mkdir(parents=True)
    (folder / ".git").mkdir()
    (place / "aic.yaml").write_text(FILE)
    (place / "web" / "test_app.py").write_text("")
    (place / "web" / "requirements.txt").write_text("")
    (place / "web" / "package.json").write_text('{"scripts": {"test": "node --test"}}')
    return place / "aic.yaml"


def made(file: Path, forge: str, **wish: Any) -> str:
    return pipelines.written(file, forge=forge, wish=pipelines.Wish(**wish)).text


@pytest.mark.parametrize("forge", FORGES)
def test_every_forge_checks_builds_scans_and_deploys_in_order(forge: str, tmp_path: Path) -> None:
    text = made(repository(tmp_path), forge)
    places = [text.index(f"aic deploy --to {name} ") for name in CLUSTERS]
    assert places == sorted(places)
    for words in (
        "aic check\n",
        "aic check --env staging",
        "trivy image",
        "python -m pytest",
        "npm test",
        "aic ci comment --plan",
    ):
        assert words in text
    assert "--to cheap" not in text and "--env cheap" not in text, "it goes to no cluster"
    assert text.count("--push ghcr.io/acme") == 1
    assert text == made(tmp_path / "aic.yaml", forge)


def test_production_waits_for_a_person(tmp_path: Path) -> None:
    file = repository(tmp_path)
    gitlab = yaml.safe_load(made(file, "gitlab"))
    assert (
        gitlab["deploy production"]["rules"][0]["when"] == "manual" and "when" not in gitlab["deploy tke"]["rules"][0]
    )
    gitee = yaml.safe_load(made(file, "gitee"))
    assert {one["name"]: one["trigger"] for one in gitee["stages"]}["deploy-production"] == "manual"
    assert made(file, "jenkins").count("input {") == 1
    assert made(file, "jenkins", approve=("gke", "ack")).count("input {") == 2
    assert (
        waiting(("a", "b"), chosen=()) == {"b"}
        and waiting(("live-eu", "spare")) == {"live-eu", "spare"}
        and not waiting(("one",))
    )
    with pytest.raises(Mistake, match="cheap"):
        made(file, "github", approve=("cheap",))


def test_github_gives_each_job_what_it_needs_and_no_more(tmp_path: Path) -> None:
    flow = yaml.safe_load(made(repository(tmp_path), "github"))
    assert flow["permissions"] == {}
    for name, job in flow["jobs"].items():
        granted = job["permissions"]
        logs_in = name.startswith(("plan-", "deploy-")) and not name.endswith("-production")
        assert ("id-token" in granted) == logs_in, name
        assert ("pull-requests" in granted) == (name == "comment")
        assert ("packages" in granted) == (name == "deploy-production"), "its registry is GitHub's"
        assert job["timeout-minutes"] <= 60
        assert all(re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in job["steps"] if "uses" in step)
    assert flow["jobs"]["deploy-gke"]["needs"] == ["deploy-staging"]
    assert flow["jobs"]["deploy-gke"]["concurrency"] == {"group": "aic-shop-gke", "cancel-in-progress": False}
    assert flow["jobs"]["plan-gke"]["environment"] == "gke-plan"


def test_actions_are_pinned_by_their_whole_digest() -> None:
    assert len({one.repository for one in actions.ALL}) == len({one.digest for one in actions.ALL}) == len(actions.ALL)
    for action in actions.ALL:
        assert re.fullmatch(r"[0-9a-f]{40}", action.digest) and re.fullmatch(r"v\d+\.\d+\.\d+", action.version)
        assert action.source.startswith("https://github.com/")


@pytest.mark.parametrize("flavor", [*clouds.CLOUDS, "k3s"])
def test_a_cloud_is_entered_by_a_token_and_the_context_gets_its_name(flavor: str) -> None:
    cloud = clouds.cloud(flavor)
    for template in (cloud.github, cloud.script):
        named, current = clouds.filled(template, context="mine"), clouds.filled(template, context="")
        assert not re.search(r"(?<!\$)(?<!\$\{)\{(alias|named|context_name|rename)\}", named + current)
        assert ("mine" in named) == (flavor != "k3s") and "rename-context" not in current
        assert "ACCESS_KEY" not in template or "STS" in template.upper() or "sts" in template or flavor == "ack"
    done = subprocess.run(
        ["sh", "-n"], input=clouds.filled(cloud.script, context="mine"), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert cloud.source.startswith("https://")


def test_gitlab_reads_it(tmp_path: Path) -> None:
    """GitLab's own schema of the file, which comes with the checker."""
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(made(repository(tmp_path / "repository"), "gitlab"))
    checker = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci", str(file)]
    done = subprocess.run(checker, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_an_application_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    file = repository(tmp_path, inside="apps/shop")
    flow = yaml.safe_load(made(file, "github"))
    assert flow[True]["push"]["paths"] == ["apps/shop/**", ".github/workflows/aic-shop.yml"]
    assert "aic deploy apps/shop --to staging" in made(file, "jenkins")
    assert flow["jobs"]["test-1"]["steps"][-1]["working-directory"] == "apps/shop/web"
    assert (
        pipelines.written(file, forge="github", wish=pipelines.Wish()).file
        == tmp_path / ".github/workflows/aic-shop.yml"
    )


def test_a_stamp_knows_whether_a_hand_was_there() -> None:
    text = stamps.stamped("a: 1\n", command="aic ci github")
    assert (
        stamps.is_ours(text)
        and not stamps.is_changed(text)
        and not stamps.is_changed(text.replace("\n", "\r\n").replace("\r\n", "\n"))
    )
    assert stamps.is_changed(text + "b: 2\n") and stamps.is_ours(text + "b: 2\n")
    assert not stamps.is_ours("a: 1\n") and stamps.is_changed("a: 1\n")


def test_the_command_writes_checks_and_leaves_what_a_hand_changed(tmp_path: Path) -> None:
    file, home = repository(tmp_path / "repository"), tmp_path / "home"
    place = tmp_path / "repository" / ".github" / "workflows" / "aic-shop.yml"
    assert aic(home, "ci", "github", "--check", str(file)).returncode == 1 and not place.exists()
    assert aic(home, "ci", "github", str(file)).returncode == 0
    written = place.read_text()
    assert aic(home, "ci", "github", "--check", str(file)).returncode == 0
    assert aic(home, "ci", "github", "--print", str(file), lang="zh").stdout == written, "in every language the same"
    file.write_text(FILE.replace("staging:", "stage:"))
    stale = aic(home, "ci", "github", "--check", str(file))
    assert stale.returncode == 1 and "is not what would be written now" in stale.stderr
    assert aic(home, "ci", "github", str(file)).returncode == 0 and "deploy-stage" in place.read_text()

    place.write_text(place.read_text() + "# mine\n")
    file.write_text(FILE)
    kept = aic(home, "ci", "github", str(file))
    assert kept.returncode == 1 and "was changed by hand" in kept.stderr and "# mine" in place.read_text()
    assert aic(home, "ci", "github", "--force", str(file)).returncode == 0 and place.read_text() == written


def test_without_a_cluster_nothing_is_deployed(tmp_path: Path) -> None:
    (tmp_path / "aic.yaml").write_text("app: small\nservices: {web: {run: python app.py}}\n")
    for forge in FORGES:
        text = made(tmp_path / "aic.yaml", forge)
        assert "aic build" in text and "aic deploy" not in text and "aic plan" not in text


@pytest.mark.parametrize(
    ("registry", "flavor", "given", "login"),
    [
        ("registry.example:5000/team", "k3s", {"REGISTRY_USER": "me", "REGISTRY_PASSWORD": "a:b'c"}, "me:a:b'c"),
        (
            "1.dkr.ecr.eu-west-1.amazonaws.com/shop",
            "eks",
            {"AWS_REGION": "eu"},
            "AWS:aws ecr get-login-password --region eu",
        ),
        ("europe-docker.pkg.dev/p/shop", "gke", {}, "oauth2accesstoken:gcloud auth print-access-token"),
        ("europe-docker.pkg.dev/p/shop", "eks", {}, None),
    ],
)
def test_a_registry_is_entered_as_docker_would(
    registry: str, flavor: str, given: dict[str, str], login: str | None, tmp_path: Path
) -> None:
    """The script itself, with programs of the clouds that print what they are asked."""
    for program in ("aws", "gcloud"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho "{program} $*"\n')
        (tmp_path / program).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DOCKER_CONFIG": str(tmp_path / "docker"), **given}
    script = scripts.login(registry, clouds.cloud(flavor))
    subprocess.run(["sh", "-eu", "-c", script], env=environment, check=True, timeout=30)
    file = tmp_path / "docker" / "config.json"
    if login is None:
        assert not file.exists()
        return
    host = registry.partition("/")[0]
    assert base64.b64decode(json.loads(file.read_text())["auths"][host]["auth"]).decode() == login


@pytest.mark.parametrize(
    ("forge", "handed"),
    [
        ("github", "STRIPE: ${{ secrets.STRIPE }}"),
        ("gitee", 'export STRIPE="${STAGING_STRIPE:-}"'),
        ("jenkins", "string(credentialsId: 'aic-staging-STRIPE', variable: 'STRIPE')"),
    ],
)
def test_what_the_file_names_of_the_shell_is_handed_on(forge: str, handed: str, tmp_path: Path) -> None:
    file = repository(tmp_path)
    assert "STRIPE" not in made(file, forge)
    text = FILE.replace("public: /}", 'public: /, env: {KEY: "secret:env/STRIPE", DSN: "redis://u:${env.PW}@h"}}')
    file.write_text(text)
    text = made(file, forge)
    assert handed in text
    assert handed.replace("STRIPE", "PW") in text


def test_a_file_for_a_cluster_is_checked_without_the_values(tmp_path: Path) -> None:
    file = repository(tmp_path)
    file.write_text(FILE.replace("public: /}", 'public: /, env: {KEY: "secret:env/UNSET"}}'))
    done = aic(tmp_path / "home", "check", str(file), "--env", "staging")
    assert done.returncode == 0, done.stdout + done.stderr
