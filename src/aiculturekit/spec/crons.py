"""The shape of a cron schedule, as far as a file can be checked for it; `engine.schedules` says when it is due. Pure."""

from __future__ import annotations

import re

_NAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_WORDS = {
    name: at
    for at, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_WORDS |= {name: at for at, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_ITEM = re.compile(r"(\*|\?|(\w+)(?:-(\w+))?)(?:/(\d{1,2}))?")


def checked(value: object) -> str:
    """The schedule, if it is one. Raises ValueError with what is wrong."""
    text = str(value).strip().lower()
    if text in _NAMES:
        return text
    parts = text.split()
    if len(parts) != 5:
        raise ValueError(
            f"{text[:60]!r} is not a schedule; write five fields (minute hour day month weekday), or @daily"
        )
    for part, (name, low, high) in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            _check(item, name, low, high)
    return text


def _check(item: str, name: str, low: int, high: int) -> None:
    found = _ITEM.fullmatch(item)
    if not found or found[4] == "0":
        raise ValueError(f"{item!r} is not a {name}; write *, a number, a range such as 1-5, or */5")
    numbers = [_number(word) for word in (found[2], found[3]) if word]
    if any(number is None or not low <= number <= high for number in numbers):
        raise ValueError(f"{item!r} is not a {name}; it goes from {low} to {high}")
    if len(numbers) == 2 and numbers[0] > numbers[1]:  # type: ignore[operator]
        raise ValueError(f"{item!r} runs backwards; write the smaller {name} first")


def _number(word: str) -> int | None:
    return int(word) if word.isdigit() else _WORDS.get(word)
