"""The mesh's rules of an application file as objects for a cluster, and what works where. Needs no daemon; touches nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from aiculturekit.errors import Problem, Unsupported
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.mesh import envoy, features
from aiculturekit.mesh.features import Cell
from aiculturekit.mesh.nodes import Node
from aiculturekit.mesh.rendering import Gap, Manifest, Place, Renderer
from aiculturekit.plan import resources
from aiculturekit.registry import RENDERERS
from aiculturekit.spec import load
from aiculturekit.spec.models import Application, nearest
from aiculturekit.targets import nodes

LOCAL = "local"


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """Where the objects are to go; what is None is as usual for the mesh and the application."""

    namespace: str | None = None
    port: int | None = None
    hosts: tuple[str, ...] = ()
    trust_domain: str | None = None
    gateway_class: str | None = None
    ingress: str | None = None


def rendered(file: Path, *, mesh: str, environment: str | None, wish: Wish) -> Sequence[Manifest]:
    """The objects, in an order in which they can be applied. Raises SpecError, LocatorError for an unknown mesh, and Unsupported with
    every rule that the mesh can't express."""
    renderer: Renderer = RENDERERS.load(Locator.parse(f"{mesh}:"))
    application = load.load(file, environment=environment)
    node = _node(application)
    if found := features.gaps(renderer, node):
        raise Unsupported([_problem(application, mesh, gap) for gap in found])
    return renderer.render(node, place=_place(application.app, mesh, wish))


def _node(application: Application) -> Node:
    """As this machine's target derives it. No port of it appears in a cluster."""
    files = {name: path.read_text("utf-8") for name, path in resources.named_files(application).items()}
    documents = {application.app: resources.documents(application, sources={}, files=files)}
    ports = {name: at + 1 for at, name in enumerate(nodes.port_names(documents))}
    return nodes.node(documents, ports=ports, ingress_port=0)


def _place(app: str, mesh: str, wish: Wish) -> Place:
    """Only Istio's own gateway has an identity that is known beforehand."""
    given = {name: value for name, value in dataclasses.asdict(wish).items() if value not in (None, ())}
    usual = {} if mesh == "istio" else {"ingress": ""}
    return Place(**{"namespace": app, **usual, **given})


def _problem(application: Application, mesh: str, gap: Gap) -> Problem:
    section = "jobs" if gap.service in application.jobs else "services"
    parts = (section, gap.service, *gap.key.split("."))
    path = tuple(int(part) if part.isdigit() else part for part in parts)
    line, column = nearest(application.places, path)
    message = say("{mesh} cannot express it: {reason}", mesh=mesh, reason=gap.reason)
    hint = say("take it out for this mesh in an environment of its own, or choose another: `aic mesh matrix`")
    return Problem(".".join(parts), message, hint, file=str(application.file), line=line, column=column)


def matrix() -> list[list[Cell]]:
    """What each mesh answers about each feature of the vocabulary."""
    renderers = {name: RENDERERS.load(Locator.parse(f"{name}:")) for name in RENDERERS.schemes}
    order = [name for name in ("istio", "linkerd", "gateway-api") if name in renderers]
    others = [name for name in renderers if name not in order]
    return features.cells({LOCAL: _LOCAL, **{name: renderers[name] for name in (*order, *others)}})


def _here(node: Node, *, place: Place) -> Sequence[Manifest]:
    return [envoy.compile(node, folder=Path("/"), admin=Path("/"))]


_LOCAL = Renderer(render=_here, gaps=lambda node: ())
"""This machine's Envoy is what the vocabulary was made for: it has no gaps but what nobody wrote yet."""
