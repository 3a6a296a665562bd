"""(capability, scheme) -> "module:attribute": the only lazy importer of backends and targets.

Promise: schemes match exactly; nothing is imported before it is asked for; a plugin never shadows a scheme; a missing extra
is named with the command that installs it. May not: swallow an ImportError that is our own bug.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from aiculturekit.errors import LocatorError
from aiculturekit.language import say
from aiculturekit.locator import Locator

LOADING = threading.RLock()
"""Held by who loads modules late. Two threads that load modules which need each other would wait for each other for ever; Python's answer
to that is to hand out one of them half loaded."""


class Registry:
    """scheme -> ``module:attribute`` for one capability; `extras` names the extra that a scheme's third-party modules come with."""

    def __init__(self, capability: str, builtin: Mapping[str, str], *, extras: Mapping[str, str] | None = None) -> None:
        self.capability = capability
        self._places = dict(builtin)
        self._extras = dict(extras or {})

    @property
    def schemes(self) -> tuple[str, ...]:
        return tuple(sorted(self._places))

    def discover(self, *, allowed: Collection[str]) -> None:
        """Add the plugins (entry points ``aiculturekit.<capability>``) that an operator enabled by name."""
        for point in entry_points(group=f"aiculturekit.{self.capability}"):
            if point.name in allowed:
                self.add(point.name, place=point.value)

    def add(self, scheme: str, *, place: str) -> None:
        if scheme in self._places:
            raise LocatorError(
                say(
                    "{capability}: {scheme} is already {place}",
                    capability=self.capability,
                    scheme=scheme,
                    place=self._places[scheme],
                )
            )
        module, colon, attribute = place.partition(":")
        if not (module and colon and attribute):
            raise LocatorError(
                say("{capability}: {place} does not read module:attribute", capability=self.capability, place=place)
            )
        self._places[scheme] = place

    def load(self, locator: Locator) -> Any:
        """The attribute behind the locator's scheme, imported now; LocatorError when there is none or its extra is missing."""
        place = self._places.get(locator.scheme)
        if place is None:
            near = get_close_matches(locator.scheme, self._places, 1)
            raise LocatorError(
                say("no {capability} backend for {scheme}", capability=self.capability, scheme=repr(locator.scheme)),
                hint=say("did you mean {near}?", near=near[0])
                if near
                else say("known: {known}", known=", ".join(self.schemes)),
            )
        module, _, attribute = place.partition(":")
        try:
            with LOADING:
                return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            extra = self._extras.get(locator.scheme)
            if extra is None or (error.name or "").startswith("aiculturekit"):
                raise  # our own bug: never dressed up as a missing extra
            raise LocatorError(
                say(
                    "{scheme} needs a package that is not installed: {module}", scheme=locator.scheme, module=error.name
                ),
                hint=f"pip install 'aiculturekit[{extra}]'",
            ) from error


STATE = Registry(
    "state",
    {
        "memory": "aiculturekit.state.sqlite:open_memory",
        "sqlite": "aiculturekit.state.sqlite:open_file",
        "postgresql": "aiculturekit.state.postgresql:open_server",
    },
    extras={"postgresql": "postgresql"},
)
TARGETS = Registry(
    "targets",
    {"local": "aiculturekit.targets.local:Local", "kubernetes": "aiculturekit.targets.kubernetes.target:Kubernetes"},
)
RENDERERS = Registry(
    "renderers",
    {
        "istio": "aiculturekit.mesh.istio:RENDERER",
        "linkerd": "aiculturekit.mesh.linkerd:RENDERER",
        "gateway-api": "aiculturekit.mesh.gateway_api:RENDERER",
    },
)
