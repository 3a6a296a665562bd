"""When certificates and roots are made, trusted, used and dropped. Pure: every time is seconds since the epoch.

A root is in everybody's trust bundle from the moment it is made and signs only `ahead` later; the one before it stays in the bundle
until the last certificate that it signed has ended. So at no moment is a certificate in use whose root is not known.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

DAY = 86400.0
NOTICE = 5.0
"""Seconds that a new root is in the bundle before it signs, even where there is no time for more: Envoy reads it in milliseconds."""
_JITTER = 0.1
"""Part of a life by which the moment of renewal differs between nodes that were started together."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lives:
    """How long things live, in seconds. A leaf is renewed after the share `renewed` of its life; a root is followed by another when it
    has `root_renewed` left, which signs `ahead` after it was made. `backdated`: a clock that is set back a little must not make what
    was just issued invalid."""

    leaf: float = 3600.0
    renewed: float = 0.5
    root: float = 365 * DAY
    root_renewed: float = 60 * DAY
    ahead: float = DAY
    backdated: float = 300.0


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate of a workload: when it was issued and from when to when it is valid. `root` is the name of who signed it."""

    issued: float
    begins: float
    ends: float
    serial: str = ""
    root: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Root:
    """`signs` is the moment from which it signs, `last` that in which the last certificate that it signed ends."""

    name: str
    made: float
    signs: float
    ends: float
    last: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What holds now: `trusted`, oldest first, is the bundle; `signer` is None only where there is no root at all. `dropped` are never
    used again."""

    trusted: tuple[Root, ...]
    signer: Root | None
    dropped: tuple[Root, ...]
    is_new_wanted: bool


def planned(roots: Iterable[Root], *, lives: Lives, now: float, is_asked: bool = False) -> Plan:
    """`is_asked`: somebody wants a new root now; while one root follows another already, that is it."""
    listed = sorted(roots, key=lambda root: (root.made, root.name))
    valid = [root for root in listed if root.made - lives.backdated <= now < root.ends]
    ready = [root for root in valid if root.signs <= now]
    signer = ready[-1] if ready else valid[0] if valid else None
    if signer is None:
        return Plan((), None, tuple(root for root in listed if root.ends <= now), is_new_wanted=True)
    trusted = tuple(root for root in valid if _is_wanted(root, signer, now))
    # One that is not valid yet belongs to a clock that was set back: it is neither trusted nor thrown away.
    dropped = tuple(root for root in listed if root.ends <= now or (root in valid and root not in trusted))
    newest = valid[-1]
    is_new_wanted = newest.ends - now < lives.root_renewed or (is_asked and trusted == (signer,))
    return Plan(trusted, signer, dropped, is_new_wanted)


def _is_wanted(root: Root, signer: Root, now: float) -> bool:
    return (root.made, root.name) >= (signer.made, signer.name) or root.last > now


def signs(before: Root | None, *, lives: Lives, now: float) -> float:
    """From when a root that is made now signs: so early that the one before it never has to sign for less than a whole life."""
    if before is None:
        return now
    return now + max(min(lives.ahead, NOTICE), min(lives.ahead, before.ends - lives.leaf - now))


def used(root: Root, *, until: float) -> Root:
    """The root after it signed a certificate that ends then."""
    return dataclasses.replace(root, last=max(root.last, until))


def due(leaf: Leaf, *, lives: Lives, mark: str = "") -> float:
    """The moment from which it should be renewed. `mark` spreads it over a tenth of the life, the same way every time."""
    spread = hashlib.sha256(f"{mark}{leaf.issued}".encode()).digest()[0] / 255 - 0.5
    share = lives.renewed * (1 + 2 * _JITTER * spread)
    return leaf.issued + (leaf.ends - leaf.issued) * share


def is_due(leaf: Leaf, *, lives: Lives, now: float, mark: str = "") -> bool:
    """Also before it begins: a clock that was set back."""
    return not leaf.begins <= now < due(leaf, lives=lives, mark=mark)
