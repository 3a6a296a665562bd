"""Speaking to a registry: one request, its token, its second try. Blocks."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any, cast
from urllib.parse import quote, urlencode, urljoin, urlsplit

from aiculturekit.errors import Again, AicError, Failed, Refused, Unreachable
from aiculturekit.images import credentials, references
from aiculturekit.images.references import DOCKER_HUB
from aiculturekit.language import say

_TIMEOUT, _TRIES, _LONGEST_PAUSE = 60.0, 4, 20.0
_LARGEST = 16 << 20
"""Bytes of an answer that is no blob."""
_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}


class Registry:
    """One registry for one command: logs in when it is asked to, keeps its tokens, tries again what may go better. Threads may share it.
    Every method raises Unreachable, Refused (who we are is not enough) or Failed."""

    def __init__(self, name: str, *, is_plain: bool = False, environ: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._environ = os.environ if environ is None else environ
        self._base = f"{'http' if is_plain else 'https'}://{_HOSTS.get(name, name)}"
        proxies = urllib.request.ProxyHandler({} if references.is_loopback(name) else None)
        self._opener = urllib.request.build_opener(proxies, _Redirects, _Plain)
        self._tokens = dict[str, str]()

    def ask(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        length: int | None = None,
        right: tuple[int, ...] = (200,),
    ) -> http.client.HTTPResponse:
        """The answer, unread, when its status is one of `right`; a body that is a file is read again from its start at each try."""
        url = path if "://" in path else urljoin(self._base, path)
        attempt = -1
        while True:
            attempt += 1
            try:
                answer = self._once(method, url, scope, headers or {}, body, length)
            except (OSError, http.client.HTTPException) as error:
                if attempt >= _TRIES - 1:
                    raise self.unreachable(error) from error
                time.sleep(2.0**attempt / 4)
                continue
            if answer.status in right:
                return answer
            said = _said(answer)
            if attempt >= _TRIES - 1 or (answer.status != 429 and answer.status < 500):
                raise self._wrong(method, url, answer.status, said)
            time.sleep(_pause(answer.headers, attempt))

    def document(self, path: str, *, scope: str, accept: tuple[str, ...]) -> tuple[bytes, str]:
        """The body and the media type of a manifest."""
        with self.ask("GET", path, scope=scope, headers={"Accept": ", ".join(accept)}) as answer:
            return answer.read(_LARGEST), answer.headers.get_content_type()

    def location(self, answer: http.client.HTTPResponse) -> str:
        """Where the registry says to go on. One behind a proxy may not know that it is spoken to over https; another place without
        encryption is refused."""
        said = urljoin(answer.url or self._base, answer.headers.get("Location", ""))
        return self.encrypted(said)

    def encrypted(self, url: str) -> str:
        """Raises Failed."""
        parts, own = urlsplit(url), urlsplit(self._base)
        if own.scheme != "https" or parts.scheme == "https":
            return url
        if parts.hostname != own.hostname:
            raise Failed(
                say("{registry} leads to a place without encryption: {url}", registry=self.name, url=parts.netloc)
            )
        return parts._replace(scheme=own.scheme, netloc=own.netloc).geturl()

    def _once(
        self,
        method: str,
        url: str,
        scope: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None,
        length: int | None,
    ) -> http.client.HTTPResponse:
        answer = self._send(method, url, headers, body, length, self._tokens.get(scope))
        if answer.status == 401 and self._is_ours(url):
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer.close()
            self._tokens[scope] = self._token(challenge, scope)
            answer = self._send(method, url, headers, body, length, self._tokens[scope])
        return answer

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None,
        length: int | None,
        token: str | None,
    ) -> http.client.HTTPResponse:
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        request = urllib.request.Request(url, data=cast(Any, body), method=method)  # noqa: S310
        for name, value in headers.items():
            request.add_header(name, value)
        request.add_header("User-Agent", "aic")
        if length is not None:
            request.add_header("Content-Length", str(length))
        if token and self._is_ours(url):  # never to where a redirect leads
            request.add_unredirected_header("Authorization", token)
        return cast(http.client.HTTPResponse, self._opener.open(request, timeout=_TIMEOUT))

    def _is_ours(self, url: str) -> bool:
        return _place(url) == _place(self._base)

    def _token(self, challenge: str, scope: str) -> str:
        """What to put into Authorization, by the challenge's rules: RFC 7235 and distribution's token specification."""
        login = credentials.find(self.name, environ=self._environ)
        scheme, _, rest = challenge.partition(" ")
        asked = {name.lower(): value for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}
        if scheme.lower() == "basic" and login is not None:
            return f"Basic {login.basic}"
        if scheme.lower() != "bearer" or "realm" not in asked:
            raise self._not_known(login is not None)
        wanted = {"service": asked.get("service", ""), "scope": (scope or asked.get("scope", "")).split(" ")}
        if urlsplit(asked["realm"]).scheme == "http" and not self._base.startswith("http:"):
            raise Failed(say("{registry} asks for the password over http; it was not sent", registry=self.name))
        return f"Bearer {self._fetched(asked['realm'], wanted, login)}"

    def _fetched(self, realm: str, wanted: Mapping[str, str | list[str]], login: credentials.Login | None) -> str:
        if login is not None and login.token:
            form = {
                **wanted,
                "scope": " ".join(wanted["scope"]),
                "grant_type": "refresh_token",
                "client_id": "aic",
                "refresh_token": login.token,
            }
            request = urllib.request.Request(realm, data=urlencode(form).encode(), method="POST")  # noqa: S310
        else:
            request = urllib.request.Request(f"{realm}?{urlencode(wanted, doseq=True, quote_via=quote)}")  # noqa: S310
            if login is not None:
                request.add_unredirected_header("Authorization", f"Basic {login.basic}")
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            if answer.status != 200:
                raise self._not_known(login is not None)
            found = json.loads(answer.read(_LARGEST))
        return str(found.get("token") or found.get("access_token") or "")

    def _not_known(self, is_logged_in: bool) -> AicError:
        if is_logged_in:
            message = say("{registry} does not accept the login that is kept for it", registry=self.name)
        else:
            message = say("{registry} wants to know who asks", registry=self.name)
        return Refused(
            message, hint=say("log in, then run the command again: docker login {registry}", registry=self.name)
        )

    def _wrong(self, method: str, url: str, status: int, said: str) -> AicError:
        if status in (401, 403):
            return Refused(
                say("{registry} does not allow it: {said}", registry=self.name, said=said or status),
                hint=say("log in as somebody who may: docker login {registry}", registry=self.name),
            )
        if status == 429:
            return Again(
                say("{registry} has had too many requests from here", registry=self.name),
                hint=say("wait, log in, or name a mirror: AIC_REGISTRY_MIRROR=HOST"),
            )
        if status == 404:
            return Failed(
                say("{registry} has no {what}", registry=self.name, what=urlsplit(url).path.removeprefix("/v2/")),
                hint=say("check the name and the tag"),
            )
        what = f"{method} {urlsplit(url).path}"
        return Failed(
            say(
                "{registry} answered {status} to {what}: {said}",
                registry=self.name,
                status=status,
                what=what,
                said=said,
            )
        )

    def unreachable(self, error: Exception) -> AicError:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            hint = say("its certificate is not trusted here: name the authority's file in SSL_CERT_FILE")
        elif isinstance(reason, ssl.SSLError):
            hint = say("does it speak plain http? write http://{registry}/… to use it", registry=self.name)
        else:
            hint = say("check the name and the network; a mirror can be named: AIC_REGISTRY_MIRROR=HOST")
        return Unreachable(say("{registry} was not reached: {error}", registry=self.name, error=reason), hint=hint)


def _place(url: str) -> tuple[str | None, int]:
    """Host and port: whether the usual one is written or not."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


class _Plain(urllib.request.HTTPErrorProcessor):
    """Every status is an answer; redirects of reading are followed before."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        is_redirect = response.status in (301, 302, 303, 307, 308) and request.get_method() in ("GET", "HEAD")
        return super().http_response(request, response) if is_redirect else response

    https_response = http_response


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Never from https to where nothing is encrypted."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            return None
        return super().redirect_request(req, fp, code, msg, cast(Any, headers), newurl)


def _said(answer: http.client.HTTPResponse) -> str:
    """The registry's own words, shortened and without what moves a cursor: they come from outside."""
    with answer:
        raw = answer.read(_LARGEST).decode("utf-8", "replace")
    try:
        first = json.loads(raw)["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        text = raw
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:200]


def _pause(headers: Message, attempt: int) -> float:
    said = headers.get("Retry-After", "")
    return min(_LONGEST_PAUSE, float(said)) if said.isdecimal() else 2.0**attempt / 2
