"""The program that plays an SMTP server: it takes mail from who has a password, keeps it as files, and never sends it on.

Run as `python postboxes.py FOLDER UID`, with $PORT and with aiosmtpd on $PYTHONPATH; it stands alone, so that nothing else is loaded
into it. It gives up root as soon as all of it is loaded. Users are read anew at every login from FOLDER/users.json.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  # loaded late otherwise, when root is gone and with it the way to it
import encodings.idna  # noqa: F401  # as well
import hashlib
import hmac
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_LARGEST = 32 << 20
_DENIED = "550 5.7.1 this user may not send mail"


class Keeper:
    """What aiosmtpd calls. A mail is on disk before it is acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._mails, self._users = folder / "mails", folder / "users.json"

    def admit(self, server: Any, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
        """The verb of who logs in becomes part of the session."""
        user = self._user(login)
        return AuthResult(success=user is not None, handled=False, auth_data=user)

    def _user(self, login: Any) -> dict[str, str] | None:
        if not isinstance(login, LoginPassword):
            return None
        known: dict[str, dict[str, str]] = json.loads(self._users.read_text())
        found = known.get(login.login.decode("utf-8", "replace"))
        digest = hashlib.sha256(login.password).hexdigest()
        return found if found and hmac.compare_digest(found["digest"], digest) else None

    async def handle_MAIL(  # noqa: N802  # the library's name
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if _who(session)["verb"] == "read":
            return _DENIED
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        about = {"at": time.time(), "from": envelope.mail_from, "to": envelope.rcpt_tos}
        name = await asyncio.to_thread(self._keep, about | {"by": _who(session)["workload"]}, _bytes(envelope))
        return f"250 2.0.0 kept as {name}"

    def _keep(self, about: dict[str, Any], content: bytes) -> str:
        """The envelope stands in one line of JSON before the message."""
        name = f"{time.time_ns():020d}-{os.urandom(4).hex()}"
        fresh = self._mails / f".{name}"
        with fresh.open("wb") as file:
            file.write(json.dumps(about).encode() + b"\n" + content)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._mails / f"{name}.mail")
        folder = os.open(self._mails, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return name


def _who(session: Session) -> dict[str, str]:
    known: dict[str, str] = session.auth_data  # type: ignore[assignment]
    return known


def _bytes(envelope: Envelope) -> bytes:
    content = envelope.content or b""
    return content.encode() if isinstance(content, str) else content


async def serve(folder: Path, port: int) -> None:
    keeper = Keeper(folder)
    loop = asyncio.get_running_loop()

    def talk() -> SMTP:
        return SMTP(
            keeper,
            authenticator=keeper.admit,
            auth_required=True,
            auth_require_tls=False,
            data_size_limit=_LARGEST,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="aic",
        )

    server = await loop.create_server(talk, "127.0.0.1", port)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    async with server:
        await stopped.wait()


def main() -> None:
    folder, uid = Path(sys.argv[1]), int(sys.argv[2])
    if os.geteuid() == 0 and uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    os.umask(0o077)
    asyncio.run(serve(folder, int(os.environ["PORT"])))


if __name__ == "__main__":
    main()
