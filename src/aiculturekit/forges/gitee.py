"""Gitee Go: one pipeline for pushes; what it may not ask for a cloud's token, it keeps as the repository's parameters. Pure.

https://help.gitee.com/gitee-go. Its documentation shows no way to a token by OIDC: a kubeconfig is kept as a parameter, as base64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent

from aiculturekit.forges import clouds, scripts
from aiculturekit.forges.pipelines import Environment, Pipeline, Test

PYTHON, NODE = "3.11", "20.10.0"
_REASON = "$GITEE_COMMIT by $GITEE_PIPELINE_TRIGGER_USER"


def path(pipeline: Pipeline) -> str:
    return f".workflow/aic-{pipeline.app}.yml"


def text(pipeline: Pipeline) -> str:
    stages = [_stage("check", [_python("check", _begun(pipeline) + scripts.check(pipeline)), *_tests(pipeline)])]
    stages.append(_stage("build", [_python("build", _built(pipeline))]))
    if pipeline.environments:
        stages.append(_stage("plan", [_python("plan", _planned(pipeline))]))
    stages += [
        _stage(f"deploy-{one.name}", [_python(f"deploy_{one.name}", _deployed(pipeline, one))], waits=one.waits)
        for one in pipeline.environments
    ]
    return _head(pipeline) + "".join(stages)


def _head(pipeline: Pipeline) -> str:
    return f"""\
version: '1.0'
name: aic-{pipeline.app}
displayName: {pipeline.app}
triggers:
  trigger: auto
  push:
    branches:
      precise:
        - {pipeline.branch}
  pr:
    branches:
      precise:
        - {pipeline.branch}
strategy:
  blocking: true
stages:
"""


def _stage(name: str, steps: Sequence[str], *, waits: bool = False) -> str:
    return (
        f"  - name: {name}\n    displayName: {name}\n    strategy: fast\n    trigger: {'manual' if waits else 'auto'}\n    steps:\n"
        + indent("".join(steps), "      ")
    )


def _python(name: str, script: str) -> str:
    return (
        f"- step: build@python\n  name: {name}\n  displayName: {name}\n  pythonVersion: '{PYTHON}'\n  commands:\n"
        + _item(script)
    )


def _tests(pipeline: Pipeline) -> Iterator[str]:
    for at, test in enumerate(pipeline.tests, 1):
        name, script = f"test_{at}", _tested(test)
        if test.kind == "node":
            yield (
                f"- step: build@nodejs\n  name: {name}\n  displayName: {name}\n  nodeVersion: {NODE}\n  commands:\n"
                + _item(script)
            )
        else:
            yield _python(name, script)


def _tested(test: Test) -> str:
    return "\n".join(["set -e", *([f"cd '{test.folder}' || exit"] if test.folder != "." else []), *test.lines]) + "\n"


def _built(pipeline: Pipeline) -> str:
    return _begun(pipeline) + scripts.scanner() + scripts.build(pipeline, *pipeline.environments) + scripts.scan()


def _planned(pipeline: Pipeline) -> str:
    """For a pull request alone; all environments in one step, as the steps of a pipeline share no folder."""
    made = "".join(
        _own(one) + scripts.plan(pipeline, one) + '[ "$code" = 0 ] || failed=1\naic server stop || true\n'
        for one in pipeline.environments
    )
    inner = "failed=\n" + made + scripts.comment(pipeline) + '[ -z "$failed" ]\n'
    return _begun(pipeline) + 'if [ -n "${GITEE_PULL_ID:-}" ]; then\n' + indent(inner, "  ") + "fi\n"


def _deployed(pipeline: Pipeline, environment: Environment) -> str:
    made = (
        scripts.scanner(), _own(environment), scripts.login(environment.cluster.registry, clouds.KEPT),
        scripts.build(pipeline, environment), scripts.scan(), scripts.push(pipeline, environment),
        scripts.deploy(pipeline, environment, reason=_REASON),
    )  # fmt: skip
    inner = "".join(made)
    return _begun(pipeline) + 'if [ -z "${GITEE_PULL_ID:-}" ]; then\n' + indent(inner, "  ") + "fi\n"


def _own(environment: Environment) -> str:
    """The environment's own parameters under the names that the scripts read."""
    prefix = environment.prefix
    return (
        f"AIC_KUBECONFIG=$(printf '%s' \"${prefix}KUBECONFIG\" | base64 -d)\n"
        f'REGISTRY_USER="${{{prefix}REGISTRY_USER:-}}" REGISTRY_PASSWORD="${{{prefix}REGISTRY_PASSWORD:-}}"\n'
        + "".join(f'export {name}="${{{prefix}{name}:-}}"\n' for name in environment.variables)
        + clouds.KEPT.script
    )


def _begun(pipeline: Pipeline) -> str:
    return (
        "set -e\n"
        "export AIC_CI=$(mktemp -d)\n"
        'export AIC_HOME="$AIC_CI/home" DOCKER_CONFIG="$AIC_CI/docker" KUBECONFIG="$AIC_CI/kubeconfig"\n'
        'python3 -m venv "$AIC_CI/python"\n'
        '. "$AIC_CI/python/bin/activate"\n' + pipeline.install + "\n"
    )


def _item(script: str) -> str:
    return indent("- |\n" + indent(script, "  "), "    ")
