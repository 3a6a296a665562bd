"""A Dockerfile for each workload of an application file. Needs no daemon; touches nothing."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.control.recipes import recipes
from aiculturekit.images import dockerfiles, languages
from aiculturekit.images.builds import Recipe
from aiculturekit.spec import load


def rendered(file: Path, *, environment: str | None) -> dict[str, str]:
    """`NAME.Dockerfile` and `NAME.Dockerfile.dockerignore`, which Docker finds by that name, to their texts. Raises SpecError or
    BuildFailed. Blocks."""
    found = {}
    for recipe in recipes(load.load(file, environment=environment)):
        name = f"{recipe.name}.Dockerfile"
        found[name] = _head(recipe, file.parent, name) + dockerfiles.text(_wanted(recipe))
        found[f"{name}.dockerignore"] = dockerfiles.ignored()
    return found


def _wanted(recipe: Recipe) -> dockerfiles.Wanted:
    code = languages.detect(recipe.directory, run=recipe.run)
    return dockerfiles.Wanted(recipe.name, recipe.run, recipe.port, recipe.base, recipe.health, code, recipe.directory)


def _head(recipe: Recipe, directory: Path, name: str) -> str:
    place = recipe.directory.relative_to(directory.resolve()).as_posix()
    return f"# Made by `aic render docker`. In the directory of aic.yaml: docker build -f FOLDER/{name} -t {recipe.name} {place}\n"
