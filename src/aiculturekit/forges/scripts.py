"""What the steps of a pipeline do, as shell (sh) that is the same on every forge. Pure.

$AIC_CI is a folder of the run's own, outside of the code; each script may stop at its first failed command.
"""

from __future__ import annotations

import shlex

from aiculturekit.forges import clouds
from aiculturekit.forges.pipelines import Environment, Pipeline

TRIVY = "v0.69.3"
"""The version of the scanner. Some that came after it were published by somebody else (March 2026)."""
_TRIVY_SCRIPT = f"https://raw.githubusercontent.com/aquasecurity/trivy/{TRIVY}/contrib/install.sh"


def check(pipeline: Pipeline) -> str:
    """The file as it is, and as each environment sees it."""
    path = _path(pipeline)
    lines = [f"aic check{path}", *(f"aic check{path} --env {one.name}" for one in pipeline.environments)]
    return _script(*lines)


def build(pipeline: Pipeline, *environments: Environment) -> str:
    """An OCI layout for each environment; one for the file as it is where there is none."""
    path = _path(pipeline)
    if not environments:
        return _script(f'aic build{path} -o "$AIC_CI/images/local"')
    return _script(*(f'aic build{path} --env {one.name} -o "$AIC_CI/images/{one.name}"' for one in environments))


def scanner() -> str:
    """Brings the scanner where it is not there; its own script compares the checksum."""
    return _script(
        'export PATH="$AIC_CI/bin:$PATH"',
        f'command -v trivy >/dev/null || curl -fsSL {_TRIVY_SCRIPT} | sh -s -- -b "$AIC_CI/bin" {TRIVY}',
    )


def scan() -> str:
    """Every image that has a bill of materials beside its layout. What is known, mended and grave ends the pipeline."""
    return _script(
        'for bill in "$AIC_CI"/images/*/attached/*.spdx.json; do',
        '  [ -e "$bill" ] || continue',
        "  layout=${bill%/attached/*} name=${bill##*/}",
        '  trivy image --input "$layout:${name%.spdx.json}" --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 --no-progress',
        "done",
    )


def login(registry: str, cloud: clouds.Cloud) -> str:
    """Writes what `docker login` would write: with the cloud's own credential where that opens the registry, else with $REGISTRY_USER and
    $REGISTRY_PASSWORD; nothing where there are none (a registry that asks nobody)."""
    host = registry_host(registry)
    is_of_cloud = bool(cloud.registry) and host.endswith(cloud.registry)
    taken = (
        [
            f"REGISTRY_USER={cloud.user}",
            f"REGISTRY_PASSWORD=$({cloud.command.replace('{name}', host.partition('.')[0])})",
        ]
        if is_of_cloud
        else []
    )
    write = (
        f"""printf '{{"auths":{{"%s":{{"auth":"%s"}}}}}}' {shlex.quote(host)} "$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" """
        """| base64 | tr -d '\\n')" >"$DOCKER_CONFIG/config.json\""""
    )
    return _script(*taken, 'if [ -n "${REGISTRY_USER:-}" ]; then', '  mkdir -p "$DOCKER_CONFIG"', f"  {write}", "fi")


def push(pipeline: Pipeline, environment: Environment) -> str:
    """What was scanned: the same digests come out of the store."""
    target = environment.cluster.registry
    return _script(f"aic build{_path(pipeline)} --env {environment.name} --push {shlex.quote(target)}")


def plan(pipeline: Pipeline, environment: Environment) -> str:
    """Into a file, whether it goes well or not; the code is the command's own."""
    file = plan_file(environment)
    return _script(
        "code=0",
        f"aic plan{_path(pipeline)} --to {environment.name} >{file} 2>&1 || code=$?",
        f"cat {file}",
    )


def plan_file(environment: Environment) -> str:
    return f'"$AIC_CI/{environment.name}.plan"'


def comment(pipeline: Pipeline) -> str:
    plans = " ".join(f"--plan {one.name}={plan_file(one)}" for one in pipeline.environments)
    return _script(f"aic ci comment{_path(pipeline)} {plans}")


def deploy(pipeline: Pipeline, environment: Environment, *, reason: str) -> str:
    return _script(f'aic deploy{_path(pipeline)} --to {environment.name} --reason "{reason}"')


def registry_host(registry: str) -> str:
    return registry.partition("://")[2].partition("/")[0] if "://" in registry else registry.partition("/")[0]


def _path(pipeline: Pipeline) -> str:
    return "" if pipeline.path == "." else f" {shlex.quote(pipeline.path)}"


def _script(*lines: str) -> str:
    return "\n".join(lines) + "\n"
