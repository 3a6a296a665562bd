"""GitHub Actions: one workflow for each application. Pure.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent

from aiculturekit.forges import actions, clouds, scripts
from aiculturekit.forges.pipelines import Environment, Pipeline, Test

RUNNER = "ubuntu-24.04"
PYTHON = "3.12"
_SAME = "github.event.pull_request.head.repo.full_name == github.repository"
"""A request from a fork gets no credential, and so no plan."""
_STOP = "- name: Stop the daemon\n  if: always()\n  run: aic server stop || true\n"
"""A runner of one's own goes on after the job."""
_REASON = "${GITHUB_SHA} by ${GITHUB_ACTOR}"


def path(pipeline: Pipeline) -> str:
    return f".github/workflows/aic-{pipeline.app}.yml"


def text(pipeline: Pipeline) -> str:
    jobs = [_check(pipeline), *map(_test_job, _numbered(pipeline.tests)), _build(pipeline)]
    if pipeline.environments:
        jobs += [_plan(pipeline, one) for one in pipeline.environments]
        jobs.append(_comment(pipeline))
        jobs += list(_deploys(pipeline))
    return _head(pipeline) + "\n".join(jobs)


def _head(pipeline: Pipeline) -> str:
    return f"""\
name: {pipeline.app}

on:
  pull_request:{_paths(pipeline) or ""}
  push:
    branches: ["{pipeline.branch}"]{_paths(pipeline)}

permissions: {{}}  # each job says what it needs

concurrency:
  group: aic-{pipeline.app}-${{{{ github.event.pull_request.number || github.ref }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}

defaults:
  run:
    shell: bash

jobs:
"""


def _paths(pipeline: Pipeline) -> str:
    if pipeline.path == ".":
        return ""
    return f'\n    paths: ["{pipeline.path}/**", "{path(pipeline)}"]'


def _check(pipeline: Pipeline) -> str:
    return _job(
        "check", steps=[*_begun(pipeline), _run("Check the application file", scripts.check(pipeline))], minutes=10
    )


def _numbered(tests: Sequence[Test]) -> Iterator[tuple[str, Test]]:
    for at, test in enumerate(tests, 1):
        yield ("test" if len(tests) == 1 else f"test-{at}"), test


def _test_job(named: tuple[str, Test]) -> str:
    name, test = named
    steps = [
        _checkout(),
        *([_python()] if test.kind != "node" else []),
        _run("Test", "\n".join(test.lines) + "\n", folder=test.folder),
    ]
    return _job(name, steps=steps, minutes=30)


def _build(pipeline: Pipeline) -> str:
    needs = ["check", *(name for name, _ in _numbered(pipeline.tests))]
    made = [_run("Build", scripts.build(pipeline, *pipeline.environments)), _run("Scan", scripts.scan())]
    return _job("build", needs=needs, steps=[*_begun(pipeline), _trivy(), *made], minutes=45)


def _plan(pipeline: Pipeline, environment: Environment) -> str:
    """By an identity of its own, which needs to read only: the environment NAME-plan waits for nobody."""
    script = scripts.plan(pipeline, environment) + (
        "end=$(python -c 'import secrets; print(secrets.token_hex(16))')\n"
        f'{{ echo "plan<<$end"; cat {scripts.plan_file(environment)}; echo "$end"; }} >>"$GITHUB_OUTPUT"\n'
        'exit "$code"\n'
    )
    return _job(
        f"plan-{environment.name}",
        needs=["check"],
        condition=f"github.event_name == 'pull_request' && {_SAME}",
        permissions=("contents: read", *_token(environment)),
        environment=f"{environment.name}-plan",
        outputs={"plan": "${{ steps.plan.outputs.plan }}"},
        steps=[
            *_begun(pipeline),
            *_logins(environment),
            _run("Plan", script, key="plan", env=_variables(environment)),
            _STOP,
        ],
        minutes=20,
    )


def _comment(pipeline: Pipeline) -> str:
    needs = [f"plan-{one.name}" for one in pipeline.environments]
    written = "".join(
        f"printf '%s\\n' \"${one.prefix}PLAN\" >{scripts.plan_file(one)}\n" for one in pipeline.environments
    )
    given = {f"{one.prefix}PLAN": f"${{{{ needs.plan-{one.name}.outputs.plan }}}}" for one in pipeline.environments}
    step = _run(
        "Say it in the pull request",
        written + scripts.comment(pipeline),
        env={**given, "GITHUB_TOKEN": "${{ github.token }}"},
    )
    return _job(
        "comment",
        needs=needs,
        condition=f"!cancelled() && github.event_name == 'pull_request' && {_SAME}",
        permissions=("contents: read", "pull-requests: write"),
        steps=[*_begun(pipeline), step],
        minutes=10,
    )


