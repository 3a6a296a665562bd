"""A Node goes in, objects of the Gateway API (standard channel of v1.6) and network policies come out.

Promise: pure; any implementation of the Gateway API may serve them: for calls from outside a Gateway, between workloads a mesh that takes
routes whose parent is a Service (GAMMA). What only the experimental channel says is a Gap. May not: name an implementation's own kinds.
"""

from __future__ import annotations

from aiculturekit.mesh.gateway_api.gaps import gaps
from aiculturekit.mesh.gateway_api.objects import render
from aiculturekit.mesh.rendering import Renderer

RENDERER = Renderer(render=render, gaps=gaps)
__all__ = ["RENDERER", "gaps", "render"]
