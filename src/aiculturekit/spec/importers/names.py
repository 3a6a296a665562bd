"""Names of other tools as names of an application file: small letters, digits, hyphens, at most 40. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable


def name(text: str) -> str:
    """The nearest name to a text; `app` where nothing of it is left."""
    letters = re.sub(r"[^a-z0-9]+", "-", text.lower())[:60].strip("-")
    letters = re.sub(r"^[0-9-]+", "", letters)[:40].strip("-")
    return letters or "app"


def unique(texts: Iterable[str]) -> dict[str, str]:
    """Each text's name; two that would be the same, and the platform's own `ingress`, get a number."""
    found: dict[str, str] = {}
    taken = {"ingress"}
    for text in texts:
        wanted, at = name(text), 2
        chosen = wanted
        while chosen in taken:
            chosen, at = f"{wanted[:36]}-{at}", at + 1
        found[text] = chosen
        taken.add(chosen)
    return found


def is_variable(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text))


def is_secret(text: str) -> bool:
    """Whether a variable's name says that its value is for few eyes."""
    return bool(re.search(r"PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|(^|_)(KEY|APIKEY|PWD|DSN)(_|$)|API_KEY", text.upper()))
