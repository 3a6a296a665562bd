"""GitLab CI: one file, with a job for each step. Pure.

https://docs.gitlab.com/ci/yaml/ and, for the tokens, https://docs.gitlab.com/ci/secrets/id_token_authentication/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import indent

from aiculturekit.forges import clouds, scripts
from aiculturekit.forges.pipelines import Environment, Pipeline, Test

IMAGES = {"python": "python:3.12", "node": "node:22", "make": "python:3.12"}
_REQUEST = '- if: $CI_PIPELINE_SOURCE == "merge_request_event"'
_SAME = '- if: $CI_PIPELINE_SOURCE == "merge_request_event" && $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID'
"""A request from a fork gets no credential, and so no plan."""
_REASON = "$CI_COMMIT_SHA by $GITLAB_USER_LOGIN"


def path(pipeline: Pipeline) -> str:
    return ".gitlab-ci.yml" if pipeline.path == "." else f".gitlab/aic-{pipeline.app}.gitlab-ci.yml"


def text(pipeline: Pipeline) -> str:
    parts = [_head(pipeline), _job("check", "check", [scripts.check(pipeline)], minutes=10)]
    parts += [_test(name, test) for name, test in _numbered(pipeline.tests)]
    parts.append(_build(pipeline))
    if pipeline.environments:
        parts += [_plan(pipeline, one) for one in pipeline.environments]
        parts += [_comment(pipeline), *_deploys(pipeline)]
    return "\n".join(parts)


def _head(pipeline: Pipeline) -> str:
    begun = (
        'export AIC_CI="$CI_BUILDS_DIR/aic-$CI_JOB_ID"\n'
        'export AIC_HOME="$AIC_CI/home" DOCKER_CONFIG="$AIC_CI/docker" KUBECONFIG="$AIC_CI/kubeconfig"\n'
        'mkdir -p "$AIC_CI"\n'
        'python -m venv "$AIC_CI/python"\n'
        '. "$AIC_CI/python/bin/activate"\n' + pipeline.install + "\n"
    )
    changes = ""
    if pipeline.path != ".":
        changes = f'\n      changes: ["{pipeline.path}/**/*", "{path(pipeline)}"]'
    return f"""\
workflow:
  rules:
    {_REQUEST}{changes}
    - if: $CI_COMMIT_BRANCH == "{pipeline.branch}"{changes}

stages: [check, test, build, plan, comment, deploy]

.aic:
  image: {IMAGES["python"]}
  before_script:
{_items(begun, 4)}"""


def _numbered(tests: Sequence[Test]) -> Iterator[tuple[str, Test]]:
    for at, test in enumerate(tests, 1):
        yield ("test" if len(tests) == 1 else f"test {at}"), test


def _test(name: str, test: Test) -> str:
    lines = [*([f"cd '{test.folder}' || exit"] if test.folder != "." else []), *test.lines]
    return (
        f'"{name}":\n  image: {IMAGES[test.kind]}\n  stage: test\n  timeout: 30 minutes\n  interruptible: true\n  script:\n'
        + _items("\n".join(lines) + "\n", 4)
    )


def _build(pipeline: Pipeline) -> str:
    made = (scripts.scanner(), scripts.build(pipeline, *pipeline.environments), scripts.scan())
    return _job("build", "build", made, minutes=45)


def _plan(pipeline: Pipeline, environment: Environment) -> str:
    """`access`: the environment's variables, but it counts as no deployment."""
    file = f"plans/{environment.name}.plan"
    keep = f'mkdir -p plans\ncp {scripts.plan_file(environment)} "{file}"\nexit "$code"\n'
    return _job(
        f"plan {environment.name}",
        "plan",
        [_cloud(environment), scripts.plan(pipeline, environment) + keep],
        minutes=20,
        rules=(_SAME,),
        more=(
            *_token(environment),
            "environment:", f"  name: {environment.name}", "  action: access",
            "artifacts:", "  when: always", "  expire_in: 1 week", f'  paths: ["{file}"]',
        ),
    )  # fmt: skip


def _comment(pipeline: Pipeline) -> str:
    """With AIC_FORGE_TOKEN: a project's token that may write notes (api); the job's own may not."""
    moved = 'cp plans/*.plan "$AIC_CI"\n'
    return _job(
        "comment",
        "comment",
        [moved, scripts.comment(pipeline)],
        minutes=10,
        rules=(f"{_SAME} && $AIC_FORGE_TOKEN", "  when: always"),
    )


def _deploys(pipeline: Pipeline) -> Iterator[str]:
    before = "build"
    for one in pipeline.environments:
        rules = [f'- if: $CI_COMMIT_BRANCH == "{pipeline.branch}"']
        if one.waits:
            rules += ["  when: manual", "  allow_failure: false"]
        made = (
            scripts.scanner(), _cloud(one), _registry(one), scripts.build(pipeline, one), scripts.scan(),
            scripts.push(pipeline, one), scripts.deploy(pipeline, one, reason=_REASON),
        )  # fmt: skip
        yield _job(
            f"deploy {one.name}",
            "deploy",
            made,
            minutes=60,
            rules=rules,
            more=(
                f'needs: ["{before}"]', *_token(one), "environment:", f"  name: {one.name}",
                f"resource_group: aic-{pipeline.app}-{one.name}", "interruptible: false",
            ),
        )  # fmt: skip
        before = f"deploy {one.name}"


def _token(environment: Environment) -> tuple[str, ...]:
    audience = clouds.cloud(environment.cluster.flavor.name).audience
    return ("id_tokens:", "  AIC_ID_TOKEN:", f'    aud: "{audience}"') if audience else ()


def _cloud(environment: Environment) -> str:
    cloud = clouds.cloud(environment.cluster.flavor.name)
    return clouds.filled(cloud.script, context=environment.cluster.context)


def _registry(environment: Environment) -> str:
    """GitLab's own registry has a login of each job's; another one has REGISTRY_USER and REGISTRY_PASSWORD."""
    host = scripts.registry_host(environment.cluster.registry)
    own = ""
    if host.startswith("registry.gitlab."):
        own = 'REGISTRY_USER="$CI_REGISTRY_USER" REGISTRY_PASSWORD="$CI_REGISTRY_PASSWORD"\n'
    return own + scripts.login(environment.cluster.registry, clouds.cloud(environment.cluster.flavor.name))


def _job(
    name: str, stage: str, made: Sequence[str], *, minutes: int, rules: Sequence[str] = (), more: Sequence[str] = ()
) -> str:
    parts = [f'"{name}":', "  extends: .aic", f"  stage: {stage}", f"  timeout: {minutes} minutes"]
    if "interruptible: false" not in more:
        parts.append("  interruptible: true")
    if rules:
        parts += ["  rules:", *(f"    {one}" for one in rules)]
    parts += [f"  {one}" for one in more]
    return "\n".join([*parts, "  script:"]) + "\n" + "".join(_items(one, 4) for one in made)


def _items(script: str, width: int) -> str:
    """One entry of a list that holds the whole script, so that what it defines it may use."""
    return indent("- |\n" + indent(script, "  "), " " * width)
