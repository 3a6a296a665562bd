"""What `render` writes for containers: a Dockerfile for each workload, a compose file for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiculturekit.cli import outputs, trees
from aiculturekit.language import say

KINDS = ("docker", "compose")


def write(kind: str, file: Path, *, environment: str | None, output: Path | None, as_json: bool) -> None:
    """Raises SpecError, Mistake, BuildFailed or HostTrouble."""
    texts = _dockerfiles(file, environment) if kind == "docker" else _compose(file, environment)
    if output is None:
        outputs.print_json(texts) if as_json else print(_together(texts), end="")
        return
    folder = output.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise trees.unwritable(folder, error) from error
    if as_json:
        outputs.print_json([str(folder / name) for name in texts])
        return
    print(say("written: {files}", files=", ".join(texts)))


def _dockerfiles(file: Path, environment: str | None) -> Mapping[str, str]:
    from aiculturekit.control import dockerfiles

    return dockerfiles.rendered(file, environment=environment)


def _compose(file: Path, environment: str | None) -> Mapping[str, str]:
    """With what compose cannot do as comments on top."""
    from aiculturekit.control import composes
    from aiculturekit.spec import load

    application = load.load(file, environment=environment)
    told = [
        say("Made by `aic render compose`; what is changed here is lost the next time."),
        say("The images: aic build -o {app}.tar && docker load -i {app}.tar", app=application.app),
        say(
            "or from a registry: aic build --push HOST/PATH --tag TAG, then REGISTRY=HOST/PATH/ TAG=TAG docker compose up"
        ),
        say("Passwords come from the environment or a file .env; letters and digits, since they are part of URLs."),
        say("What compose does not do:"),
        *(f"- {line}" for line in composes.lost(application)),
    ]
    head = "".join(f"# {line}\n" for line in told)
    return {"compose.yaml": head + "\n" + _yaml(composes.composed(application))}


def _together(texts: Mapping[str, str]) -> str:
    """All that is meant for people, one after the other."""
    shown = [text for name, text in texts.items() if not name.endswith(".dockerignore")]
    return "\n".join(shown)


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    class Plain(yaml.SafeDumper):
        """Without anchors, and texts of several lines as they are."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    Plain.add_representer(str, text)
    return yaml.dump(document, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
