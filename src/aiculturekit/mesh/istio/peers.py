"""PeerAuthentication: nobody enters without a certificate. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.mesh.istio import names
from aiculturekit.mesh.rendering import Manifest, Place


def rendered(place: Place) -> Iterator[Manifest]:
    """For the whole namespace: the application's own."""
    yield names.security("PeerAuthentication", "default", place, mtls={"mode": "STRICT"})
