"""Jobs that run once for each content: their pods cannot be changed, so the name carries a digest of what they are. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiculturekit.targets.kubernetes.objects import Key, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

LONGEST = 63
"""Letters in the name of a Job whose pods are to have its name in a label."""
Json = dict[str, Any]


def once(app: str, name: str, spec: Json, *, cluster: Cluster, key: Key, component: str) -> Owned:
    meant = {**spec, "template": spec["template"]["spec"]}  # not its labels, which say where it is
    mark = hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()[:8]
    short = f"{name[: LONGEST - 9].rstrip('-.')}-{mark}"
    return Owned(key, made("batch/v1", "Job", short, app=app, cluster=cluster, component=component, spec=spec))
