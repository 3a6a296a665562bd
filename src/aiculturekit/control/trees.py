"""An environment as files of a Git tree that a tool in the cluster watches (Argo CD, Flux). Needs no daemon; asks no cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiculturekit import threads
from aiculturekit.control import manifests, pins
from aiculturekit.targets.kubernetes import rendering
from aiculturekit.targets.kubernetes.exports import kustomize


async def rendered(
    file: Path, *, environment: str, store: Path, progress: Callable[[str], None]
) -> tuple[str, dict[str, str]]:
    """The application's name, and path -> text for each object, with images that are built, pushed, and pinned by their digests. Raises as
    `manifests.rendered`, and what building and pushing raise."""
    application = await threads.run(manifests.loaded, file, environment=environment)
    cluster = manifests.located(application)
    documents = manifests.described(application)
    manifests.refuse(application, documents, cluster)

    def tell(_: str, record: object) -> None:
        if isinstance(record, dict):
            progress(": ".join(filter(None, (record["workload"], record["message"]))))

    documents = await pins.pinned(application, documents, cluster=cluster, store=store, is_pushed=True, emit=tell)
    objects = rendering.rendered(application.app, documents, cluster=cluster)
    files = kustomize.folder([one.manifest for one in objects if one.fill is None])
    script = manifests.secrets(objects)
    return application.app, files | ({"secrets.sh": script} if script else {})
