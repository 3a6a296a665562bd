"""Whether workloads get network namespaces of their own on this machine, and why not."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

from aiculturekit import namespaces
from aiculturekit.errors import HostTrouble, Mistake
from aiculturekit.language import say

VARIABLE = "AIC_ISOLATION"
Wish = Literal["on", "off", "auto"]
USUAL: Wish = "auto"


@dataclasses.dataclass(frozen=True, slots=True)
class Isolation:
    """`reason` says why it is no more than the shared loopback; empty for network namespaces."""

    kind: Literal["network-namespaces", "shared-loopback"]
    reason: str = ""

    @property
    def is_on(self) -> bool:
        return self.kind == "network-namespaces"

    @property
    def meaning(self) -> str:
        """What one gets, and what not, in a sentence."""
        return meaning(self.kind, self.reason)


def wish(text: str) -> Wish:
    """What $AIC_ISOLATION asks for. Raises Mistake."""
    for known in get_args(Wish):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise Mistake(say("{variable} is {text}: write on, off or auto", variable=VARIABLE, text=text))


def meaning(kind: str, reason: str) -> str:
    if kind == "network-namespaces":
        return say("network namespaces: a workload reaches what its needs name, and is reached, through the mesh alone")
    return say(
        "shared loopback ({reason}): the rules hold for traffic through the mesh; a local process can go round it, and "
        "nothing holds a workload back from the outside",
        reason=reason,
    )


def decide(wished: Wish) -> Isolation:
    """`auto` takes what can be had. Raises HostTrouble where `on` can't."""
    if wished == "off":
        return Isolation("shared-loopback", say("{variable} is off", variable=VARIABLE))
    reason = namespaces.obstacle()
    if reason is None:
        return Isolation("network-namespaces")
    if wished == "on":
        raise HostTrouble(
            say("workloads can't be isolated here: {reason}", reason=reason),
            hint=say("{variable}=auto goes on without", variable=VARIABLE),
        )
    return Isolation("shared-loopback", reason)
