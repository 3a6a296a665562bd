"""An application file and a cluster in, every object out: each file in goldens/ holds both. `AIC_GOLDENS=write` writes the output anew, to be
read in the diff."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.control import manifests
from aiculturekit.errors import Unsupported
from aiculturekit.targets.kubernetes.objects import Owned

GOLDENS = sorted((Path(__file__).parent / "goldens").glob("*.yaml"))


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


Plain.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def rendered(golden: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / "aic.yaml"
    file.write_text(golden["file"])
    try:
        objects = manifests.rendered(file, environment=None, wish=manifests.Wish(golden["target"], tag="1"))
    except Unsupported as error:
        return {"problems": [f"{problem.line}: {problem.path}: {problem.message}" for problem in error.problems]}
    shown = golden.get("shown")
    listed = [one for one in objects if shown is None or one.manifest["kind"] in shown]
    return {"objects": {_title(one): _body(one) for one in listed}}


def _title(one: Owned) -> str:
    return f"{one.manifest['kind']} {one.manifest['metadata']['name']}" + (" once" if one.is_once else "")


def _body(one: Owned) -> dict[str, Any]:
    """Without what is the same everywhere; with where it comes from."""
    kept = {key: value for key, value in one.manifest.items() if key not in ("apiVersion", "kind", "metadata")}
    metadata = one.manifest["metadata"]
    labels = {
        key: value for key, value in metadata.get("labels", {}).items() if not key.startswith("app.kubernetes.io")
    }
    told = {"labels": labels} if labels else {}
    told |= {"annotations": metadata["annotations"]} if "annotations" in metadata else {}
    filled = {"filled": dict(one.fill.templates)} if one.fill else {}
    return {"of": " ".join(one.key).strip(), **told, **kept, **filled}


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_the_objects_are_as_they_were(path: Path, tmp_path: Path) -> None:
    golden = yaml.safe_load(path.read_text())
    given = {key: golden[key] for key in ("file", "target", "shown") if key in golden}
    found = rendered(golden, tmp_path)
    if os.environ.get("AIC_GOLDENS") == "write":
        path.write_text(yaml.dump(given | found, Dumper=Plain, sort_keys=False, width=140, allow_unicode=True))
        golden = yaml.safe_load(path.read_text())
    assert {key: value for key, value in golden.items() if key not in given} == found


def test_there_are_goldens() -> None:
    assert len(GOLDENS) >= 6
