"""The API from a shell: JSON over loopback HTTP with the home's token, and server-sent events. The standard library starts fastest."""

from __future__ import annotations

import getpass
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiculturekit import __version__, errors, language
from aiculturekit.errors import AicError, Unreachable
from aiculturekit.language import say

_TURN = 30.0
"""Seconds in which another daemon of a platform leads when one has ended: its Lease may have to run out."""


def home() -> Path:
    """$AIC_HOME, or the platform's user-state directory."""
    if given := os.environ.get("AIC_HOME"):
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_state_dir("aiculturekit"))


class Client:
    """One daemon. Every call raises the error that the daemon answered with, or Unreachable. `is_far`: on another machine, which neither
    has this one's files nor is started from here."""

    def __init__(self, api: str, token: str, *, is_far: bool = False) -> None:
        self.api, self._token, self.is_far = api.rstrip("/"), token, is_far
        self._url = urlsplit(self.api)

    @classmethod
    def of_server(cls) -> Client | None:
        """The daemon that $AIC_SERVER names, which takes $AIC_TOKEN. Raises UsageError for what is no such thing."""
        api, token = os.environ.get("AIC_SERVER", ""), os.environ.get("AIC_TOKEN", "")
        if not api:
            return None
        url = urlsplit(api)
        if url.scheme not in ("http", "https") or not url.hostname or not token:
            raise errors.UsageError(
                say("AIC_SERVER is the URL of a platform's daemon, and AIC_TOKEN its password"),
                hint=say("`aic install kubernetes` prints both; unset AIC_SERVER for this machine's own daemon"),
            )
        return cls(api, token, is_far=True)

    def reached(self) -> Client:
        """The same, when it answers: another daemon may be about to lead, and the first request through a port-forward to one that has
        ended is lost. Where nobody listens, nothing is waited for. Raises what the last attempt raised."""
        end = time.monotonic() + _TURN
        while True:
            try:
                self.get("placements")
            except AicError as error:
                is_nowhere = isinstance(error.__cause__, ConnectionRefusedError | socket.gaierror)
                if error.code != Unreachable.code or is_nowhere or time.monotonic() > end:
                    raise
                time.sleep(1)
            else:
                return self

    @classmethod
    def of_home(cls, *, any_version: bool = False) -> Client:
        """The daemon that $AIC_SERVER names, else the one of daemon.json. Raises Unreachable when there is none, or it is of another
        version. With `any_version` it is this machine's in any case."""
        if not any_version and (far := cls.of_server()):
            return far.reached()
        folder = home()
        try:
            record = json.loads((folder / "daemon.json").read_text())
            os.kill(int(record["pid"]), 0)
            client = cls(record["api"], (folder / "token").read_text().strip())
        except (OSError, ValueError, KeyError):
            raise _absent() from None
        if not any_version:
            client.check_version(record.get("version", ""))
        return client

    def check_version(self, version: str) -> None:
        if version != __version__:
            raise Unreachable(
                say("the daemon is of version {theirs}, this command of {ours}", theirs=version, ours=__version__),
                hint=say("`aic server stop --keep`, then try again: a new daemon takes over what runs"),
            )

    def get(self, path: str, **query: object) -> Any:
        return self._json("GET", path, query=query)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._json("POST", path, body=body or {})

    def delete(self, path: str) -> Any:
        return self._json("DELETE", path)

    def events(self, path: str, **query: object) -> Iterator[tuple[str, Any]]:
        """(event, data) until the stream ends, or breaks."""
        connection = self._connection(timeout=None)
        try:
            answer = self._send(connection, "GET", path, query=query)
            if answer.status >= 400:
                raise _error(answer.status, answer.read())
            kind = ""
            for raw in answer:
                line = raw.decode("utf-8").rstrip("\r\n")
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    yield kind, json.loads(line[6:])
        except (OSError, http.client.HTTPException):  # who follows knows whether it was the end
            return
        finally:
            connection.close()

    def _json(self, method: str, path: str, *, query: dict[str, object] | None = None, body: Any = None) -> Any:
        connection = self._connection(timeout=60)
        try:
            answer = self._send(connection, method, path, query=query, body=body)
            raw = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise _error(answer.status, raw)
        return json.loads(raw) if raw else None

    def _connection(self, *, timeout: float | None) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return kind(self._url.netloc, timeout=timeout)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, *, query: Any = None, body: Any = None
    ) -> http.client.HTTPResponse:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = f"{self._url.path}/api/v1/{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Authorization": f"Bearer {self._token}", "Accept-Language": language.current()}
        if self.is_far:
            headers["X-AIC-Author"] = _author()
        payload = None
        if body is not None:
            headers["Content-Type"], payload = "application/json", json.dumps(body).encode()
        try:
            connection.request(method, target, body=payload, headers=headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                say(
                    "the daemon at {api} does not answer: {error}",
                    api=self.api,
                    error=str(error) or type(error).__name__,
                ),
                hint=say("is AIC_SERVER right, and does its port-forward still run?")
                if self.is_far
                else say("`aic doctor` looks for the reason; `aic up` starts a new one"),
            ) from error


def _absent() -> Unreachable:
    return Unreachable(say("no daemon runs for {home}", home=home()), hint=say("`aic up` starts one"))


class Answered(AicError):
    """An error that the daemon answered with; it looks and counts as the one it was there."""

    code = "answered"

    def __init__(self, record: dict[str, Any]) -> None:
        super().__init__(record.get("message", ""), hint=record.get("hint", ""))
        self.record = record
        self.code = record.get("code", "error")
        self.exit_code = _exit_codes().get(self.code, 1)

    def __str__(self) -> str:
        tail = [f"    | {line}" for line in self.record.get("tail", ())]
        return "\n".join([super().__str__(), *tail])

    def as_dict(self) -> dict[str, Any]:
        return self.record


def _author() -> str:
    """Who asks, for the record of a platform that several have: $AIC_AUTHOR, else the name on this machine."""
    try:
        name = os.environ.get("AIC_AUTHOR") or getpass.getuser()
    except (OSError, KeyError):  # a number without a name, as in many containers
        name = ""
    return " ".join(name.encode("ascii", "replace").decode().split()) or "local"


def _error(status: int, raw: bytes) -> AicError:
    try:
        return Answered(json.loads(raw)["error"])
    except (ValueError, KeyError, TypeError):
        return Unreachable(
            say("the daemon answered {status}", status=status), hint=say("`aic doctor` looks for the reason")
        )


def _exit_codes() -> dict[str, int]:
    def below(kind: type[AicError]) -> Iterator[type[AicError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    codes = {kind.code: kind.exit_code for kind in below(errors.AicError)}
    return codes | dict.fromkeys(("unauthorized", "forbidden", "conflicted"), errors.Refused.exit_code)
