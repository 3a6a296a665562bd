"""The workflow that `aic ci github` writes, run for real: act takes its jobs in their order, each step's shell runs on this machine against our
own command line, a registry, and a cluster. The actions of others are empty ones: nothing is fetched, nobody is
logged in to a cloud. The scanner is one that looks whether what it is given is an image."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.forges import actions
from tests.images import bases
from tests.servers import programs
from tests.servers.clusters import Cluster
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time the cluster is built
BIN = Path(sys.executable).parent
_FILE = """\
app: hello
services:
  web: {{run: python3 app.py, public: /, base: "{base}"}}
environments:
  staging: {{target: "kubernetes://tests/{staging}?registry={registry}/hello"}}
  prod: {{target: "kubernetes://tests/{prod}?registry={registry}/hello", services: {{web: {{scale: 2}}}}}}
"""
_SCANNER = """\
#!/bin/sh
# trivy image --input LAYOUT:NAME …
set -e
[ "$1 $2" = "image --input" ]
skopeo inspect "oci:$3" >/dev/null
echo "$3" >>{seen}
"""


class Forge(http.server.BaseHTTPRequestHandler):
    """GitHub's comments of an issue, as far as we ask for them."""

    comments: dict[str, str]
    writers: list[str]
    first = ""

    def do_GET(self) -> None:
        self._answer([{"id": int(key), "body": text} for key, text in self.comments.items()])

    def do_POST(self) -> None:
        self._write(str(len(self.comments) + 1))

    def do_PATCH(self) -> None:
        self._write(self.path.rpartition("/")[2])

    def _write(self, key: str) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.writers.append(f"{self.command} {self.path} {self.headers['Authorization']}")
        self.comments[key] = json.loads(body)["body"]
        type(self).first = self.first or self.comments[key]
        self._answer({"id": int(key), "html_url": f"https://github.example/{key}"})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[tuple[type[Forge], str]]:
    own = type("Own", (Forge,), {"comments": {"1": "Nice!"}, "writers": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield own, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def repository(
    fake_cluster: Cluster, registry: Registry, namespace: Callable[..., str], tmp_path: Path
) -> tuple[Path, dict[str, str]]:
    """The application in a Git repository, its workflow written; what else a runner of act wants."""
    folder = tmp_path / "repository"
    shutil.copytree(Path(__file__).parents[2] / "examples" / "hello", folder)
    (folder / "test_app.py").write_text("def test_that_one_is_one():\n    assert 1 == 1\n")
    (folder / ".gitignore").write_text(".venv\n")
    spaces = {"staging": namespace(fake_cluster), "prod": namespace(fake_cluster)}
    file = _FILE.format(base=bases.layout(tmp_path / "base"), registry=registry.address, **spaces)
    (folder / "aic.yaml").write_text(file)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(folder)]
    for words in (["init", "-q", "-b", "main"], ["remote", "add", "origin", "https://github.com/acme/hello.git"]):
        subprocess.run([*git, *words], check=True)
    written = [str(BIN / "aic"), "ci", "github", str(folder), "--install", "aic --version"]
    subprocess.run(written, check=True, timeout=60, capture_output=True)
    for words in (["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    return folder, spaces


def _act(folder: Path, event: str, payload: dict[str, Any], *, work: Path, cluster: Cluster, api: str = "") -> str:
    """What act printed. Every action of the table is an empty one."""
    work.mkdir(exist_ok=True)
    (work / "event.json").write_text(json.dumps(payload))
    (work / "bin").mkdir(exist_ok=True)
    (work / "bin" / "trivy").write_text(_SCANNER.format(seen=work / "scanned"))
    (work / "bin" / "trivy").chmod(0o755)
    (work / "empty").mkdir(exist_ok=True)
    (work / "empty" / "action.yml").write_text(
        "name: empty\nruns: {using: composite, steps: [{run: 'true', shell: sh}]}\n"
    )
    secrets = {"AIC_KUBECONFIG": cluster.kubeconfig.read_text(), "GITHUB_TOKEN": "ours"}
    (work / "secrets.json").write_text("".join(f"{name}={json.dumps(text)}\n" for name, text in secrets.items()))
    command = [str(BIN / "act"), event, "-e", str(work / "event.json"), "-P", "ubuntu-24.04=-self-hosted", "--concurrent-jobs", "1", "--secret-file",
               str(work / "secrets.json"), "--env", f"AIC_FORGE_API={api}", "--env", "AIC_ISOLATED=1"]  # fmt: skip
    for action in actions.ALL:
        if action != actions.CHECKOUT:
            command += ["--local-repository", f"{action.repository}@{action.digest}={work / 'empty'}"]
    subprocess.run([sys.executable, "-m", "venv", str(work / "python")], check=True, timeout=120)
    path = os.pathsep.join(
        [
            str(work / "bin"),
            str(work / "python" / "bin"),
            str(BIN),
            str(programs.path("kubectl").parent),
            os.environ["PATH"],
        ]
    )
    given = {
        "PATH": path,
        "HOME": str(work),
        "XDG_CACHE_HOME": str(work / "cache"),
        "LANG": "C.UTF-8",
        "AIC_LANG": "en",
    }
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def _say_again(folder: Path, api: str) -> None:
    (folder / "staging.plan").write_text("nothing would change\n")
    given = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_REPOSITORY": "acme/hello",
        "GITHUB_TOKEN": "ours",
    }
    command = [str(BIN / "aic"), "ci", "comment", "--plan", "staging=staging.plan"]
    subprocess.run(command, cwd=folder, env={**os.environ, **given, "AIC_FORGE_API": api}, check=True, timeout=60)
    (folder / "staging.plan").unlink()


def test_a_pull_request_gets_its_plan_in_one_comment_and_a_push_is_deployed(
    repository: tuple[Path, dict[str, str]],
    fake_cluster: Cluster,
    registry: Registry,
    forge: tuple[type[Forge], str],
    tmp_path: Path,
) -> None:
    folder, spaces = repository
    answers, api = forge
    head = {"repo": {"full_name": "acme/hello"}, "ref": "feature", "sha": "0" * 40}
    asked = {"action": "opened", "number": 7, "pull_request": {"number": 7, "head": head, "base": {"ref": "main"}}}
    _act(folder, "pull_request", asked, work=tmp_path / "request", cluster=fake_cluster, api=api)
    _say_again(folder, api)
    assert set(answers.comments) == {"1", "2"}, "the second time it wrote over its comment"
    assert "**staging**" in answers.comments["2"] and "nothing would change" in answers.comments["2"]
    assert [one.split()[:2] for one in answers.writers] == [
        ["POST", "/repos/acme/hello/issues/7/comments"],
        ["PATCH", "/repos/acme/hello/issues/comments/2"],
    ]
    assert answers.writers[0].endswith("Bearer ours")
    assert "workload" in answers.first, "a new application: everything would be created"
    assert not fake_cluster.kubectl("-n", spaces["staging"], "get", "deployments", "-o", "name").strip()

    pushed = {"ref": "refs/heads/main", "head_commit": {"id": "0" * 40}}
    printed = _act(folder, "push", pushed, work=tmp_path / "push", cluster=fake_cluster)
    for space, replicas in (("staging", "1"), ("prod", "2")):
        wanted = ("-n", spaces[space], "get", "deployment", "web-v1", "-o", "jsonpath={.status.readyReplicas}")
        assert fake_cluster.kubectl(*wanted) == replicas, printed[-3000:]
    assert registry.tags("hello/hello-web")
    scanned = (tmp_path / "push" / "scanned").read_text().splitlines()
    assert len(scanned) == 4 and all(one.endswith(":hello-web") for one in scanned), (
        "twice before, once for each deploy"
    )
    assert printed.index("deploy-staging") < printed.index("deploy-prod")
