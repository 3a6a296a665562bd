"""What the product says, in English and Chinese.

Promise: `say("{name} is ready", name=…)` answers in the language in force; a missing translation is the English text, never
an error. Catalogues are `zh/*.json`, one for each package, English template to Chinese template; they load on first use.
May not: import anything of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "zh")
_current: ContextVar[str] = ContextVar("aic_language", default="en")


def say(template: str, /, **values: object) -> str:
    """The template in the language in force, filled with `values`; the template is the English text and the catalogue's key."""
    text = _catalogue().get(template, template) if _current.get() == "zh" else template
    return text.format(**values) if values else text


def use(language: str) -> None:
    """Speak `language` in this context (task or thread) from now on; an unknown one means English."""
    _current.set(language if language in LANGUAGES else "en")


def current() -> str:
    return _current.get()


def detect(environ: Mapping[str, str]) -> str:
    """`AIC_LANG`, else the locale's language (LC_ALL, LC_MESSAGES, LANG in POSIX order), else English."""
    for name in ("AIC_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def _catalogue() -> dict[str, str]:
    merged: dict[str, str] = {}
    for entry in sorted(files(__package__).joinpath("zh").iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".json"):
            merged |= json.loads(entry.read_text("utf-8"))
    return merged
