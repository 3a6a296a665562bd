"""A Node goes in, Linkerd's policies, routes of the Gateway API and Services with Linkerd's annotations come out.

Promise: pure; who may call follows from certificates, as on this machine. May not: use ServiceProfiles, whose existence would switch the
annotations off. The pods' namespace must carry `linkerd.io/inject: enabled`.
"""

from __future__ import annotations

from aiculturekit.mesh.linkerd.gaps import gaps
from aiculturekit.mesh.linkerd.objects import render
from aiculturekit.mesh.rendering import Renderer

RENDERER = Renderer(render=render, gaps=gaps, unsaid=frozenset({"traffic.retries"}))
"""Trying again what no service has seen needs no word: only endpoints with a connection are given requests."""

__all__ = ["RENDERER", "gaps", "render"]
