"""Jenkins: a declarative pipeline for a multibranch project. Pure.

https://www.jenkins.io/doc/book/pipeline/syntax/; tokens by OIDC are those of the plugin oidc-provider.
"""

from __future__ import annotations

from textwrap import indent

from aiculturekit.forges import clouds, scripts
from aiculturekit.forges.pipelines import Environment, Pipeline, Test

_REASON = "$GIT_COMMIT, $BUILD_URL"
_BEGIN = """\
set -e
export AIC_CI="$WORKSPACE_TMP/aic"
export AIC_HOME="$AIC_CI/home" AIC_ISOLATED=1 DOCKER_CONFIG="$AIC_CI/docker" KUBECONFIG="$AIC_CI/kubeconfig" PATH="$AIC_CI/bin:$PATH"
. "$AIC_CI/python/bin/activate"
"""
_END = """\
post {
  always {
    sh 'AIC_HOME="$WORKSPACE_TMP/aic/home" "$WORKSPACE_TMP/aic/python/bin/aic" server stop || true; rm -rf "$WORKSPACE_TMP/aic"'
  }
}
"""
"""A node goes on after the build: what the build started ends with it."""


def path(pipeline: Pipeline) -> str:
    return "Jenkinsfile" if pipeline.path == "." else f"{pipeline.path}/Jenkinsfile"


def text(pipeline: Pipeline) -> str:
    stages = [_stage("Check", _begun(pipeline) + scripts.check(pipeline), minutes=10)]
    stages += [_test(at, test) for at, test in enumerate(pipeline.tests, 1)]
    stages.append(_stage("Build", _begun(pipeline) + _built(pipeline), minutes=45))
    if pipeline.environments:
        stages.append(_plan(pipeline))
        stages += [_deploy(pipeline, one) for one in pipeline.environments]
    return f"""\
pipeline {{
  agent none
  options {{
    disableConcurrentBuilds()
    buildDiscarder(logRotator(numToKeepStr: '50'))
  }}
  stages {{
{indent("".join(stages), "    ")}  }}
}}
"""


def _begun(pipeline: Pipeline) -> str:
    made = 'mkdir -p "$WORKSPACE_TMP/aic"\npython3 -m venv "$WORKSPACE_TMP/aic/python"\n'
    return made + _BEGIN + pipeline.install + "\n"


def _built(pipeline: Pipeline) -> str:
    return scripts.scanner() + scripts.build(pipeline, *pipeline.environments) + scripts.scan()


def _plan(pipeline: Pipeline) -> str:
    """AIC_FORGE_TOKEN may write comments; it is a secret text of Jenkins'."""
    plans = "".join(
        _bound(one, _BEGIN + _cloud(one) + scripts.plan(pipeline, one) + "aic server stop || true\n" + 'exit "$code"\n')
        for one in pipeline.environments
    )
    said = _BEGIN + scripts.comment(pipeline)
    comment = f"withCredentials([string(credentialsId: 'aic-forge-token', variable: 'AIC_FORGE_TOKEN')]) {{\n{indent(_sh(said), '  ')}}}\n"
    steps = _sh(_begun(pipeline)) + plans + comment
    return _staged("Plan", steps, minutes=20, when="changeRequest()")


def _deploy(pipeline: Pipeline, environment: Environment) -> str:
    made = "".join((
        scripts.scanner(), _cloud(environment), scripts.login(environment.cluster.registry, _login(environment)),
        scripts.build(pipeline, environment), scripts.scan(), scripts.push(pipeline, environment),
        scripts.deploy(pipeline, environment, reason=_REASON),
    ))  # fmt: skip
    steps = _bound(environment, _begun(pipeline) + made, registry=True)
    question = f"Deploy {pipeline.app} to {environment.name}?" if environment.waits else ""
    return _staged(
        f"Deploy {environment.name}", steps, minutes=60, when=f"branch '{pipeline.branch}'", question=question
    )


def _login(environment: Environment) -> clouds.Cloud:
    return clouds.cloud(environment.cluster.flavor.name)


def _cloud(environment: Environment) -> str:
    """The environment's variables come with its name before them (STAGING_AWS_REGION), set for the folder or for all of Jenkins."""
    cloud = _login(environment)
    own = "".join(f'export {name}="${environment.prefix}{name}"\n' for name in cloud.variables)
    return own + clouds.filled(cloud.script, context=environment.cluster.context)


def _bound(environment: Environment, script: str, *, registry: bool = False) -> str:
    """With the credentials that Jenkins keeps under aic-ENVIRONMENT-…."""
    audience = _login(environment).audience
    name, variable = ("oidc", "AIC_ID_TOKEN") if audience else ("kubeconfig", "AIC_KUBECONFIG")
    bindings = [f"string(credentialsId: 'aic-{environment.name}-{name}', variable: '{variable}')"]
    bindings += [
        f"string(credentialsId: 'aic-{environment.name}-{one}', variable: '{one}')" for one in environment.variables
    ]
    opened = _login(environment).registry
    if registry and not (opened and scripts.registry_host(environment.cluster.registry).endswith(opened)):
        bindings.append(
            f"usernamePassword(credentialsId: 'aic-{environment.name}-registry', usernameVariable: 'REGISTRY_USER', "
            "passwordVariable: 'REGISTRY_PASSWORD')"
        )
    return f"withCredentials([{', '.join(bindings)}]) {{\n{indent(_sh(script), '  ')}}}\n"


def _test(at: int, test: Test) -> str:
    lines = ["set -e", *([f'cd "{test.folder}" || exit'] if test.folder != "." else []), *test.lines]
    begun = (
        'python3 -m venv "$WORKSPACE_TMP/aic/python"\n. "$WORKSPACE_TMP/aic/python/bin/activate"\n'
        if test.kind != "node"
        else ""
    )
    return _stage(f"Test {at}", begun + "\n".join(lines) + "\n", minutes=30)


def _stage(name: str, script: str, *, minutes: int) -> str:
    return _staged(name, _sh(script), minutes=minutes)


def _staged(name: str, steps: str, *, minutes: int, when: str = "", question: str = "") -> str:
    """A question is asked before a node is taken: nothing waits on a machine."""
    parts = [f"stage('{name}') {{\n"]
    if when:
        before = "beforeAgent true\n" + ("beforeInput true\n" if question else "")
        parts.append(f"  when {{\n{indent(before + when, '    ')}\n  }}\n")
    if question:
        parts.append(f"  input {{\n    message '{question}'\n    ok 'Deploy'\n  }}\n")
    parts.append("  agent any\n")
    parts.append(f"  options {{ timeout(time: {minutes}, unit: 'MINUTES') }}\n")
    parts.append(f"  steps {{\n{indent(steps, '    ')}  }}\n{indent(_END, '  ')}}}\n")
    return "".join(parts)


def _sh(script: str) -> str:
    """A script between three single quotes: Groovy takes nothing in it for its own but the backslash."""
    return "sh '''\n" + indent(script.replace("\\", "\\\\").replace("'''", "\\'\\'\\'"), "  ") + "'''\n"
