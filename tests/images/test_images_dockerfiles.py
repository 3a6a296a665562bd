"""Dockerfiles, judged by hadolint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiculturekit.control import dockerfiles
from aiculturekit.errors import BuildFailed

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"
HADOLINT = Path(sys.executable).with_name("hadolint")


def linted(texts: dict[str, str], folder: Path) -> str:
    files = []
    for name, text in texts.items():
        if name.endswith(".Dockerfile"):
            (folder / name).write_text(text)
            files.append(str(folder / name))
    return subprocess.run([str(HADOLINT), *files], capture_output=True, text=True, timeout=60, check=False).stdout


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder / "aic.yaml"


def test_the_shops_are_clean(tmp_path: Path) -> None:
    found = dockerfiles.rendered(SHOP, environment=None)
    assert linted(found, tmp_path) == ""
    text = found["shop-order-service.Dockerfile"]
    assert (
        text.count("FROM python:3.12-slim") == 2 and "USER 65532:65532" in text and "HEALTHCHECK --interval=5s" in text
    )
    assert 'CMD ["/bin/sh", "-c", "exec uvicorn main:app --port $PORT --no-access-log"]' in text
    assert "**/.env\n" in found["shop-order-service.Dockerfile.dockerignore"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"package.json": "{}", "package-lock.json": "{}"},
            ["npm ci --omit=dev", "COPY --from=build /app/node_modules"],
        ),
        (
            {"pyproject.toml": "[project]\nname = 'x'\n"},
            ["COPY . .\nRUN /opt/venv/bin/pip install", "FROM python:3.12-slim AS build"],
        ),
        ({"pyproject.toml": "[project]\nname = 'x'\n", "uv.lock": ""}, ["uv export --frozen", "--no-deps ."]),
    ],
)
def test_other_manifests_are_clean_too(tmp_path: Path, files: dict[str, str], words: list[str]) -> None:
    file = written(tmp_path, {**files, "aic.yaml": "app: a\nservices: {web: {run: ./start, health: /}}\n"})
    found = dockerfiles.rendered(file, environment=None)
    assert linted(found, tmp_path) == ""
    for word in words:
        assert word in found["a-web.Dockerfile"]


def test_without_manifests_there_is_one_stage_and_a_name_for_the_base(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {
            "aic.yaml": "app: a\nservices: {web: {run: ./server, base: 'debian:12-slim'}}\njobs: {j: {run: python x.py}}\n"
        },
    )
    found = dockerfiles.rendered(file, environment=None)
    assert linted(found, tmp_path) == "" and found["a-web.Dockerfile"].count("FROM ") == 1
    assert "VIRTUAL_ENV" not in found["a-j.Dockerfile"] and "EXPOSE" not in found["a-j.Dockerfile"]
    for base in ("", ", base: 'oci:x'"):
        written(tmp_path, {"aic.yaml": f"app: a\nservices: {{web: {{run: ./server{base}}}}}\n"})
        with pytest.raises(BuildFailed, match="needs a base in a registry"):
            dockerfiles.rendered(file, environment=None)
