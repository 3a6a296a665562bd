"""Folders of files that other tools read: written whole, and nothing of an earlier time is left in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from aiculturekit.cli import clients, outputs
from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

MARK = "# Made by `aic render`; what is changed here is lost the next time.\n"


def fill(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """The files, each with a mark; those with one that lie beside them and are none of them go. Other folders are left alone: what has
    a mark there is of another application, or of another command."""
    files = {folder / name: text for name, text in texts.items()}
    try:
        for left in (one for place in {file.parent for file in files} for one in place.glob("*.yaml")):
            if left not in files and left.read_text("utf-8", "replace").startswith(MARK):
                left.unlink()
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text if file.suffix == ".sh" else MARK + text, "utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    return list(files)


def unwritable(folder: Path, error: OSError) -> HostTrouble:
    return HostTrouble(
        say("{folder} can't be written: {error}", folder=folder, error=error.strerror or str(error)),
        hint=say("name another directory: -o DIRECTORY"),
    )


def write(file: Path, *, environment: str, folder: Path, as_json: bool) -> None:
    """The environment below APP/ENVIRONMENT of a Git tree, whose other files are left alone."""
    import asyncio

    from aiculturekit.control import trees

    def tell(line: str) -> None:
        if not as_json:
            print(line, file=sys.stderr, flush=True)

    work = trees.rendered(file, environment=environment, store=clients.home() / "images", progress=tell)
    app, texts = asyncio.run(work)
    place = folder.expanduser().absolute() / app / environment
    files = fill(place, texts)
    if as_json:
        outputs.print_json([str(one) for one in files])
        return
    print(say("{count} files written to {folder}", count=len(files), folder=folder / app / environment))
    print(say("next: commit them; what watches the tree applies them"))
