"""How an image came to be, as an in-toto statement with SLSA's provenance v1: what was asked, and every input by its digest. Pure.

Nobody signs it here: it says what was done, and is worth what the way is worth by which it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiculturekit import __version__
from aiculturekit.images.descriptors import REVISION, SOURCE, Descriptor

MEDIA_TYPE = "application/vnd.in-toto+json"
_BASE = "https://aiculturekit.dev"


def statement(
    name: str,
    *,
    subject: Descriptor,
    asked: Mapping[str, Any],
    base: tuple[str, str],
    files: Mapping[str, str],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """`asked` is the recipe; `base` its reference and manifest's digest; `files` the SHA-256 of the code and of each manifest."""
    reference, digest = base
    inputs: list[dict[str, Any]] = [
        {"name": "base", "uri": reference, "digest": {"sha256": digest.partition(":")[2]}},
        *({"name": file, "digest": {"sha256": value}} for file, value in sorted(files.items())),
    ]
    if SOURCE in labels and REVISION in labels:
        inputs.append({"name": "repository", "uri": f"git+{labels[SOURCE]}", "digest": {"gitCommit": labels[REVISION]}})
    definition = {
        "buildType": f"{_BASE}/build/v1",
        "externalParameters": {**asked, "base": reference},
        "resolvedDependencies": inputs,
    }
    builder = {"id": f"{_BASE}/aic", "version": {"aic": __version__}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": subject.hex}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": definition, "runDetails": {"builder": builder}},
    }
