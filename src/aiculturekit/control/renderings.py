"""The mesh's rules of an application file as objects for a cluster, and what works where. Needs no daemon; touches nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from aiculturekit.errors import Mistake, Problem, Unsupported
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.mesh import envoy, features, federations, identities
from aiculturekit.mesh.features import Cell
from aiculturekit.mesh.nodes import Neighbour, Node
from aiculturekit.mesh.rendering import Gap, Manifest, Place, Renderer
from aiculturekit.plan import resources
from aiculturekit.registry import RENDERERS
from aiculturekit.spec import load
from aiculturekit.spec.models import Application, nearest
from aiculturekit.targets import nodes

LOCAL = "local"


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """Where the objects are to go; what is None is as usual for the mesh and the application. `neighbours` are DOMAIN=HOST:PORT, where the
    gateways of other trust domains are; `roots` DOMAIN=SOURCE, where their bundles are (a file, or https://...)."""

    namespace: str | None = None
    port: int | None = None
    hosts: tuple[str, ...] = ()
    trust_domain: str | None = None
    gateway_class: str | None = None
    ingress: str | None = None
    neighbours: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()


def rendered(file: Path, *, mesh: str, environment: str | None, wish: Wish) -> Sequence[Manifest]:
    """The objects, in an order in which they can be applied. Raises SpecError, LocatorError for an unknown mesh, and Unsupported with
    every rule that the mesh can't express."""
    renderer: Renderer = RENDERERS.load(Locator.parse(f"{mesh}:"))
    application = load.load(file, environment=environment)
    node = dataclasses.replace(_node(application), neighbours=_neighbours(wish))
    if found := features.gaps(renderer, node):
        raise Unsupported([_problem(application, mesh, gap) for gap in found])
    return renderer.render(node, place=_place(application.app, mesh, wish))


def _node(application: Application) -> Node:
    """As this machine's target derives it. No port of it appears in a cluster."""
    files = {name: path.read_text("utf-8") for name, path in resources.named_files(application).items()}
    documents = {application.app: resources.documents(application, sources={}, files=files)}
    ports = {name: at + 1 for at, name in enumerate(nodes.port_names(documents))}
    return nodes.node(documents, ports=ports, ingress_port=0)


def _neighbours(wish: Wish) -> tuple[Neighbour, ...]:
    """Raises Mistake or Failed."""
    places = {domain: federations.located(at) for domain, at in map(_pair, wish.neighbours)}
    roots = {domain: federations.roots(source) for domain, source in map(_pair, wish.roots)}
    return tuple(
        Neighbour(domain, *places.get(domain, ("", 0)), roots=roots.get(domain, ""))
        for domain in sorted({*places, *roots})
    )


def _pair(text: str) -> tuple[str, str]:
    domain, _, value = text.partition("=")
    if not identities.is_domain(domain) or not value:
        message = say("{text} names no trust domain and what is to be known of it", text=repr(text[:80]))
        raise Mistake(message, hint=say("write other.example=VALUE"))
    return domain, value


def _place(app: str, mesh: str, wish: Wish) -> Place:
    """Only Istio's own gateway has an identity that is known beforehand."""
    about_others = ("neighbours", "roots")
    written = dataclasses.asdict(wish).items()
    given = {name: value for name, value in written if value not in (None, ()) and name not in about_others}
    usual = {} if mesh == "istio" else {"ingress": ""}
    return Place(**{"namespace": app, **usual, **given})


def _problem(application: Application, mesh: str, gap: Gap) -> Problem:
    section = application.section_of(gap.service)
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
