"""What a file refers to outside of itself, filled in: `${env.NAME}`, and secrets. Reads the files that hold secrets, nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeVar

from aiculturekit.errors import Problem
from aiculturekit.language import say
from aiculturekit.spec import complaints, references, secrets, stores
from aiculturekit.spec.models import File, Resource
from aiculturekit.spec.overlays import Places
from aiculturekit.spec.secrets import Reference
from aiculturekit.spec.services import Job, Service, Version
from aiculturekit.spec.texts import Path as KeyPath

Keeping = Literal["filled", "kept", "named"]
"""What becomes of what is secret in variables: it is filled in like the rest; it is kept apart, with the values that it has here; or it
is only named, and nobody looks for a value."""
T = TypeVar("T", Service, Version, Job)


@dataclasses.dataclass(frozen=True, slots=True)
class Filled:
    """`values` are the secrets' by reference: nothing of them is in the model."""

    model: File
    values: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False)
    problems: tuple[Problem, ...] = ()


def filled(
    model: File, variables: Mapping[str, str] | None, *, keeping: Keeping, folder: Path, file: str, places: Places
) -> Filled:
    """Without variables (a check on another machine) everything stays as it is."""
    if variables is None:
        return Filled(model)
    filling = _Filling(
        variables,
        keeping,
        folder,
        lambda *found: complaints.problem(*found[:2], hint=found[2], file=file, places=places),
    )
    services = {name: _service(filling, name, one) for name, one in model.services.items()}
    jobs = {name: _with_env(filling, one, ("jobs", name)) for name, one in model.jobs.items()}
    stored = {name: one.model_copy(update={"url": filling.url(name, one)}) for name, one in model.resources.items()}
    found = model.model_copy(update={"services": services, "jobs": jobs, "resources": stored})
    return Filled(found, filling.values, tuple(filling.problems))


def _service(filling: _Filling, name: str, service: Service) -> Service:
    versions = {
        version: _with_env(filling, detail, ("services", name, "versions", version))
        for version, detail in service.versions.items()
    }
    return _with_env(filling, service, ("services", name)).model_copy(update={"versions": versions})


def _with_env(filling: _Filling, workload: T, path: tuple[str, ...]) -> T:
    env = {name: filling.text((*path, "env", name), text) for name, text in workload.env.items()}
    return workload.model_copy(update={"env": env})


class _Filling:
    """One going through a file: what was found in it so far."""

    def __init__(
        self,
        variables: Mapping[str, str],
        keeping: Keeping,
        folder: Path,
        problem: Callable[[KeyPath, str, str], Problem],
    ) -> None:
        self._variables, self._keeping, self._folder, self._problem = variables, keeping, folder, problem
        self.values: dict[str, str] = {}
        self.problems: list[Problem] = []

    def text(self, path: tuple[str, ...], text: str) -> str:
        """A variable's."""
        try:
            if self._keeping == "filled":
                return references.resolve_environment(text, variables=self._variables.get)
            shown = secrets.hidden(path[-1], text, variables=self._variables.get)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            self.problems.append(self._problem(path, message, hint))
            return text
        for reference in secrets.of_text(shown):
            if self._keeping == "kept" and reference.kind != "kubernetes":
                self._keep(path, reference)
        return shown

    def url(self, name: str, resource: Resource) -> str | None:
        """A resource's; what is wrong with it is said without its text."""
        wanted = stores.secret(resource.url) if resource.url else None
        if wanted is None or self._keeping == "named":
            return resource.url
        path = ("resources", name, "url")
        kept = self._value(wanted).strip() or None
        if kept is None:
            self.problems.append(
                self._problem(path, _missing(wanted), say("let it hold the server's URL, then run the command again"))
            )
            return None
        whole = resource.model_copy(update={"url": kept})
        self.problems += [self._problem(*found) for found in stores.findings(name, whole)]
        return kept

    def _keep(self, path: tuple[str, ...], reference: Reference) -> None:
        value = self._value(reference)
        if value:
            self.values[str(reference)] = value
            return
        hint = say("let it hold the value, then run the command again")
        self.problems.append(self._problem(path, _missing(reference), hint))

    def _value(self, reference: Reference) -> str:
        """Empty where there is none. A file's without the end of its last line."""
        if reference.kind == "env":
            return self._variables.get(reference.name, "")
        try:
            return (self._folder / reference.name).read_text("utf-8").rstrip("\n")
        except (OSError, ValueError):
            return ""


def _missing(reference: Reference) -> str:
    if reference.kind == "env":
        return say("{name} is not set in your environment", name=reference.name)
    return say("there is no file {file} that can be read, or it is empty", file=reference.name)
