"""The mails that an SMTP resource has kept: newest first, searchable. Blocks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Mail:
    """`at` is seconds since the epoch, `by` the workload that sent it, `sender` and `recipients` what its envelope said; `text` is
    what a person reads of it."""

    name: str
    at: float
    by: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    size: int

    def holds(self, words: str) -> bool:
        """Whether every one of the words is somewhere in it, whatever the case."""
        all_of_it = "\n".join([self.subject, self.sender, *self.recipients, self.by, self.text]).casefold()
        return all(word in all_of_it for word in words.casefold().split())


def found(folder: Path, *, words: str = "", limit: int = 100) -> list[Mail]:
    """Those with all of the words, of the resource whose data is in `folder`."""
    result: list[Mail] = []
    for mail in _all(folder):
        if len(result) == limit:
            break
        if mail.holds(words):
            result.append(mail)
    return result


def raw(folder: Path, name: str) -> bytes | None:
    """The message as it was sent; None when there is none of that name."""
    file = folder / "mails" / f"{name}.mail"
    if file.parent != folder / "mails" or not file.is_file():
        return None
    return file.read_bytes().partition(b"\n")[2]


def _all(folder: Path) -> Iterator[Mail]:
    for file in sorted((folder / "mails").glob("[!.]*.mail"), reverse=True):
        try:
            yield _read(file)
        except (OSError, ValueError, KeyError):
            continue  # removed meanwhile, or no work of ours


def _read(file: Path) -> Mail:
    line, _, content = file.read_bytes().partition(b"\n")
    about = json.loads(line)
    message = message_from_bytes(content, _class=EmailMessage, policy=policy.default)
    return Mail(
        file.stem,
        about["at"],
        about["by"],
        about["from"] or "",
        tuple(about["to"]),
        str(message.get("subject", "")),
        _text(message),
        len(content),
    )


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    try:
        return str(part.get_content()) if part else ""
    except (LookupError, ValueError):  # a character set that nobody knows
        return ""
