"""Looking into kept mail: it lies in files, which are read."""

from __future__ import annotations

import datetime

from aiculturekit import threads
from aiculturekit.errors import NotFound
from aiculturekit.language import say
from aiculturekit.resources import mails
from aiculturekit.resources.inspections.shapes import Figure, Inspection, Row
from aiculturekit.resources.mails import Mail
from aiculturekit.resources.servers import Ground

_LONGEST = 100_000
_COUNTED = 10_000


class Smtp:
    up = "smtp_up"

    async def inspect(self, ground: Ground) -> Inspection:
        listed = await threads.run(mails.found, ground.folder, limit=_COUNTED)
        size = sum(mail.size for mail in listed)
        return Inspection(
            version="",
            size_bytes=size,
            sections={"mails": [_row(mail) for mail in listed[:50]]},
            figures=(
                Figure("smtp_mails", "gauge", "Mails that are kept.", len(listed)),
                Figure("smtp_mails_bytes", "gauge", "Their size.", size),
            ),
        )

    async def listed(self, ground: Ground, what: str, *, within: str, search: str, limit: int) -> list[Row]:
        return [_row(mail) for mail in await threads.run(mails.found, ground.folder, words=search, limit=limit)]

    async def opened(self, ground: Ground, what: str, *, within: str, name: str) -> Row:
        listed = await threads.run(mails.found, ground.folder, limit=_COUNTED)
        for mail in listed:
            if mail.name == name:
                return {**_row(mail), "content": mail.text[:_LONGEST]}
        raise NotFound(say("there is no mail {name}", name=name))


def _row(mail: Mail) -> Row:
    return {
        "name": mail.name,
        "at": datetime.datetime.fromtimestamp(mail.at, datetime.UTC).isoformat(timespec="seconds"),
        "by": mail.by,
        "sender": mail.sender,
        "recipients": ", ".join(mail.recipients),
        "subject": mail.subject,
        "bytes": mail.size,
    }
