"""The same image as a Dockerfile in two stages, for those who build with Docker's own tools. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.errors import BuildFailed
from aiculturekit.images import commands, configs, contents, languages, pythons
from aiculturekit.images.facts import Facts
from aiculturekit.images.languages import Code, Language
from aiculturekit.language import say

_FACTS = Facts(python=f"/{pythons.VENV}/bin/python", node="node", has_shell=True)
"""What a base of the usual kind holds; it is not looked into here."""
_UV = "0.5.31"
_ENV = f"/{pythons.VENV}/bin"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """One file: what a recipe says, and what its directory is written in."""

    name: str
    run: str
    port: int | None
    base: str
    health: Mapping[str, Any] | None
    code: Code
    directory: Path


def text(wanted: Wanted) -> str:
    """Raises BuildFailed where there is no base that a Dockerfile could name."""
    base = wanted.base or languages.BASES.get(wanted.code.language, "")
    if not base or base.startswith("oci:"):
        raise BuildFailed(
            say("a Dockerfile of {name} needs a base in a registry", name=wanted.name),
            hint=say("name an image to build on: base: debian:12-slim"),
        )
    stage = list(_stage(wanted, base))
    return "\n".join([*stage, *([""] if stage else []), *_image(wanted, base, has_stage=bool(stage))]) + "\n"


def ignored() -> str:
    """The `.dockerignore` that leaves out what `aic build` leaves out."""
    names = [*contents.EVERYWHERE, *contents.IGNORED]
    return "".join(f"**/{name}\n" for name in sorted(set(names)))


def _stage(wanted: Wanted, base: str) -> Iterator[str]:
    code = wanted.code
    if not code.manifests:
        return
    names = _names(wanted)
    yield f"FROM {base} AS build"
    yield f"WORKDIR /{'app' if code.language == 'node' else 'build'}"
    yield f"COPY {json.dumps([*names, './'])}"
    if code.language == "node":
        is_locked = any("lock" in name or "shrinkwrap" in name for name in names)
        yield f"RUN npm {'ci' if is_locked else 'install'} --omit=dev --ignore-scripts --no-audit --no-fund"
    else:
        yield from _installed(code, names)


def _names(wanted: Wanted) -> list[str]:
    """Raises BuildFailed for a manifest that lies outside of the directory, which is all that Docker sees."""
    try:
        return [file.relative_to(wanted.directory).as_posix() for file in wanted.code.manifests]
    except ValueError as error:
        raise BuildFailed(
            say(
                "{name}: a Dockerfile can't reach a file outside of {directory}",
                name=wanted.name,
                directory=wanted.directory,
            ),
            hint=say("`aic build` can; or move the file into the directory"),
        ) from error


def _installed(code: Code, names: list[str]) -> Iterator[str]:
    pip = f"{_ENV}/pip install --no-cache-dir --no-compile"
    if not code.is_project:
        yield f"RUN python -m venv /{pythons.VENV} && {pip} --only-binary=:all: -r {names[0]}"
        return
    if "uv.lock" in names:
        export = "uv export --frozen --no-dev --no-emit-project -o /tmp/locked.txt"
        yield f"RUN pip install --no-cache-dir uv=={_UV} && {export}"
        yield f"RUN python -m venv /{pythons.VENV} && {pip} --only-binary=:all: -r /tmp/locked.txt"
    else:
        yield f"RUN python -m venv /{pythons.VENV}"
    yield "COPY . ."
    yield f"RUN {pip} {'--no-deps ' if 'uv.lock' in names else ''}."


def _image(wanted: Wanted, base: str, *, has_stage: bool) -> Iterator[str]:
    is_plain = wanted.code.language == "python" and not has_stage
    language: Language = "other" if is_plain else wanted.code.language
    variables = configs.environment({}, language=language, port=wanted.port, facts=_FACTS)
    path = variables.pop("PATH").removesuffix(configs.PATH)
    own = {**variables, **({"PATH": f"{path}$PATH"} if path else {})}
    yield f"FROM {base}"
    yield f'LABEL org.opencontainers.image.title="{wanted.name}"'
    yield "ENV " + " \\\n    ".join(f'{name}="{value}"' for name, value in sorted(own.items()))
    yield "WORKDIR /app"
    if has_stage and wanted.code.language == "node":
        yield "COPY --from=build /app/node_modules ./node_modules"
    elif has_stage:
        yield f"COPY --from=build /{pythons.VENV} /{pythons.VENV}"
    yield "COPY . ."
    yield f"USER {configs.USER}"
    if wanted.port is not None:
        yield f"EXPOSE {wanted.port}"
    yield from _health(wanted)
    yield f"CMD {json.dumps(commands.words(wanted.run, facts=_FACTS, port=wanted.port))}"


def _health(wanted: Wanted) -> Iterator[str]:
    facts = _FACTS if wanted.code.manifests else dataclasses.replace(_FACTS, python="python3")
    found = commands.healthcheck(wanted.health, language=wanted.code.language, facts=facts)
    if found is None or wanted.health is None:
        return
    kind, *words = found["Test"]
    asked = words[0] if kind == "CMD-SHELL" else json.dumps(words)
    times = {
        "interval": wanted.health["every"],
        "timeout": wanted.health["timeout"],
        "start-period": wanted.health["startup"],
    }
    options = " ".join(f"--{name}={seconds:g}s" for name, seconds in times.items())
    yield f"HEALTHCHECK {options} --retries={found['Retries']} \\\n    CMD {asked}"
