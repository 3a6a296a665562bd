from __future__ import annotations

import os
import subprocess
from pathlib import Path

from aiculturekit.control import commits

_WHO = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def git(folder: Path, *words: str, **more: str) -> str:
    environment = {**os.environ, **_WHO, **more}
    return subprocess.run(
        ["git", "-C", folder, *words], check=True, capture_output=True, text=True, env=environment
    ).stdout


def test_the_last_commit_of_the_folder_and_its_time(tmp_path: Path) -> None:
    shop, blog = tmp_path / "shop", tmp_path / "blog"
    git(tmp_path, "init", "-q")
    for at, folder in enumerate((shop, blog)):
        folder.mkdir()
        (folder / "a.py").write_text("a")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", folder.name, GIT_COMMITTER_DATE=f"{1_700_000_000 + at} +0000")
    found = commits.of_folder(shop)
    assert found.revision == git(tmp_path, "rev-parse", "HEAD~").strip()
    assert found.at == 1_700_000_000
    (blog / "b.py").write_text("of another")
    assert commits.of_folder(shop) == found
    (shop / "b.py").write_text("not committed")
    assert commits.of_folder(shop) == commits.Commit(found.revision, None)


def test_a_folder_that_is_in_no_repository_has_none(tmp_path: Path) -> None:
    assert commits.of_folder(tmp_path) == commits.NONE
