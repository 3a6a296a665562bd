"""GitHub's actions by the whole digest of a commit, as rows of data. Pure.

A tag can be moved to other code by whoever takes an action's repository over; a digest cannot. Each digest is one that several public
workflows name together with its version; `source` is where that version's release stands.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """`repository` is OWNER/NAME, `digest` a commit's forty digits, `version` the release that it is."""

    repository: str
    version: str
    digest: str

    def __str__(self) -> str:
        """What stands behind `uses:`."""
        return f"{self.repository}@{self.digest}  # {self.version}"

    @property
    def source(self) -> str:
        return f"https://github.com/{self.repository}/releases/tag/{self.version}"


CHECKOUT = Action("actions/checkout", "v5.0.0", "08c6903cd8c0fde910a37f88322edcfb5dd907a8")
PYTHON = Action("actions/setup-python", "v6.0.0", "e797f83bcb11b83ae66e0230d6156d7c80228e7c")
TRIVY = Action("aquasecurity/setup-trivy", "v0.2.6", "3fb12ec12f41e471780db15c232d5dd185dcb514")
AWS = Action("aws-actions/configure-aws-credentials", "v5.1.1", "61815dcd50bd041e203e49132bacad1fd04d2708")
GOOGLE = Action("google-github-actions/auth", "v3.0.0", "7c6bc770dae815cd3e89ee6cdf493a5fab2cc093")
GKE = Action("google-github-actions/get-gke-credentials", "v3.0.0", "3da1e46a907576cefaa90c484278bb5b259dd395")
AZURE = Action("azure/login", "v2.3.0", "a457da9ea143d694b1b9c7c869ebb04ebe844ef5")
ALIBABA = Action("aliyun/configure-aliyun-credentials-action", "v1.1.0", "1e5248c8d5d93a8781ac344a68e19a43341e79e6")

ALL = (CHECKOUT, PYTHON, TRIVY, AWS, GOOGLE, GKE, AZURE, ALIBABA)
