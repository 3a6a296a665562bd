"""The pipeline of an application file for a forge. Needs no daemon; touches nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from aiculturekit import __version__
from aiculturekit.control import manifests
from aiculturekit.control.recipes import recipes
from aiculturekit.errors import Mistake
from aiculturekit.forges import gitee, github, gitlab, jenkins, stamps
from aiculturekit.forges.pipelines import Environment, Pipeline, Test, waiting
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.spec import load, secrets
from aiculturekit.spec.models import SECTIONS

FORGES: Mapping[str, ModuleType] = {"github": github, "gitlab": gitlab, "gitee": gitee, "jenkins": jenkins}
_INSTALL = f'python -m pip install --quiet "aiculturekit=={__version__}"'


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """`approve`: environments that wait for a person; `install`: the command that brings aic."""

    branch: str = "main"
    approve: tuple[str, ...] = ()
    install: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """What a forge reads: `file` is where it stands, `deploys` the environments in order."""

    file: Path
    text: str
    deploys: tuple[str, ...]


def written(file: Path, *, forge: str, wish: Wish) -> Written:
    """Raises SpecError, LocatorError, and Mistake for an environment that there is none of. Blocks."""
    root = _repository(file.parent)
    made = pipeline(file, root=root, wish=wish)
    writer = FORGES[forge]
    command = " ".join(["aic ci", forge, *([made.path] if made.path != "." else [])])
    text = stamps.stamped(writer.text(made), command=command, comment="//" if forge == "jenkins" else "#")
    return Written(root / writer.path(made), text, tuple(one.name for one in made.environments))


def pipeline(file: Path, *, root: Path, wish: Wish) -> Pipeline:
    listed = [(name, load.load(file, environment=name)) for name in load.environments(file)]
    clusters = {
        name: manifests.located(application)
        for name, application in listed
        if Locator.parse(application.target).scheme == manifests.SCHEME
    }
    for name in set(wish.approve) - clusters.keys():
        raise Mistake(
            say("no environment {name} goes to a cluster", name=repr(name)),
            hint=say("there is {known}", known=", ".join(clusters) or "-"),
        )
    application = load.load(file)
    waits = waiting(tuple(clusters), chosen=wish.approve)
    places = dict.fromkeys([file.parent.resolve(), *(one.directory.resolve() for one in recipes(application))])
    return Pipeline(
        app=application.app,
        path=_relative(file.parent, root),
        environments=tuple(
            Environment(name, cluster, name in waits, _variables(file, name)) for name, cluster in clusters.items()
        ),
        tests=tuple(test for place in places for test in _tests(place, root)),
        install=wish.install or _INSTALL,
        branch=wish.branch,
    )


def _variables(file: Path, environment: str) -> tuple[str, ...]:
    said = load.merged(file, environment=environment)
    found = (one for section in SECTIONS for _, one in secrets.found(said.get(section)))
    return tuple(sorted({one.name for one in found if one.kind == "env"}))


def _repository(folder: Path) -> Path:
    """The nearest folder above that Git knows; the folder itself where there is none."""
    here = folder.resolve()
    return next((place for place in (here, *here.parents) if (place / ".git").exists()), here)


def _relative(folder: Path, root: Path) -> str:
    return folder.resolve().relative_to(root).as_posix()


def _tests(folder: Path, root: Path) -> Iterator[Test]:
    """What a person would run there: `make test` where there is one, else what the languages have."""
    place = _relative(folder, root)
    if re.search(r"^test\s*:", _text(folder / "Makefile"), re.M):
        yield Test("make", place, ("make test",))
        return
    if _is_tested_node(folder):
        install = "npm ci" if (folder / "package-lock.json").is_file() else "npm install"
        yield Test("node", place, (install, "npm test"))
    if any((folder / "tests").glob("**/test_*.py")) or any(folder.glob("test_*.py")):
        yield Test("python", place, tuple(_python(folder)))


def _python(folder: Path) -> Iterator[str]:
    yield "python -m pip install --quiet pytest"
    if (folder / "requirements.txt").is_file():
        yield "python -m pip install --quiet -r requirements.txt"
    elif re.search(r"^\[project\]", _text(folder / "pyproject.toml"), re.M):
        yield "python -m pip install --quiet ."
    yield "python -m pytest"


def _is_tested_node(folder: Path) -> bool:
    try:
        script = str(json.loads(_text(folder / "package.json") or "{}")["scripts"]["test"])
    except (ValueError, KeyError, TypeError):
        return False
    return "no test specified" not in script


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
