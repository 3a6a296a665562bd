"""Folders that other tools read: what is written, and what is left alone."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.cli import trees


def test_what_lies_beside_and_is_ours_goes_and_nothing_else(tmp_path: Path) -> None:
    trees.fill(
        tmp_path, {"base/one.yaml": "a: 1\n", "base/two.yaml": "b: 2\n", "overlays/prod/secrets.sh": "#!/bin/sh\n"}
    )
    (tmp_path / "base" / "own.yaml").write_text("mine: true\n")
    other = tmp_path / "shop" / "prod" / "deployment.yaml"  # of another application in the same Git tree
    trees.fill(other.parent, {other.name: "c: 3\n"})
    trees.fill(tmp_path, {"base/one.yaml": "a: 2\n"})
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.yaml")}
    assert left == {"base/one.yaml", "base/own.yaml", "shop/prod/deployment.yaml"}
    assert (tmp_path / "base" / "one.yaml").read_text() == f"{trees.MARK}a: 2\n"
