"""The rules of a `.dockerignore`: paths from the directory's root, `*` within a part, `**` over parts, `!` takes back, the last rule
that fits decides. As Docker's own matcher (moby/patternmatcher). Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """`takes_back`: what fits is kept after all."""

    pattern: re.Pattern[str]
    written: str
    takes_back: bool


def rules(text: str) -> tuple[Rule, ...]:
    """Lines that are no pattern are left out."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(_rule(line) for line in lines if line and not line.startswith("#") and line.strip("!/ "))


def _rule(line: str) -> Rule:
    takes_back = line.startswith("!")
    written = line.lstrip("!").strip().removeprefix("./").strip("/")
    return Rule(re.compile(_expression(written) + r"(/.*)?"), written, takes_back)


def _expression(written: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", written)
    meaning = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return "".join(
        meaning.get(part) or (part if re.fullmatch(r"\[[^\]]*\]", part) else re.escape(part)) for part in parts
    )


def verdict(path: str, known: Sequence[Rule]) -> bool | None:
    """True: left out; False: kept by a rule; None: no rule says anything."""
    said = [rule.takes_back for rule in known if rule.pattern.fullmatch(path)]
    return not said[-1] if said else None


def may_hold(folder: str, known: Sequence[Rule]) -> bool:
    """Whether something below this folder may be taken back: then it must be looked into."""
    return any(
        rule.takes_back and (rule.written.startswith((f"{folder}/", "*")) or rule.pattern.fullmatch(folder))
        for rule in known
    )
