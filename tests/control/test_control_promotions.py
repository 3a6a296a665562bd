"""With whose kubeconfig something is brought to an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiculturekit.control.placements import Caller
from aiculturekit.control.promotions import Promotion, Promotions

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
