"""The platform itself as objects of a cluster: two daemons of which one leads, what they may, what they keep.

Promise: pure; the same wish gives the same objects. May not: know how an image is made, or ask a cluster.
"""

from aiculturekit.targets.kubernetes.platforms.rendering import APP, PASSWORD_SECRET, Wish, rendered

__all__ = ["APP", "PASSWORD_SECRET", "Wish", "rendered"]