def _deploys(pipeline: Pipeline) -> Iterator[str]:
    before = "build"
    for one in pipeline.environments:
        note = "  # let required reviewers say yes to it: Settings, Environments" if one.waits else ""
        steps = [
            *_begun(pipeline), *_logins(one), _registry(one), _trivy(), _run("Build", scripts.build(pipeline, one)),
            _run("Scan", scripts.scan()), _run("Push", scripts.push(pipeline, one)),
            _run("Deploy", scripts.deploy(pipeline, one, reason=_REASON), env=_variables(one)), _STOP,
        ]  # fmt: skip
        yield _job(
            f"deploy-{one.name}",
            needs=[before],
            condition="github.event_name == 'push'",
            permissions=("contents: read", *_token(one), *_packages(one)),
            environment=f"{one.name}{note}",
            concurrency=f"aic-{pipeline.app}-{one.name}",
            steps=steps,
            minutes=60,
        )
        before = f"deploy-{one.name}"


def _variables(environment: Environment) -> dict[str, str]:
    """What the file names of the shell's, from the environment's secrets."""
    return {name: f"${{{{ secrets.{name} }}}}" for name in environment.variables}


def _token(environment: Environment) -> tuple[str, ...]:
    return ("id-token: write",) if clouds.cloud(environment.cluster.flavor.name).audience else ()


def _packages(environment: Environment) -> tuple[str, ...]:
    return ("packages: write",) if _is_own_registry(environment) else ()


def _is_own_registry(environment: Environment) -> bool:
    return scripts.registry_host(environment.cluster.registry) == "ghcr.io"


def _logins(environment: Environment) -> list[str]:
    cloud = clouds.cloud(environment.cluster.flavor.name)
    return [clouds.filled(cloud.github, context=environment.cluster.context)]


def _registry(environment: Environment) -> str:
    own = _is_own_registry(environment)
    given = {
        "REGISTRY_USER": "${{ github.actor }}" if own else "${{ vars.REGISTRY_USER }}",
        "REGISTRY_PASSWORD": "${{ github.token }}" if own else "${{ secrets.REGISTRY_PASSWORD }}",
    }
    cloud = clouds.cloud(environment.cluster.flavor.name)
    return _run("Log in to the registry", scripts.login(environment.cluster.registry, cloud), env=given)


def _begun(pipeline: Pipeline) -> list[str]:
    ready = (
        'mkdir -p "$RUNNER_TEMP/aic"\n'
        "{\n"
        '  echo "AIC_CI=$RUNNER_TEMP/aic"\n'
        '  echo "AIC_HOME=$RUNNER_TEMP/aic/home"\n'
        '  echo "DOCKER_CONFIG=$RUNNER_TEMP/aic/docker"\n'
        '  echo "KUBECONFIG=$RUNNER_TEMP/aic/kubeconfig"\n'
        '} >>"$GITHUB_ENV"\n'
    )
    return [_checkout(), _python(), _run("Install aic", ready + pipeline.install + "\n")]


def _checkout() -> str:
    return f"- uses: {actions.CHECKOUT}\n  with:\n    persist-credentials: false\n"


def _python() -> str:
    return f'- uses: {actions.PYTHON}\n  with:\n    python-version: "{PYTHON}"\n'


def _trivy() -> str:
    return f"- uses: {actions.TRIVY}\n  with:\n    version: {scripts.TRIVY}\n"


def _run(name: str, script: str, *, key: str = "", folder: str = ".", env: dict[str, str] | None = None) -> str:
    parts = [f"- name: {name}"]
    if key:
        parts.append(f"  id: {key}")
    if folder != ".":
        parts.append(f'  working-directory: "{folder}"')
    if env:
        parts += ["  env:", *(f"    {one}: {value}" for one, value in env.items())]
    return "\n".join(parts) + "\n  run: |\n" + indent(script, "    ")


def _job(
    name: str,
    *,
    steps: Sequence[str],
    minutes: int,
    needs: Sequence[str] = (),
    condition: str = "",
    permissions: Sequence[str] = ("contents: read",),
    environment: str = "",
    concurrency: str = "",
    outputs: dict[str, str] | None = None,
) -> str:
    parts = [f"  {name}:"]
    if needs:
        parts.append(f"    needs: [{', '.join(needs)}]")
    if condition:
        parts.append(f"    if: ${{{{ {condition} }}}}")
    parts += [
        f"    runs-on: {RUNNER}",
        f"    timeout-minutes: {minutes}",
        "    permissions:",
        *(f"      {one}" for one in permissions),
    ]
    if environment:
        parts.append(f"    environment: {environment}")
    if concurrency:
        parts += ["    concurrency:", f"      group: {concurrency}", "      cancel-in-progress: false"]
    if outputs:
        parts += ["    outputs:", *(f"      {one}: {value}" for one, value in outputs.items())]
    return "\n".join([*parts, "    steps:"]) + "\n" + indent("".join(steps), "      ")
