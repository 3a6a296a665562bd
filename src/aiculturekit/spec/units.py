"""Quantities as people write them -> numbers. Every function raises ValueError with a sentence that says what would be right. Pure."""

from __future__ import annotations

import re

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_MEMORY = {
    "": 1, "k": 10**3, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9, "T": 10**12, "TB": 10**12,
    "Ki": 2**10, "KiB": 2**10, "Mi": 2**20, "MiB": 2**20, "Gi": 2**30, "GiB": 2**30, "Ti": 2**40, "TiB": 2**40,
}  # fmt: skip
_NUMBER = r"(\d{1,12}(?:\.\d{1,6})?)"


def duration(text: object) -> float:
    """`2s`, `500ms`, `1.5h`, `7d` -> seconds."""
    found = re.fullmatch(_NUMBER + r"\s*(ms|s|m|h|d|w)", str(text).strip())
    if not found:
        raise ValueError(f"{_shown(text)} is not a duration; write a number and a unit: 500ms, 2s, 5m, 1h, 7d")
    return float(found[1]) * _DURATION[found[2]]


def size(text: object) -> int:
    """`64Ki`, `10Mi`, `500MB`, or a number of bytes -> bytes, one at least."""
    found = re.fullmatch(_NUMBER + r"\s*([A-Za-z]{0,3})", str(text).strip())
    amount = int(float(found[1]) * _MEMORY[found[2]]) if found and found[2] in _MEMORY else 0
    if amount < 1:
        raise ValueError(f"{_shown(text)} is not a size; write 64Ki, 10Mi or 500MB")
    return amount


def memory(text: object) -> int:
    """`128Mi`, `1G`, `64MB` -> bytes, enough for a process."""
    try:
        amount = size(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is not an amount of memory; write 128Mi, 1Gi or 500MB") from None
    if amount < 1 << 20:
        raise ValueError(f"{_shown(text)} is less than a process can run in; write at least 1Mi")
    return amount


def cpu(text: object) -> int:
    """`250m`, `0.5`, `2` -> millicores."""
    found = re.fullmatch(_NUMBER + r"(m?)", str(text).strip())
    amount = (float(found[1]) * (1 if found[2] else 1000)) if found else 0
    if amount < 1:
        raise ValueError(f"{_shown(text)} is not an amount of CPU; write 250m, 0.5 or 2")
    return round(amount)


def percent(text: object) -> float:
    """`90%` or `90` -> 90.0."""
    found = re.fullmatch(_NUMBER + r"\s*%?", str(text).strip())
    if not found or float(found[1]) > 100:
        raise ValueError(f"{_shown(text)} is not a percentage; write 0% to 100%")
    return float(found[1])


def replicas(text: object) -> tuple[int, int]:
    """`3` -> (3, 3); `1..8` -> (1, 8)."""
    found = re.fullmatch(r"(\d{1,4})(?:\s*\.\.\s*(\d{1,4}))?", str(text).strip())
    if not found:
        raise ValueError(f"{_shown(text)} is not a number of replicas; write 3, or a range such as 1..8")
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= 100:
        raise ValueError(
            f"{_shown(text)} is not a range of replicas; the first number is the smaller, and 100 is the most"
        )
    return low, high


def _shown(text: object) -> str:
    shown = str(text)
    return repr(shown if len(shown) <= 40 else shown[:37] + "…")


def shown_default(value: object) -> str:
    """A default as a reader knows it: text, a number, or nothing."""
    if value is None or value == () or not isinstance(value, str | int | float | bool):
        return ""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
