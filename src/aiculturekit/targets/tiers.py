"""How well each place where an application, or its rules, can go is proven: by what the tests did, not by what is hoped. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

from aiculturekit.language import say


@dataclasses.dataclass(frozen=True, slots=True)
class Tier:
    """`real`: the real server ran and was asked. `validated`: documents were checked, nobody ran them. `proof` is the test that says so,
    `way` the command that goes there."""

    level: Literal["real", "validated"]
    way: str
    proof: str
    what: Callable[[], str]


TIERS: Mapping[str, Tier] = {
    "local": Tier(
        "real",
        "aic up",
        "tests/integration/test_integration_platform.py",
        lambda: say("this machine: processes behind one Envoy, with mutual TLS"),
    ),
    "kubernetes": Tier(
        "real",
        "aic deploy --to",
        "tests/integration/test_integration_placements.py",
        lambda: say("a Kubernetes cluster: applied by the server, waited for, taken back where it fails"),
    ),
    "istio": Tier(
        "real",
        "aic render istio",
        "tests/conformance/test_conformance.py",
        lambda: say("the mesh's rules for Istio: a real istiod reads them, its Envoys are asked"),
    ),
    "linkerd": Tier(
        "validated",
        "aic render linkerd",
        "tests/integration/test_integration_renderings.py",
        lambda: say(
            "the mesh's rules for Linkerd: a real Kubernetes accepts them; Linkerd's own servers can't be had here"
        ),
    ),
    "gateway-api": Tier(
        "validated",
        "aic render gateway-api",
        "tests/integration/test_integration_renderings.py",
        lambda: say(
            "the mesh's rules for the Gateway API: a real Kubernetes and a real implementation (Istio's) accept them"
        ),
    ),
}


def described() -> list[dict[str, str]]:
    return [
        {
            "scheme": f"{name}:" if tier.way in ("aic up", "aic deploy --to") else name,
            "tier": tier.level,
            "way": tier.way,
            "what": tier.what(),
        }
        for name, tier in TIERS.items()
    ]
