"""With whose kubeconfig something is brought to an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiculturekit.control.environments import Standing
from aiculturekit.control.placements import Caller
from aiculturekit.control.promotions import Promotion, Promotions, _Images, _proven
from aiculturekit.errors import Refused
from aiculturekit.plan.documents import Document

FILE = """\
app: shop
services:
  web: {image: registry.example.com/web:1}
environments:
  staging: {target: "kubernetes:///shop-staging"}
  prod: {target: "kubernetes:///shop"}
"""


class Remembering:
    def __init__(self, **kubeconfigs: str) -> None:
        self._kubeconfigs = kubeconfigs

    async def remembered(self, key: str) -> str:
        return self._kubeconfigs.get(key.partition("@")[2], "")


@pytest.mark.parametrize(
    ("own", "known", "used"),
    [
        ("", {"staging": "/of/staging", "prod": "/of/prod"}, "/of/prod"),
        ("", {"staging": "/of/staging"}, "/of/staging"),
        ("/mine", {"staging": "/of/staging", "prod": "/of/prod"}, "/mine"),
        ("", {}, ""),
    ],
)
async def test_production_is_reached_by_its_own_kubeconfig(
    tmp_path: Path, own: str, known: dict[str, str], used: str
) -> None:
    (tmp_path / "aic.yaml").write_text(FILE)
    placements: Any = Remembering(**known)
    promotions = Promotions(None, placements)  # type: ignore[arg-type]
    promotion = Promotion(tmp_path, origin="staging", to="prod")
    assert (await promotions._bound_for(promotion, Caller(kubeconfig=own))).kubeconfig == used


def test_what_a_tag_led_to_is_what_goes_on() -> None:
    rows = (
        {"image": "web:latest", "digests": ["sha256:a"]},
        {"image": "job:1", "digests": []},
        {"image": "web:latest"},
    )
    assert _proven(Standing(None, rows)) == {"web:latest": "sha256:a"}
    fixed = ({"image": "web@sha256:c", "digests": ["sha256:a", "sha256:b"]},)  # an index, and what a node made of it
    assert "web:latest" not in _proven(Standing(None, fixed))
    mixed = ({"image": "web:latest", "digests": ["sha256:a"]}, {"image": "web:latest", "digests": ["sha256:b"]})
    with pytest.raises(Refused, match="web:latest has moved"):
        _proven(Standing(None, mixed))


def test_an_image_that_the_file_names_goes_on_with_its_digest() -> None:
    document = Document("workload", "web/v1", {"image": "web:latest"})
    images = _Images({document.key: "web:latest"}, proven={"web:latest": "sha256:a"})
    assert images._at_digest(document, "web:latest").body["image"] == "web:latest@sha256:a"
    brought = "web:latest@sha256:b"  # one that was promoted itself goes on as it came
    assert images._at_digest(document, brought).body["image"] == brought
    assert images._at_digest(document, "web:1@sha256:b").body["image"] == "web:latest@sha256:a"
    assert _Images({})._at_digest(document, "").body["image"] == "web:latest"  # where no node said a digest
