"""render: an application, or its mesh's rules alone, as objects for a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from aiculturekit.cli import choices, outputs, trees
from aiculturekit.cli.commands import containers
from aiculturekit.cli.options import Environment, Json
from aiculturekit.errors import UsageError
from aiculturekit.language import say

HELP = {
    "render": lambda: say(
        "Write an application for a cluster (kubernetes) or for compose, its Dockerfiles (docker), or its mesh's rules alone (istio, "
        "linkerd, gateway-api)."
    )
}
SECRETS = "secrets.sh"
INSTALLATION = "installation"
"""The folder of what is no object of the cluster, but a part of the mesh's own installation."""


def commands() -> list[Any]:
    return [render]


def render(
    mesh: Annotated[
        str, typer.Argument(metavar="MESH", help=say("docker, compose, kubernetes, istio, linkerd or gateway-api."))
    ],
    path: Annotated[Path, typer.Argument(help=say("The application file, or its directory."))] = Path(),
    environment: Environment = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", help=say("The Kubernetes namespace; the application's name when left out.")),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help=say("The port of every Service and its pods; usually 80."))
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", help=say("A public host name; any number of them."))
    ] = None,
    trust_domain: Annotated[
        str | None, typer.Option("--trust-domain", help=say("The cluster's trust domain; usually cluster.local."))
    ] = None,
    gateway_class: Annotated[
        str | None,
        typer.Option("--gateway-class", help=say("The GatewayClass that serves public paths; usually istio.")),
    ] = None,
    ingress: Annotated[
        str | None, typer.Option("--ingress", help=say("The ingress's service account in the mesh, as NAMESPACE/NAME."))
    ] = None,
    neighbour: Annotated[
        list[str] | None,
        typer.Option("--neighbour", help=say("Where another trust domain's gateway is: DOMAIN=HOST:PORT.")),
    ] = None,
    roots: Annotated[
        list[str] | None,
        typer.Option("--roots", help=say("Its trust bundle: DOMAIN=FILE, or DOMAIN=https://...")),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help=say("kubernetes: a cluster in place of the environment's own target.")),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help=say(
                "kubernetes: plain, or all environments that go to a cluster as a kustomize base or a helm chart."
            ),
        ),
    ] = "plain",
    tag: Annotated[str, typer.Option("--tag", help=say("kubernetes: the tag of the images."))] = "latest",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=say("A directory to write to, a file for each object."))
    ] = None,
    as_json: Json = False,
) -> None:
    if mesh in containers.KINDS:
        containers.write(mesh, choices.file(path), environment=environment, output=output, as_json=as_json)
        return
    if mesh == "kubernetes":
        file = choices.file(path)
        if form == "plain":
            whole(file, environment=environment, target=target, tag=tag, output=output, as_json=as_json)
        else:
            exported(file, form=form, tag=tag, output=output, as_json=as_json)
        return
    from aiculturekit.control import renderings

    wish = renderings.Wish(
        namespace,
        port,
        tuple(host or ()),
        trust_domain,
        gateway_class,
        ingress,
        neighbours=tuple(neighbour or ()),
        roots=tuple(roots or ()),
    )
    documents = renderings.rendered(choices.file(path), mesh=mesh, environment=environment, wish=wish)
    if output is not None:
        files = _write(output.expanduser().absolute(), documents)
        if as_json:
            outputs.print_json([str(file) for file in files])
            return
        print(say("{count} objects written to {folder}", count=len(files), folder=output))
        for file in files:
            if file.parent.name == INSTALLATION:
                print(
                    say(
                        "first: istioctl install -f YOUR-INSTALLATION -f {file}", file=output / INSTALLATION / file.name
                    )
                )
        print(say("next: kubectl apply -f {folder}", folder=output))
    elif as_json:
        outputs.print_json(documents)
    else:
        print("---\n".join(_text(document) for document in documents), end="")


def whole(
    file: Path, *, environment: str | None, target: str | None, tag: str, output: Path | None, as_json: bool
) -> None:
    """All of the application, and not only the mesh's rules."""
    from aiculturekit.control import manifests

    wish = manifests.Wish(target, tag)
    shown(manifests.rendered(file, environment=environment, wish=wish), output=output, as_json=as_json)


def shown(objects: Sequence[Any], *, output: Path | None, as_json: bool) -> None:
    """Printed, or a file for each, and a script for the Secrets."""
    from aiculturekit.control import manifests

    plain = [one.manifest for one in objects if one.fill is None]
    if output is None:
        outputs.print_json(plain) if as_json else print("---\n".join(map(_text, plain)), end="")
        return
    folder = output.expanduser().absolute()
    files = _write(folder, plain)
    if script := manifests.secrets(objects):
        (folder / SECRETS).write_text(script, "utf-8")
    if as_json:
        outputs.print_json([str(one) for one in files])
        return
    print(say("{count} objects written to {folder}", count=len(files), folder=output))
    if script:
        print(say("first: sh {file}, which makes the Secrets that are not there yet", file=output / SECRETS))
    print(say("next: kubectl apply -f {folder}", folder=output))


def exported(file: Path, *, form: str, tag: str, output: Path | None, as_json: bool) -> None:
    from aiculturekit.control import manifests

    if form not in ("kustomize", "helm"):
        raise UsageError(say("there is no format {name}", name=repr(form)), hint="plain, kustomize, helm")
    if output is None:
        raise UsageError(say("{form} is several files", form=form), hint=say("name a directory: -o DIRECTORY"))
    texts = manifests.exported(file, form="helm" if form == "helm" else "kustomize", wish=manifests.Wish(tag=tag))
    folder = output.expanduser().absolute()
    files = trees.fill(folder, texts)
    if as_json:
        outputs.print_json([str(one) for one in files])
        return
    print(say("{count} files written to {folder}", count=len(files), folder=output))
    print(_next(form, output, texts))


def _next(form: str, output: Path, texts: Mapping[str, str]) -> str:
    """The command that somebody wants to read now."""
    if form == "helm":
        values = next(name for name in texts if name.startswith("values-"))
        return say("next: helm upgrade --install NAME {folder} -f {values}", folder=output, values=output / values)
    overlay = next(name for name in texts if name.startswith("overlays/")).rpartition("/")[0]
    return say("next: kubectl apply -k {folder}", folder=output / overlay)


def _write(folder: Path, documents: Sequence[dict[str, Any]]) -> list[Path]:
    """A file for each object, numbered in the order in which they can be applied. Those of an earlier time that are none of them go. What
    kubectl cannot apply stands in a folder of its own."""
    files = {folder / _name(at, document): document for at, document in enumerate(documents)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in (*folder.glob("*.yaml"), *(folder / INSTALLATION).glob("*.yaml")):
            if left not in files and left.read_text("utf-8", "replace").startswith(trees.MARK):
                left.unlink()
        for file, document in files.items():
            file.parent.mkdir(exist_ok=True)
            file.write_text(trees.MARK + _text(document), "utf-8")
    except OSError as error:
        raise trees.unwritable(folder, error) from error
    return list(files)


def _name(at: int, document: dict[str, Any]) -> str:
    name = f"{at + 1:02}-{document['kind'].lower()}-{document['metadata']['name']}.yaml"
    return f"{INSTALLATION}/{name}" if document["kind"] == "IstioOperator" else name


def _text(document: dict[str, Any]) -> str:
    import yaml

    class Plain(yaml.SafeDumper):
        """Without anchors, which people rarely read and some tools not at all."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(document, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
