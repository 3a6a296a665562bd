"""A server that stands elsewhere: is it there, is it what it should be, does it let us in? It is asked, never changed.

How far one can ask without being a client of everything: PostgreSQL, MySQL, Redis, NATS, SMTP and S3 are entered with the URL's own name
and password; of the rest it is known that something answers.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping

from aiculturekit import threads
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import greetings, handshakes, outputs, signatures, startups

_WITHIN = 8.0
_SECURE = ("rediss", "tls", "smtps")
Greeting = Callable[..., Awaitable[str]]
_GREETINGS: Mapping[str, Greeting] = {
    "redis": greetings.redis,
    "nats": greetings.nats,
    "mysql": handshakes.mysql,
    "postgres": startups.postgres,
}


async def check(name: str, kind: str, url: str) -> str:
    """The version of the first server that the URL names, "" where it does not say. Raises Failed, which shows the URL without what
    is secret in it."""
    try:
        async with asyncio.timeout(_WITHIN):
            return await _asked(kind, url)
    except TimeoutError:
        reason = say("no answer within {seconds:g} s", seconds=_WITHIN)
    except ConnectionRefusedError:
        reason = say("nothing listens on its port")
    except (greetings.Unwelcome, asyncio.IncompleteReadError, OSError, smtplib.SMTPException, ValueError) as error:
        reason = _plain(error, Locator.parse(url))
    raise Failed(
        say("resources/{name}: {url} can't be used: {reason}", name=name, url=str(Locator.parse(url)), reason=reason),
        hint=say("start the server, or mend `url:` (its host, port, name and password); nothing was changed"),
    )


def _plain(error: Exception, place: Locator) -> str:
    """What the server said, without the password, should it have said it."""
    text = str(error) or type(error).__name__
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    return text.replace(place.password, "***") if place.password else text


async def _asked(kind: str, url: str) -> str:
    place = Locator.parse(url)
    standing = outputs.standing(kind, url)
    if not standing:
        raise ValueError(say("its port is not known; write it into the URL"))
    host, port = standing[0]
    if kind == "smtp":
        return await threads.run(_mail, place, host, port)
    if kind == "s3":
        return await _store(place, host, port)
    secure = ssl.create_default_context() if place.scheme in _SECURE and kind != "nats" else None
    reader, writer = await asyncio.open_connection(host.strip("[]"), port, ssl=secure)
    try:
        greeting = _GREETINGS.get(kind)
        if greeting is None or (kind == "nats" and place.scheme == "tls"):
            return ""
        return await greeting(
            reader, writer, user=place.username or "", password=place.password or "", database=place.path.strip("/")
        )
    finally:
        writer.close()


def _mail(place: Locator, host: str, port: int) -> str:
    kind = smtplib.SMTP_SSL if place.scheme == "smtps" else smtplib.SMTP
    with kind(host.strip("[]"), port, timeout=_WITHIN) as client:
        client.ehlo()
        if client.has_extn("starttls") and place.scheme == "smtp" and place.username:
            client.starttls(context=ssl.create_default_context())
        if place.username:
            client.login(place.username, place.password or "")
    return ""


async def _store(place: Locator, host: str, port: int) -> str:
    """Its first bucket is looked for, or all of them."""
    path = "/" + place.path.strip("/").partition("/")[0]
    secure = ssl.create_default_context() if outputs.tls(place) else None
    shown = host if port in (80, 443) else f"{host}:{port}"
    named = signatures.headers(
        "HEAD" if path != "/" else "GET",
        path,
        host=shown,
        key=place.username or "",
        secret=place.password or "",
        at=time.time(),
        region=place.options.get("region", outputs.REGION),
    )
    reader, writer = await asyncio.open_connection(host.strip("[]"), port, ssl=secure)
    try:
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        writer.write(f"{'HEAD' if path != '/' else 'GET'} {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode())
        await writer.drain()
        words = (await reader.readline()).split()
    finally:
        writer.close()
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise greetings.Unwelcome("it does not speak S3")
    if words[1] != b"200":
        reasons = {b"403": say("its key or secret is wrong"), b"404": say("there is no bucket {path}", path=path[1:])}
        raise greetings.Unwelcome(reasons.get(words[1], f"{words[1].decode('latin-1')}"))
    return ""
