"""The pipelines of `aic ci` before the judges of others: actionlint, GitLab's verifier, a parser of Groovy, and the shells that will run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.forges.test_forges_pipelines import FORGES, made, repository
from tests.servers import linters
from tests.servers.needs import need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(700)]
_SCRIPTS = """\
class Told {
  def methodMissing(String name, given) {
    if (name == 'sh') print(given[0] + '\\0')
    given.each { if (it instanceof Closure) { it.delegate = this; it.resolveStrategy = Closure.DELEGATE_FIRST; it() } }
    [:]
  }
  def propertyMissing(String name) { name }
}
def script = new GroovyShell().parse(new File(args[0]))
script.metaClass.methodMissing = { String name, given -> new Told().methodMissing(name, given) }
script.run()
"""
"""Runs a Jenkinsfile with steps that do nothing, and prints what `sh` is given."""


def _had(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except linters.Missing as missing:
        need(str(missing))


def _run(*command: str | Path, cwd: Path | None = None, text: str = "") -> str:
    done = subprocess.run(
        [*map(str, command)], input=text, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_actionlint_finds_nothing_in_a_workflow(tmp_path: Path) -> None:
    program = _had(linters.actionlint)
    file = tmp_path / "flow.yml"
    file.write_text(made(repository(tmp_path / "repository"), "github"))
    assert _run(program, "-no-color", file) == ""
    file.write_text(file.read_text().replace("steps.plan.outputs.plan", "steps.plam.outputs.plan"))
    assert subprocess.run([program, file], capture_output=True, timeout=60, check=False).returncode == 1, "it does look"


def test_gitlabs_verifier_finds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    file = repository(folder)
    (folder / ".git").rmdir()
    (folder / ".gitlab-ci.yml").write_text(made(file, "gitlab"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (
        ["init", "-q"],
        ["remote", "add", "origin", "https://gitlab.com/acme/shop.git"],
        ["add", "-A"],
        ["commit", "-qm", "x"],
    ):
        _run(*git, *words, cwd=folder)
    _run(Path(sys.executable).parent / "gitlab-ci-verify", "--no-lint-api", cwd=folder)


def test_jenkins_gets_scripts_that_a_shell_reads(tmp_path: Path) -> None:
    """Groovy reads the file, and what it hands to the shell is what was meant: no backslash is lost between the two."""
    command = _had(linters.groovy)
    file = tmp_path / "Jenkinsfile"
    file.write_text(made(repository(tmp_path / "repository"), "jenkins"))
    scripts = [one for one in _run(*command, "-e", _SCRIPTS, file).split("\0") if one.strip()]
    assert len(scripts) > 10
    for script in scripts:
        _run("sh", "-n", text=script)
    assert any("tr -d '\\n'" in script for script in scripts)


@pytest.mark.parametrize("forge", [one for one in FORGES if one != "jenkins"])
def test_every_script_is_one_that_the_shell_reads(forge: str, tmp_path: Path) -> None:
    scripts = list(_scripts(yaml.safe_load(made(repository(tmp_path), forge))))
    assert len(scripts) > 8
    for script in scripts:
        _run("bash" if forge == "github" else "sh", "-n", text=script)


def _scripts(value: Any) -> Any:
    """All that stands behind `run`, `script`, `before_script` and `commands`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("run", "script", "before_script", "commands"):
                yield from ([inner] if isinstance(inner, str) else inner if isinstance(inner, list) else [])
            else:
                yield from _scripts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scripts(inner)
