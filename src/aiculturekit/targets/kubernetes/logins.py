"""Programs that log in for a user of a kubeconfig (`users[].user.exec`): `aws eks get-token`, `gke-gcloud-auth-plugin`. Blocks.

(https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins)
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

_PATIENCE = 60.0
"""Seconds: some of them ask servers far away."""
_VERSION = "client.authentication.k8s.io/v1beta1"
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """What a program answered: a token, a certificate with its key, or both. Never shown."""

    token: str = dataclasses.field(default="", repr=False)
    certificate: str = dataclasses.field(default="", repr=False)
    key: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """`asked` is what the kubeconfig says about it, `cluster` the cluster's own entry."""

    asked: Mapping[str, Any]
    cluster: Mapping[str, Any]

    def login(self) -> Login:
        """Raises HostTrouble."""
        name = str(self.asked.get("command", ""))
        if self.asked.get("interactiveMode") == "Always":
            raise HostTrouble(
                say("{program}, which logs in to the cluster, wants a terminal, and the daemon has none", program=name),
                hint=say("log in by hand first, and let the kubeconfig say interactiveMode: IfAvailable"),
            )
        try:
            done = subprocess.run(
                [name, *(self.asked.get("args") or ())],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise self._trouble(name, reason) from error
        if done.returncode:
            raise self._trouble(name, _last(done.stderr) or say("it ended with {code}", code=done.returncode))
        return self._read(name, done.stdout)

    def _environment(self) -> dict[str, str]:
        told: Json = {"interactive": False}
        if self.asked.get("provideClusterInfo"):
            told["cluster"] = dict(self.cluster)
        record = {"apiVersion": self._version, "kind": "ExecCredential", "spec": told}
        own = {one["name"]: one["value"] for one in self.asked.get("env") or ()}
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(record)}

    def _read(self, name: str, said: bytes) -> Login:
        try:
            status = json.loads(said)["status"]
            found = Login(
                token=status.get("token") or "",
                certificate=status.get("clientCertificateData") or "",
                key=status.get("clientKeyData") or "",
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._trouble(name, say("its answer is no ExecCredential with a status")) from error
        if not found.token and not (found.certificate and found.key):
            raise self._trouble(name, say("its answer has neither a token nor a certificate"))
        return found

    @property
    def _version(self) -> str:
        return str(self.asked.get("apiVersion") or _VERSION)

    def _trouble(self, name: str, reason: str) -> HostTrouble:
        return HostTrouble(
            say("{program}, which logs in to the cluster, failed: {reason}", program=name, reason=reason),
            hint=str(self.asked.get("installHint") or "").strip()
            or say("`kubectl version` tries the same; the daemon has the variables of the shell that started it"),
        )


def _last(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
