"""An image's layers and what its configuration says of them."""

from __future__ import annotations

import pytest

from aiculturekit.errors import BuildFailed
from aiculturekit.images import roots

LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{'a' * 64}", "size": 1}


@pytest.mark.parametrize("config", [{}, {"rootfs": None}, {"rootfs": {"diff_ids": ["sha256:1", "sha256:2"]}}])
def test_a_configuration_of_other_layers_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(BuildFailed, match="layers"):
        roots._layers({"layers": [LAYER]}, config)


def test_a_layer_that_cannot_be_read_here_is_said_with_a_way_out() -> None:
    zstd = LAYER | {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}
    with pytest.raises(BuildFailed, match="zstd") as caught:
        roots._layers({"layers": [zstd]}, {"rootfs": {"diff_ids": ["sha256:1"]}})
    assert "gzip" in (caught.value.hint or "")
