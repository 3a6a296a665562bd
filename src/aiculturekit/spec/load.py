"""From a file to an Application, or to every mistake in it at once.

read      bytes -> values with places          one Problem at most: text that is not YAML has no further ones
overlay   the environment over the file        places follow
models    every key, by itself                 all problems
checks    what no single key shows             all problems, of what the models accepted
finish    versions, weights and directories filled in
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from aiculturekit.errors import Problem, SpecError
from aiculturekit.language import say
from aiculturekit.spec import checks, complaints, fillings, overlays, texts
from aiculturekit.spec.fillings import Keeping
from aiculturekit.spec.models import Application, File, Ref, Resource
from aiculturekit.spec.services import Job, Service, Version

DEFAULT = "local"
LOCAL = "local:"
"""The target when the file says none."""
T = TypeVar("T", Service, Version, Job, Resource)


def load(
    file: Path,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    keeping: Keeping | None = None,
) -> Application:
    """The application in `file` as `environment` sees it (`local` when None). `variables` answers `${env.NAME}`; what is secret of it is
    filled in on this machine, and kept for any other target, unless `keeping` says otherwise. Raises SpecError."""
    return parse(_raw(file), file=file, environment=environment, variables=variables, keeping=keeping)


def environments(file: Path) -> tuple[str, ...]:
    """The names of the environments that the file has overlays for. Raises SpecError for one that is no YAML."""
    value, _ = texts.read(_raw(file), file=str(file))
    known = value.get("environments") if isinstance(value, Mapping) else None
    return tuple(map(str, known)) if isinstance(known, Mapping) else ()


def merged(file: Path, *, environment: str | None = None) -> dict[str, Any]:
    """What the file says for the environment, as it is written: overlaid, nothing filled in, secrets by reference. Raises SpecError."""
    value, places = texts.read(_raw(file), file=str(file))
    chosen = environment or DEFAULT
    _check_environment(value, environment, file, places)
    return overlays.merged(value, places, environment=chosen)[0]


def _raw(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(texts.MAX_BYTES + 1)
    except FileNotFoundError:
        raise _unreadable(
            file, say("there is no file {file}", file=file), say("`aic init` writes one to start from")
        ) from None
    except IsADirectoryError:
        raise _unreadable(file, say("{file} is a directory", file=file), say("name the file in it")) from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, say("{file} can't be read: {error}", file=file, error=str(error)), "") from error


def parse(
    raw: bytes | str,
    *,
    file: Path,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    keeping: Keeping | None = None,
) -> Application:
    """The same from the file's content; `file` says where it stands."""
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    value, places = texts.read(data, file=str(file))
    if not isinstance(value, Mapping):
        raise _unreadable(
            file,
            say("the file must be a mapping that starts with app: NAME"),
            say("`aic init` writes one to start from"),
        )
    chosen = environment or DEFAULT
    _check_environment(value, environment, file, places)
    whole, kept = overlays.merged(value, places, environment=chosen)
    model, unknown = _validated(whole, file, kept)
    found = list(checks.findings(model, directory=file.resolve().parent))
    beside = {problem.path.rpartition(".")[0] for problem in unknown}
    problems = unknown + [
        complaints.problem(path, message, hint=hint, file=str(file), places=kept)
        for path, message, hint in found
        if ".".join(map(str, path)) not in beside  # what is missing there is most likely the misspelled key
    ]
    filled = fillings.filled(
        model, variables, keeping=keeping or _keeping(model), folder=file.parent, file=str(file), places=kept
    )
    if problems or filled.problems:
        raise SpecError(_ordered([*problems, *filled.problems]))
    done = _finished(filled.model, file=file, environment=chosen, text=data.decode("utf-8-sig"), places=kept)
    return dataclasses.replace(done, secrets=filled.values)


def is_here(target: str) -> bool:
    """Whether it is this machine."""
    return target.partition(":")[0] == LOCAL.partition(":")[0]


def _keeping(model: File) -> Keeping:
    return "filled" if is_here(model.target or LOCAL) else "kept"


def _validated(value: Mapping[str, Any], file: Path, places: overlays.Places) -> tuple[File, list[Problem]]:
    """The model, and the unknown keys below the top level: without them the rest can be checked all the same."""
    try:
        return File.model_validate(value), []
    except ValidationError as error:
        found = _ordered(list(complaints.problems(error, root=File, file=str(file), places=places)))
        unknown = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
        if len(unknown) < len(found) or any(len(path) == 1 for path in unknown):
            raise SpecError(found) from None
    try:
        return File.model_validate(_without(value, unknown)), found
    except (ValidationError, LookupError, TypeError):
        raise SpecError(found) from None


def _without(value: Mapping[str, Any], paths: Sequence[tuple[int | str, ...]]) -> dict[str, Any]:
    """A copy without the keys at `paths`. Raises LookupError where a path does not lead through the value."""
    copied = copy.deepcopy(dict(value))
    for *parents, last in paths:
        inner: Any = copied
        for parent in parents:
            inner = inner[parent]
        del inner[last]
    return copied


def _check_environment(value: Mapping[str, Any], environment: str | None, file: Path, places: overlays.Places) -> None:
    known = value.get("environments")
    if environment in (None, DEFAULT) or (isinstance(known, Mapping) and environment in known):
        return
    names = [str(name) for name in known] if isinstance(known, Mapping) else []
    near = get_close_matches(environment or "", names, 1)
    hint = (
        say("did you mean {near}?", near=near[0])
        if near
        else say("there is {known}", known=", ".join([DEFAULT, *names]))
    )
    message = say("the file has no environment {name}", name=repr(environment))
    raise SpecError([complaints.problem(("environments",), message, hint=hint, file=str(file), places=places)])


def _ordered(problems: list[Problem]) -> list[Problem]:
    return sorted(set(problems), key=lambda p: (p.line, p.column, p.path, p.message))


def _unreadable(file: Path, message: str, hint: str) -> SpecError:
    return SpecError([Problem("", message, hint, file=str(file), line=1, column=1)])


def _finished(model: File, *, file: Path, environment: str, text: str, places: overlays.Places) -> Application:
    directory = file.resolve().parent
    references_of = (reference.partition("/") for reference in model.protect)
    return Application(
        app=model.app,
        file=file.resolve(),
        directory=directory,
        environment=environment,
        target=model.target or LOCAL,
        services={name: _finished_service(service, directory) for name, service in model.services.items()},
        functions=model.functions,
        topics=model.topics,
        resources={name: _placed(one, directory / (one.source or ".")) for name, one in model.resources.items()},
        config=model.config,
        jobs={name: _placed(job, directory / (job.source or ".")) for name, job in model.jobs.items()},
        protect=tuple(Ref(kind, name) for kind, _, name in references_of),
        text=text,
        places=places,
    )


def _finished_service(service: Service, directory: Path) -> Service:
    given = service.versions or {"v1": Version()}
    unset = [version for version, detail in given.items() if detail.weight is None]
    rest = 100.0 - sum(detail.weight or 0.0 for detail in given.values())
    versions = {}
    for name, detail in given.items():
        update = {
            "weight": rest / len(unset) if detail.weight is None else detail.weight,
            "run": detail.run or service.run,
            "image": detail.image or service.image,
            "env": {**service.env, **detail.env},
        }
        versions[name] = _placed(detail.model_copy(update=update), directory / (detail.source or service.source or "."))
    return _placed(service.model_copy(update={"versions": versions}), directory / (service.source or "."))


def _placed(workload: T, directory: Path) -> T:
    placed = workload.model_copy()
    placed._directory = directory.resolve()
    return placed
