"""What a new version must hold while it takes over: `errors<1% p95<400ms rate>5`, or beside what runs: `errors<stable+1%`,
`p95<stable*1.5`. Pure."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from aiculturekit.errors import Mistake
from aiculturekit.language import say

Measure = Literal["errors", "p50", "p95", "p99", "rate"]
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
USUAL = "errors<1%"
FEWEST, MOST = 20, 500
"""Bounds of the number of requests that a judgement asks for by itself."""

_WORD = re.compile(r"(errors|p50|p95|p99|rate)([<>])(?:(stable)([+*]))?(\d{1,9}(?:\.\d{1,6})?)(%|ms|s|/s)?")
_UNITS = {"ms": 1.0, "s": 1000.0}


@dataclasses.dataclass(frozen=True, slots=True)
class Objective:
    """One bound: errors in percent and times in milliseconds stay below it, the rate (requests per second) above. With `beside` the
    bound is what the stable version shows plus (`+`) or times (`*`) `amount`."""

    measure: Measure
    amount: float
    beside: Literal["", "+", "*"] = ""

    def bound(self, stable: float | None) -> float | None:
        """The bound as a number, given what the stable version shows; None while that is not known."""
        if not self.beside:
            return self.amount
        if stable is None:
            return None
        return stable + self.amount if self.beside == "+" else stable * self.amount

    def __str__(self) -> str:
        sign = ">" if self.measure == "rate" else "<"
        unit = "" if self.measure == "rate" or self.beside == "*" else "%" if self.measure == "errors" else "ms"
        return f"{self.measure}{sign}{'stable' + self.beside if self.beside else ''}{self.amount:g}{unit}"


def parse(text: str) -> tuple[Objective, ...]:
    """The objectives of `errors<1% p95<400ms`; spaces or commas between them. Raises Mistake."""
    words = [word for word in re.split(r"[\s,]+", re.sub(r"\s*([<>+*])\s*", r"\1", text.strip())) if word]
    found = tuple(_objective(word) for word in words)
    twice = [str(one.measure) for at, one in enumerate(found) if one.measure in {other.measure for other in found[:at]}]
    if twice:
        raise Mistake(say("an objective for {measure} stands twice", measure=twice[0]), hint=_hint())
    return found


def least(objectives: tuple[Objective, ...]) -> int:
    """How many requests a judgement needs: so many that one failed (or slow) request alone breaks none of the objectives."""
    needed = [FEWEST]
    for one in objectives:
        if one.measure == "errors" and one.beside != "*":
            needed.append(int(100 / one.amount) + 1)
        elif one.measure in SHARES:
            needed.append(round(1 / (1 - SHARES[one.measure])))
    return min(MOST, max(needed))


def _objective(word: str) -> Objective:
    found = _WORD.fullmatch(word)
    if found is None:
        raise Mistake(say("{word} is not an objective", word=repr(word[:40])), hint=_hint())
    measure, sign, _, beside, number, unit = found.groups(default="")
    amount = float(number) * _UNITS.get(unit, 1.0)
    if (sign == ">") != (measure == "rate") or unit not in _units(measure, beside) or (measure == "rate" and beside):
        raise Mistake(say("{word} is not an objective", word=repr(word)), hint=_hint())
    if amount <= 0 or (measure == "errors" and not beside and amount > 100):
        raise Mistake(say("{word} can never hold", word=repr(word)), hint=_hint())
    return Objective(measure, amount, beside)  # type: ignore[arg-type]


def _units(measure: str, beside: str) -> tuple[str, ...]:
    if beside == "*":
        return ("",)
    return {"errors": ("%",), "rate": ("", "/s")}.get(measure, ("ms", "s"))


def _hint() -> str:
    return say("write for example: errors<1% p95<400ms rate>5, or beside what runs: errors<stable+1% p95<stable*1.5")
