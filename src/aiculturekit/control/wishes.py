"""What is asked of a target: a file, or an earlier release, as a Change."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import commits
from aiculturekit.deploy.changes import Change
from aiculturekit.engine import sources
from aiculturekit.errors import NotFound
from aiculturekit.language import say
from aiculturekit.plan import resources
from aiculturekit.plan.documents import Document
from aiculturekit.spec.models import Application
from aiculturekit.state import deliveries, releases
from aiculturekit.state.releases import Release

SPEC_FILE = "aic.yaml"


def named(file: Path) -> Path:
    """The application file at a path that names it or its directory."""
    return file / SPEC_FILE if file.is_dir() else file


async def of_file(application: Application, *, verb: str, reason: str, author: str) -> Change:
    """All that the file says, with the code as it is now."""
    began_at = time.time()
    digests = await threads.run(_digests, application)
    files = await threads.run(_texts, application)
    commit = await threads.run(commits.of_folder, application.directory)
    return Change(
        app=application.app,
        verb=verb,
        documents=resources.documents(application, sources=digests, files=files),
        author=author,
        reason=reason,
        environment=application.environment,
        file=str(application.file),
        text=application.text,
        sources=digests,
        began_at=began_at,
        revision=commit.revision,
        committed_at=commit.at,
        keeps_holds=True,
    )


def like(release: Release, *, documents: tuple[Document, ...], verb: str, reason: str, author: str) -> Change:
    """Other documents for the file that a release was made from."""
    return Change(
        app=release.app,
        verb=verb,
        documents=documents,
        author=author,
        reason=reason,
        environment=release.environment,
        file=release.file,
        text=release.text,
        sources=dict(release.sources),
        began_at=time.time(),
        revision=release.revision,
        committed_at=release.committed_at,
    )


def release_to_return_to(connection: Any, app: str, *, number: int | None, current: bool = False) -> Release:
    """The release `number`, or the last good one before the current. Raises NotFound."""
    history = releases.history(connection, app)
    if current:
        number = next((release.number for release in history if release.state == "current"), None)
    elif number is None:
        passed = deliveries.passed(connection, app)
        listed = [
            release.number for release in history if release.state == "superseded" and release.number not in passed
        ]
        number = next(iter(listed), None)
    found = releases.get(connection, app, number) if number is not None else None
    if found is None:
        raise NotFound(
            say("{app} has no earlier release to go back to", app=app)
            if number is None
            else say("{app} has no release {number}", app=app, number=number),
            hint=say("`aic releases {app}` lists them", app=app),
        )
    return found


def _digests(application: Application) -> dict[str, str]:
    directories = {str(v.directory) for service in application.services.values() for v in service.versions.values()}
    directories |= {str(job.directory) for job in application.jobs.values()}
    directories |= {str(service.directory) for service in application.services.values() if service.prepares}
    directories |= {str(one.directory) for one in application.resources.values() if one.source is not None}
    return {directory: sources.digest(Path(directory)) for directory in sorted(directories)}


def _texts(application: Application) -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in resources.named_files(application).items()}
