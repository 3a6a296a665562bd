"""All of an application as a cluster would be given it, as plain objects. Needs no daemon; touches nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from aiculturekit.control.recipes import recipes
from aiculturekit.errors import Mistake, Unsupported
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.plan import images, resources
from aiculturekit.plan.documents import Document
from aiculturekit.spec import load
from aiculturekit.spec.models import Application
from aiculturekit.targets.kubernetes import checks, places, rendering, scripts
from aiculturekit.targets.kubernetes.exports import helm, kustomize
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster

SCHEME = "kubernetes"
Form = Literal["plain", "kustomize", "helm"]


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """`target` in place of the environment's own; `tag` of images that are not pinned to a digest."""

    target: str | None = None
    tag: str = "latest"


def rendered(file: Path, *, environment: str | None, wish: Wish) -> tuple[Owned, ...]:
    """In an order in which they can be applied. Raises SpecError, LocatorError, and Unsupported with all that a cluster can't do."""
    application = loaded(file, environment=environment)
    cluster = located(application, wish.target)
    documents = described(application)
    refuse(application, documents, cluster)
    references = {one.document: f"{cluster.registry}/{one.name}:{wish.tag}" for one in recipes(application)}
    return rendering.rendered(application.app, images.pinned(documents, references), cluster=cluster)


def exported(file: Path, *, form: Form, wish: Wish) -> dict[str, str]:
    """Path -> text: all environments that go to a cluster, as another tool reads them. Raises as `rendered`, and Mistake where there are
    none."""
    names = [name for name in load.environments(file) if _is_cluster(load.load(file, environment=name))]
    if not names:
        raise Mistake(
            say("no environment of {file} goes to a cluster", file=file),
            hint=say(
                "give one a target: environments: {example}", example='{prod: {target: "kubernetes://prod/shop"}}'
            ),
        )
    objects = {name: rendered(file, environment=name, wish=wish) for name in names}
    plain = {name: [one.manifest for one in listed if one.fill is None] for name, listed in objects.items()}
    if form == "helm":
        found = helm.files(load.load(file, environment=names[0]).app, plain)
        scripts_at = {name: f"secrets-{name}.sh" for name in names}
    else:
        found = kustomize.files(plain)
        scripts_at = {name: f"overlays/{name}/secrets.sh" for name in names}
    return found | {scripts_at[name]: text for name, listed in objects.items() if (text := secrets(listed))}


def loaded(file: Path, *, environment: str | None) -> Application:
    """As files may have it: what is secret stays a reference, whatever its value is here. Raises SpecError."""
    return load.load(file, environment=environment, variables=os.environ, keeping="named")


def _is_cluster(application: Application) -> bool:
    return application.target.startswith(f"{SCHEME}:")


def secrets(objects: Sequence[Owned]) -> str:
    """A script that makes the Secrets which the objects need; empty where they need none."""
    return scripts.made(objects)


def located(application: Application, target: str | None = None) -> Cluster:
    """The cluster that the application goes to. Raises Mistake for another kind of target."""
    locator = Locator.parse(target or application.target)
    if locator.scheme != SCHEME:
        raise Mistake(
            say("{target} is no cluster", target=str(locator)),
            hint=say("name an environment whose target is kubernetes://CONTEXT/NAMESPACE, or say --target"),
        )
    return places.parse(locator, environment=application.environment)


def described(application: Application) -> tuple[Document, ...]:
    files = {name: path.read_text("utf-8") for name, path in resources.named_files(application).items()}
    return resources.documents(application, sources={}, files=files)


def refuse(application: Application, documents: Sequence[Document], cluster: Cluster) -> None:
    """Raises Unsupported before anything is touched."""
    if found := checks.problems(application, documents, cluster=cluster):
        raise Unsupported(found)
