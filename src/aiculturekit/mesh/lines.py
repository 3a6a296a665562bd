"""The other side of `programs`: questions and answers as lines of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any


def served(answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Answer every question on standard input, until it ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201  # this is how it is asked for
