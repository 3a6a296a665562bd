"""An application as it is sent to a daemon that stands elsewhere: its documents, with images that are built and pushed here, where the code
is. Needs no daemon here."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.control import manifests, pins, placements, plans, wishes
from aiculturekit.deploy.changes import Emit
from aiculturekit.locator import Locator
from aiculturekit.spec import load
from aiculturekit.spec.models import Application

Json = dict[str, Any]


async def packed(file: Path, *, environment: str, store: Path, is_pushed: bool, emit: Emit) -> Json:
    """The body of a request for it. Where nothing is pushed, images are what they would be. Raises SpecError, Mistake, Unsupported, and
    what building and pushing raise."""
    application = await _loaded(file, environment)
    cluster = manifests.located(application)
    wish = await wishes.of_file(application, verb="deploy", reason="", author="")
    manifests.refuse(application, wish.documents, cluster)
    documents = await pins.pinned(
        application, wish.documents, cluster=cluster, store=store, is_pushed=is_pushed, emit=emit
    )
    return {
        "app": application.app,
        "environment": environment,
        "target": _elsewhere(application.target),
        "documents": [one.as_dict() for one in placements.portable(documents)],
        "file": str(application.file),
        "text": application.text,
        "secrets": dict(application.secrets),
    }


async def located(file: Path, *, environment: str, steps: list[Json]) -> list[Json]:
    """A plan that came back, with the lines of the file."""
    return plans.located(await _loaded(file, environment), steps)


def _elsewhere(target: str) -> str:
    """Without the name of a file of this machine's."""
    locator = Locator.parse(target)
    options = {name: value for name, value in locator.options.items() if name != "kubeconfig"}
    return dataclasses.replace(locator, options=options).reveal()


async def _loaded(file: Path, environment: str) -> Application:
    return await threads.run(load.load, wishes.named(file), environment=environment, variables=os.environ)
