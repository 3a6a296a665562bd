"""The times of certificates and roots: whatever the lives and the clock, what is in use is known, and what is known is needed."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.mesh import rotations
from aiculturekit.mesh.rotations import Leaf, Lives, Root

NOW = 1_800_000_000.0


@st.composite
def some_lives(draw: st.DrawFn) -> Lives:
    leaf = draw(st.floats(10, 7 * 86400))
    root = leaf * draw(st.floats(8, 1000))
    ahead = draw(st.floats(0, root / 4))
    renewed = ahead + leaf * 2 + draw(st.floats(0, root / 4))
    return Lives(leaf, draw(st.floats(0.2, 0.7)), root, renewed, ahead, draw(st.floats(0, 300)))


class Authority:
    """The authority without keys: what it trusts and signs with, kept between calls."""

    def __init__(self, lives: Lives) -> None:
        self.lives, self.roots, self.made = lives, dict[str, Root](), 0
        self.bundle: dict[str, float] = {}
        """Root -> since when it is in the bundle."""

    def call(self, now: float, *, is_asked: bool = False) -> Leaf:
        plan = rotations.planned(self.roots.values(), lives=self.lives, now=now, is_asked=is_asked)
        if plan.is_new_wanted:
            self.made += 1
            signs = rotations.signs(plan.signer, lives=self.lives, now=now)
            new = Root(f"{self.made:04}", now, signs, now + self.lives.root)
            plan = rotations.planned([*self.roots.values(), new], lives=self.lives, now=now)
        assert plan.signer and plan.signer in plan.trusted
        self.roots = {root.name: root for root in plan.trusted}
        self.bundle = {name: self.bundle.get(name, now) for name in self.roots}
        ends = min(now + self.lives.leaf, plan.signer.ends)
        self.roots[plan.signer.name] = rotations.used(plan.signer, until=ends)
        return Leaf(now, now - self.lives.backdated, ends, root=plan.signer.name)


steps = st.lists(st.tuples(st.floats(0.01, 1.0), st.booleans()), min_size=20, max_size=200)


@given(some_lives(), steps)
def test_a_certificate_in_use_always_has_its_root_in_the_bundle(lives: Lives, steps: list[tuple[float, bool]]) -> None:
    """Calls come at any time that is not later than the renewal of the last certificate, some of them asking for a root."""
    authority, now = Authority(lives), NOW
    leaves = [authority.call(now)]
    for part, is_asked in steps:
        now += (rotations.due(leaves[-1], lives=lives) - now) * part
        leaves.append(authority.call(now, is_asked=is_asked))
        leaves = [leaf for leaf in leaves if leaf.ends > now]
        assert leaves, "somebody is without a certificate"
        assert {leaf.root for leaf in leaves} <= authority.bundle.keys()
        assert len(authority.bundle) <= 3, "roots pile up"


@given(some_lives(), steps)
def test_a_root_is_known_before_it_signs(lives: Lives, steps: list[tuple[float, bool]]) -> None:
    authority, now = Authority(lives), NOW
    leaf = authority.call(now)
    for part, is_asked in steps:
        now += (rotations.due(leaf, lives=lives) - now) * part
        leaf = authority.call(now, is_asked=is_asked)
        known_for = now - authority.bundle[leaf.root]
        assert leaf.root == "0001" or known_for >= min(lives.ahead, rotations.NOTICE) - 1e-3


def test_the_usual_year_of_a_root() -> None:
    """By the hour, with the lives that everybody has: one root, then two for a day, then the new one."""
    lives, authority, counts = Lives(), Authority(Lives()), list[int]()
    for hour in range(366 * 24):
        leaf = authority.call(NOW + hour * 1800 * 2)
        counts.append(len(authority.bundle))
        assert leaf.ends - leaf.issued == lives.leaf
    assert authority.made == 2 and max(counts) == 2
    assert sum(count == 2 for count in counts) == 24


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_clock_that_jumps_about_leaves_no_moment_without_a_signer(jumps: list[float]) -> None:
    authority = Authority(Lives(root=40 * 86400.0))
    for jump in jumps:
        leaf = authority.call(NOW + jump)
        assert leaf.ends > NOW + jump and leaf.root in authority.bundle


def test_a_root_of_the_future_is_kept_but_not_used() -> None:
    future = Root("f", NOW + 86400, NOW + 86400, NOW + 10 * 86400)
    plan = rotations.planned([future], lives=Lives(), now=NOW)
    assert plan.signer is None and plan.is_new_wanted and plan.dropped == ()


@given(st.floats(60, 7 * 86400), st.text(max_size=8))
def test_renewals_of_different_nodes_are_spread_over_a_tenth_of_a_life_around_its_half(life: float, mark: str) -> None:
    leaf, lives = Leaf(NOW, NOW - 300, NOW + life), Lives(leaf=life)
    share = (rotations.due(leaf, lives=lives, mark=mark) - NOW) / life
    assert 0.449 <= share <= 0.551
    assert not rotations.is_due(leaf, lives=lives, now=NOW, mark=mark)
    assert rotations.is_due(leaf, lives=lives, now=NOW - 301, mark=mark)
    assert rotations.is_due(leaf, lives=lives, now=leaf.ends + 1e6, mark=mark)


def test_renewals_are_spread() -> None:
    leaf = Leaf(NOW, NOW - 300, NOW + 3600)
    moments = {rotations.due(leaf, lives=Lives(), mark=str(mark)) for mark in range(50)}
    assert max(moments) - min(moments) > 250


def test_using_a_root_never_forgets_a_later_certificate() -> None:
    root = Root("a", NOW, NOW, NOW + 1e6, last=NOW + 500)
    assert rotations.used(root, until=NOW + 100) == root
    assert rotations.used(root, until=NOW + 900) == dataclasses.replace(root, last=NOW + 900)
