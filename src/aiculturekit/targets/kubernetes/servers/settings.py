"""A server's settings with the passwords of its users in them: the shell that starts it writes them, from variables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import secrets

_SPECIAL = str.maketrans({"\\": "\\\\", "$": "\\$", "`": "\\`"})
_MARK = "\0"


def variable(at: int) -> str:
    """The variable that has the password of the server's user with this number."""
    return f"AIC_PASSWORD_{at}"


def variables(document: Document) -> list[dict[str, Any]]:
    """Those of all users of the server, from their Secrets."""
    logins = [login for login, _ in document.body["users"]]
    return [_given(variable(at), secrets.name(document.name, login)) for at, login in enumerate(logins)]


def said(name: str) -> str:
    """Stands in a text for what the variable holds."""
    return f"{_MARK}{name}{_MARK}"


def written(path: str, text: str) -> str:
    """The command that writes the text, in which nothing but `said` means anything."""
    pieces: Sequence[str] = text.split(_MARK)
    filled = "".join(f"${{{piece}}}" if at % 2 else piece.translate(_SPECIAL) for at, piece in enumerate(pieces))
    return f"cat > {path} <<AIC\n{filled}\nAIC\n"


def _given(name: str, secret: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": secrets.PASSWORD}}}
