"""What runs to its end: jobs, and what a service does to its data before it runs. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import batches, pods, servers
from aiculturekit.targets.kubernetes.objects import Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

_TRIES = {"migrate": 0, "seed": 4}
"""A seed that is applied beside its migration, as a whole folder of files is, may come too early."""
_SERVES = "aiculturekit.dev/serves"
Json = dict[str, Any]


def rendered(app: str, document: Document, *, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    body = document.body
    template = pods.template(app, document, documents=documents, cluster=cluster)
    _wait(template, document, documents, cluster)
    spec = _spec(template, retries=body["retries"], seconds=body["timeout"])
    if not body["schedule"]:
        yield batches.once(app, document.name, spec, cluster=cluster, key=document.key, component=document.name)
        return
    timed = {
        "schedule": body["schedule"],
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 300,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": spec},
    }
    made_of = made("batch/v1", "CronJob", document.name, app=app, cluster=cluster, component=document.name, spec=timed)
    yield Owned(document.key, made_of)


def migrations(app: str, document: Document, *, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    """The migration, for each content; then the seed, once for the data: whoever applies them waits for the one before the other."""
    for word, key in (("migrate", "run"), ("seed", "seed")):
        if task := document.body[key]:
            template = pods.template(app, document, documents=documents, cluster=cluster, command=task["run"])
            _keep_apart(template)
            _wait(template, document, documents, cluster)
            spec = _spec(template, retries=_TRIES[word], seconds=task["timeout"])
            name = f"{document.name}-{word}"
            found = batches.once(app, name, spec, cluster=cluster, key=document.key, component=document.name)
            yield found if word == "migrate" else _unrepeated(found, name)


def _keep_apart(template: Json) -> None:
    """Its pods have the service's name, by which networks and meshes know what they may reach, and none of its requests: they are no
    version of it, and by a gate that nobody opens never ready. A pod without a probe is ready as soon as it runs, so the Service would lead
    every other new connection to one where nobody listens.
    (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate)"""
    del template["metadata"]["labels"]["version"]
    template["spec"]["readinessGates"] = [{"conditionType": _SERVES}]


def _wait(template: Json, document: Document, documents: Sequence[Document], cluster: Cluster) -> None:
    if found := servers.arrivals(document, documents=documents, cluster=cluster):
        template["spec"]["initContainers"] = found


def _unrepeated(found: Owned, name: str) -> Owned:
    """Under the same name whatever it is: where it is there, it has been done."""
    metadata = found.manifest["metadata"] | {"name": name[: batches.LONGEST]}
    return dataclasses.replace(found, manifest=found.manifest | {"metadata": metadata}, is_once=True)


def _spec(template: Json, *, retries: int, seconds: float | None) -> Json:
    template["spec"]["restartPolicy"] = "Never"
    found: Json = {"backoffLimit": retries, "template": template}
    return found | ({"activeDeadlineSeconds": math.ceil(seconds)} if seconds else {})
