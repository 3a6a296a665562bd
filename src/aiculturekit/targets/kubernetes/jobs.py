"""What runs to its end: jobs, and what a service does to its data before it runs. Pure.

A Job's pods cannot be changed; its name carries a digest of what it is, so that another content is another Job.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import pods
from aiculturekit.targets.kubernetes.objects import Key, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

_LONGEST = 63
"""Letters in the name of a Job whose pods are to have its name in a label."""
Json = dict[str, Any]


def rendered(app: str, document: Document, *, documents: Sequence[Document], cluster: Cluster) -> Iterator[Owned]:
    body = document.body
    template = pods.template(app, document, documents=documents, cluster=cluster)
    spec = _spec(template, retries=body["retries"], seconds=body["timeout"])
    if not body["schedule"]:
        yield once(app, document.name, spec, cluster=cluster, key=document.key, component=document.name)
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
            spec = _spec(template, retries=0, seconds=task["timeout"])
            name = f"{document.name}-{word}"
            found = once(app, name, spec, cluster=cluster, key=document.key, component=document.name)
            yield found if word == "migrate" else _unrepeated(found, name)


def once(app: str, name: str, spec: Json, *, cluster: Cluster, key: Key, component: str) -> Owned:
    meant = {**spec, "template": spec["template"]["spec"]}  # not its labels, which say where it is
    mark = hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:8]
    short = f"{name[: _LONGEST - 9].rstrip('-.')}-{mark}"
    return Owned(key, made("batch/v1", "Job", short, app=app, cluster=cluster, component=component, spec=spec))


def _unrepeated(found: Owned, name: str) -> Owned:
    """Under the same name whatever it is: where it is there, it has been done."""
    metadata = found.manifest["metadata"] | {"name": name[:_LONGEST]}
    return dataclasses.replace(found, manifest=found.manifest | {"metadata": metadata}, is_once=True)


def _spec(template: Json, *, retries: int, seconds: float | None) -> Json:
    template["spec"]["restartPolicy"] = "Never"
    found: Json = {"backoffLimit": retries, "template": template}
    return found | ({"activeDeadlineSeconds": math.ceil(seconds)} if seconds else {})
