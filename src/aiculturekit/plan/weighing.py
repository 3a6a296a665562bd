"""Traffic between the versions of a service: percentages that add up to 100."""

from __future__ import annotations

from collections.abc import Mapping

from aiculturekit.errors import Mistake, NotFound
from aiculturekit.language import say


def completed(service: str, weights: Mapping[str, float], *, current: Mapping[str, float]) -> dict[str, float]:
    """`weights` with the versions that it does not name sharing the rest, in proportion to what they have in `current`.
    Raises NotFound for a version that is not there, Mistake for weights that do not add up."""
    if unknown := sorted(set(weights) - set(current)):
        raise NotFound(
            say("{service} has no version {version}", service=service, version=", ".join(unknown)),
            hint=say("it has {known}", known=", ".join(current)),
        )
    rest = 100 - sum(weights.values())
    unnamed = {version: weight for version, weight in current.items() if version not in weights}
    if any(weight < 0 for weight in weights.values()) or rest < -0.01 or (rest > 0.01 and not unnamed):
        raise Mistake(
            say("{service}: the weights add up to {total:g}%, not 100%", service=service, total=100 - rest),
            hint=say("name every version, or leave one out and it gets the rest"),
        )
    shares = sum(unnamed.values())
    spread = {v: round(rest * (weight / shares if shares else 1 / len(unnamed)), 2) for v, weight in unnamed.items()}
    return {version: float(weights.get(version, spread.get(version, 0.0))) for version in current}
