"""How pods on fake nodes behave, for KWOK. A pod says so by its label `fake/behave`, or by the tag of its image; without a word it is ready at
once, and a job's is done.

pull-error: its image is not there. crash: it starts over and over. never-ready. slow: ready after three seconds. fail: it ends with 1.
hang: a job's pod that never ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

LABEL = "fake/behave"
_BEHAVIOUR = f'.metadata.labels["{LABEL}"] // (.spec.containers[0].image | split(":") | last)'
_LIVES = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_NEW = {"key": ".status.podIP", "operator": "DoesNotExist"}
_RUNS = {"key": ".status.phase", "operator": "In", "values": ["Running"]}
_JOBS = {"key": ".metadata.ownerReferences.[].kind", "operator": "In", "values": ["Job"]}
_RUNNING = "{running: {startedAt: {{ $now | Quote }}}}"
_STATUS = """\
{{{{ $now := Now }}}}
conditions:
- {{type: Initialized, status: "True", lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: Ready, status: "{ready}", lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: ContainersReady, status: "{ready}", lastTransitionTime: {{{{ $now | Quote }}}}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  ready: {flag}
  restartCount: {restarts}
  state: {state}
{{{{ end }}}}
hostIP: {{{{ NodeIPWith .spec.nodeName | Quote }}}}
podIP: {{{{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}}}
phase: {phase}
startTime: {{{{ $now | Quote }}}}
"""


def documents() -> str:
    """The stages, as KWOK reads them in the place of its own for pods."""
    stages = [
        _stage("ready", (_LIVES, _NEW, _not("pull-error", "crash", "never-ready", "slow")), _status(ready=True)),
        _stage("slow", (_LIVES, _NEW, _is("slow")), _status(ready=True), delay=3000),
        _stage("never-ready", (_LIVES, _NEW, _is("never-ready")), _status()),
        _stage("pull-error", (_LIVES, _NEW, _is("pull-error")), _status("Pending", _waiting("ImagePullBackOff"))),
        _stage("crash", (_LIVES, _NEW, _is("crash")), _status("Running", _waiting("CrashLoopBackOff"), restarts=5)),
        _stage("done", (_LIVES, _RUNS, _JOBS, _not("fail", "hang")), _status("Succeeded", _ended(0)), delay=200),
        _stage("fail", (_LIVES, _RUNS, _is("fail")), _status("Failed", _ended(1)), delay=200),
        _stage("gone", ({**_LIVES, "operator": "Exists"},), {"finalizers": {"empty": True}, "delete": True}),
    ]
    return str(yaml.safe_dump_all(stages, sort_keys=False))


def _is(*behaviours: str) -> dict[str, Any]:
    return {"key": _BEHAVIOUR, "operator": "In", "values": [*behaviours]}


def _not(*behaviours: str) -> dict[str, Any]:
    return {**_is(*behaviours), "operator": "NotIn"}


def _stage(name: str, when: Sequence[dict[str, Any]], then: dict[str, Any], *, delay: int = 0) -> dict[str, Any]:
    """`delay` in milliseconds."""
    spec = {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchExpressions": [*when]},
        "delay": {"durationMilliseconds": delay},
        "next": then,
    }
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def _status(phase: str = "Running", state: str = _RUNNING, *, ready: bool = False, restarts: int = 0) -> dict[str, Any]:
    flag = str(ready).lower()
    return {"statusTemplate": _STATUS.format(phase=phase, state=state, ready=ready, flag=flag, restarts=restarts)}


def _waiting(reason: str) -> str:
    return f"{{waiting: {{reason: {reason}, message: as its label says}}}}"


def _ended(code: int) -> str:
    times = "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}"
    return f"{{terminated: {{exitCode: {code}, reason: {'Error' if code else 'Completed'}, {times}}}}}"
