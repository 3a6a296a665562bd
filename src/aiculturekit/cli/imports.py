"""`aic init --from`: the disk around a pure importer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiculturekit.cli import choices, outputs
from aiculturekit.errors import HostTrouble, Mistake, UsageError
from aiculturekit.language import say

KINDS = ("compose", "kubernetes")
_MOST = 2000
"""Files of a folder that are read."""
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def import_(kind: str, source: Path, *, as_json: bool) -> None:
    """Writes aic.yaml beside the file and says what could not be carried over. Raises UsageError, Mistake or SpecError."""
    from aiculturekit.spec import load

    if kind not in KINDS:
        raise UsageError(
            say("{kind} is no kind of file that can be read", kind=repr(kind)),
            hint=say("known: {known}", known=", ".join(KINDS)),
        )
    source = source.expanduser().absolute()
    place = source if source.is_dir() else source.parent
    target = place / choices.SPEC_FILE
    if target.exists():
        raise Mistake(
            say("{file} is already there; nothing was written", file=target), hint=say("`aic check` reads it")
        )
    text, losses = _of_compose(source) if kind == "compose" else _of_kubernetes(source)
    load.parse(text, file=target)
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        raise HostTrouble(say("{file} can't be written: {error}", file=target, error=error.strerror or "")) from error
    _tell(target, losses, as_json=as_json)


def _of_compose(source: Path) -> tuple[str, list[Any]]:
    from aiculturekit.spec.importers import compose

    file = _found(source)
    place = file.parent
    return compose.imported(
        _bytes(file) or b"",
        file=file.name,
        name=place.name,
        read=lambda path: _bytes(place / path),
        is_directory=lambda path: (place / path).is_dir(),
    )


def _of_kubernetes(source: Path) -> tuple[str, list[Any]]:
    """Every YAML file of the folder and of those in it, in order; or the one file."""
    from aiculturekit.spec.importers import kubernetes

    if not source.exists():
        raise Mistake(say("there is no file {file}", file=source), hint=say("name a folder of YAML files"))
    place = source if source.is_dir() else source.parent
    found = (
        sorted(one for ending in ("*.yaml", "*.yml") for one in place.rglob(ending)) if source.is_dir() else [source]
    )
    listed = [one for one in found if one.name not in ("kustomization.yaml", "values.yaml", "Chart.yaml")][:_MOST]
    files = {one.relative_to(place).as_posix(): _bytes(one) or b"" for one in listed}
    return kubernetes.imported(files, name=place.name)


def _tell(target: Path, losses: list[Any], *, as_json: bool) -> None:
    if as_json:
        outputs.print_json({"file": str(target), "losses": [loss.as_dict() for loss in losses]})
        return
    print(say("written: {files}", files=target))
    if losses:
        print(say("not carried over ({count}):", count=len(losses)))
    for loss in losses:
        print(f"  {loss}".replace("\n    ", "\n      "))
    print(say("next: `aic up {place}`", place=target.parent))


def _found(source: Path) -> Path:
    if source.is_dir():
        source = next((source / name for name in _COMPOSE if (source / name).is_file()), source / _COMPOSE[0])
    if not source.is_file():
        raise Mistake(say("there is no file {file}", file=source), hint=say("name a compose file"))
    return source


def _bytes(path: Path) -> bytes | None:
    """At most a little more than an importer takes; None where there is nothing to read."""
    try:
        with path.open("rb") as stream:
            return stream.read((5 << 20) + 1)
    except (OSError, ValueError):
        return None
