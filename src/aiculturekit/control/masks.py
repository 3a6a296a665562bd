"""What is secret is not shown, wherever it stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiculturekit.spec import secrets

_SECRET = re.compile(r"pass|secret|token|key|credential|private|dsn", re.I)
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]+):([^@/\s]+)@")
HIDDEN = "••••••"


def mask(name: str, value: str) -> tuple[str, bool]:
    """The value as it may be shown, and whether something was hidden: what sounds secret, and passwords within URLs. A reference says
    where a secret is, and may be seen."""
    if secrets.is_one(value):
        return value, False
    if _SECRET.search(name) and value:
        return HIDDEN, True
    shown = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)
    return shown, shown != value


def within(value: Any, name: str = "") -> Any:
    """The same of everything that a file says."""
    if isinstance(value, Mapping):
        return {key: within(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [within(item, name) for item in value]
    return mask(name, value)[0] if isinstance(value, str) else value
