"""Requests to a cluster's API server: plain JSON objects of any kind, tried again where that may help. Every error is one of ours.

lightkube reads the kubeconfig, logs in, and brings the HTTP client; kinds are looked up in the server itself, so that those which a cluster
has been taught are as good as its own. Everything here may be repeated: applying, replacing what was read, deleting.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from aiculturekit import threads
from aiculturekit.errors import Again, AicError, HostTrouble, NotFound, Refused, Unreachable
from aiculturekit.language import say
from aiculturekit.registry import LOADING
from aiculturekit.targets.kubernetes import answers, kubeconfigs
from aiculturekit.targets.kubernetes.answers import Ask
from aiculturekit.targets.kubernetes.logins import Program

MANAGER = "aiculturekit"
"""The name of our fields' manager."""
_ATTEMPTS, _FIRST, _LONGEST = 9, 0.1, 5.0
_PATIENCE = 20.0
"""Seconds for one answer."""
_AT_ONCE = 12
_SHORT = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
Json = dict[str, Any]


class Answer(Protocol):
    status_code: int
    content: bytes
    headers: Mapping[str, str]


class Http(Protocol):
    """What is used of the HTTP client."""

    async def request(self, method: str, url: str, **options: Any) -> Answer: ...

    def stream(self, method: str, url: str, **options: Any) -> Any: ...

    async def aclose(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A kind as the server has it."""

    api: str
    name: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        space = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}{space}/{self.plural}" + (f"/{name}" if name else "")


class Client:
    """One API server, as one user. `http` raises what `trouble` tells apart: None for a bug, else what went wrong on the way."""

    def __init__(self, http: Http, *, server: str, trouble: Callable[[Exception], str | None]) -> None:
        self.server = server
        self._http, self._trouble = http, trouble
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._looking: dict[str, asyncio.Lock] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def close(self) -> None:
        await self._http.aclose()

    async def kind(self, api: str, name: str) -> Kind:
        """The kind `name` of the API `apps/v1`. Raises Refused where the cluster has none."""
        async with self._looking.setdefault(api, asyncio.Lock()):
            if name not in self._kinds.get(api, {}):
                self._kinds[api] = await self._discovered(api)
        if found := self._kinds[api].get(name):
            return found
        raise Refused(
            say("the cluster knows no {kind} ({api})", kind=name, api=api),
            hint=say("install what it belongs to, or take it out of the file or the target"),
        )

    async def knows(self, api: str, kind: str) -> bool:
        try:
            await self.kind(api, kind)
        except Refused:
            return False
        return True

    async def get(self, api: str, kind: str, name: str, *, namespace: str = "") -> Json | None:
        """The object; None where there is none."""
        known = await self.kind(api, kind)
        ask = _ask("get", known, name, namespace)
        try:
            return await self._json("GET", known.path(namespace, name), ask=ask)
        except NotFound:
            return None

    async def listed(
        self, api: str, kind: str, *, namespace: str = "", labels: str = "", is_short: bool = False
    ) -> list[Json]:
        """Objects with these labels; `is_short`: their metadata alone."""
        known = await self.kind(api, kind)
        query = {"labelSelector": labels} if labels else {}
        headers = {"accept": f"{_SHORT},application/json" if is_short else "application/json"}
        ask = _ask("list", known, "", namespace)
        found = await self._json("GET", known.path(namespace), ask=ask, query=query, headers=headers)
        return list(found.get("items") or ())

    async def apply(self, manifest: Mapping[str, Any], *, is_forced: bool = False) -> Json:
        """The object as it is then. Raises Conflicted where somebody else has a field of it."""
        metadata = manifest["metadata"]
        known = await self.kind(manifest["apiVersion"], manifest["kind"])
        namespace = metadata.get("namespace", "")
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": str(is_forced).lower()}
        headers = {"content-type": "application/apply-patch+yaml"}
        ask = _ask("patch", known, metadata["name"], namespace)
        path = known.path(namespace, metadata["name"])
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._json("PATCH", path, ask=ask, query=query, headers=headers, body=manifest)
            except answers.Conflicted as conflict:
                # Without a field in dispute somebody (a controller, with the status) only wrote at the same moment.
                if conflict.clashes or attempt == _ATTEMPTS:
                    raise
            await asyncio.sleep(_pause(attempt))

    async def create(self, manifest: Mapping[str, Any]) -> Json:
        """Raises Conflicted where one of the name is there (which may be this very one: an answer can be lost)."""
        known, metadata = await self.kind(manifest["apiVersion"], manifest["kind"]), manifest["metadata"]
        namespace = metadata.get("namespace", "")
        ask = _ask("create", known, metadata["name"], namespace)
        return await self._json("POST", known.path(namespace), ask=ask, query={"fieldManager": MANAGER}, body=manifest)

    async def replace(self, manifest: Mapping[str, Any]) -> Json:
        """Raises Conflicted where it is not at the resourceVersion any more that the manifest has."""
        known, metadata = await self.kind(manifest["apiVersion"], manifest["kind"]), manifest["metadata"]
        namespace = metadata.get("namespace", "")
        ask = _ask("update", known, metadata["name"], namespace)
        return await self._json(
            "PUT", known.path(namespace, metadata["name"]), ask=ask, query={"fieldManager": MANAGER}, body=manifest
        )

    async def delete(self, api: str, kind: str, name: str, *, namespace: str = "", uid: str = "") -> None:
        """What hangs on it goes too, in the background. Nothing happens where it is not there (or, with `uid`, is another one)."""
        known = await self.kind(api, kind)
        options: Json = {"propagationPolicy": "Background"} | ({"preconditions": {"uid": uid}} if uid else {})
        ask = _ask("delete", known, name, namespace)
        try:
            await self._json("DELETE", known.path(namespace, name), ask=ask, body=options)
        except (NotFound, answers.Conflicted):
            return

    async def text(self, path: str, *, ask: Ask, **query: str) -> str:
        """An answer that is no JSON: a pod's log, which a node is asked for and may not have."""
        answer = await self._answered("GET", path, ask=ask, options={"params": query}, attempts=2)
        return answer.content.decode("utf-8", "replace")

    async def lines(self, path: str, *, ask: Ask, **query: str) -> AsyncIterator[str]:
        """The lines of an answer as they come. Raises Unreachable where it breaks off."""
        try:
            async with self._http.stream("GET", path, params=query, timeout=None) as answer:
                if answer.status_code >= 400:
                    raise answers.error(answer.status_code, await answer.aread(), ask=ask, server=self.server)
                async for line in answer.aiter_lines():
                    yield line
        except AicError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    async def _discovered(self, api: str) -> dict[str, Kind]:
        path = f"/apis/{api}" if "/" in api else f"/api/{api}"
        try:
            found = await self._json("GET", path, ask=Ask("get", api))
        except NotFound:
            return {}
        return {
            one["kind"]: Kind(api, one["kind"], one["name"], bool(one["namespaced"]))
            for one in found["resources"]
            if "/" not in one["name"]
        }

    async def _json(
        self,
        method: str,
        path: str,
        *,
        ask: Ask,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Json:
        options: Json = {
            "params": dict(query or {}),
            "headers": {"content-type": "application/json", **(headers or {})},
        }
        if body is not None:
            options["content"] = json.dumps(body).encode()
        answer = await self._answered(method, path, ask=ask, options=options)
        found: Json = json.loads(answer.content)
        return found

    async def _answered(
        self, method: str, path: str, *, ask: Ask, options: Mapping[str, Any], attempts: int = _ATTEMPTS
    ) -> Answer:
        """Tried again after a pause that grows, by chance a shorter one (so that many do not come back together)."""
        trouble: AicError | None = None
        for attempt in range(attempts):
            pause = _pause(attempt)
            try:
                async with self._room:
                    answer = await self._http.request(method, path, timeout=_PATIENCE, **options)
            except Exception as error:
                trouble = self._unreachable(error)
            else:
                if answer.status_code < 400:
                    return answer
                trouble = answers.error(answer.status_code, answer.content, ask=ask, server=self.server)
                if not isinstance(trouble, Again):
                    raise trouble
                asked = answers.retry_after(answer.headers, answer.content)
                pause = min(_LONGEST, max(pause, asked)) if asked else pause
            await asyncio.sleep(pause)
        raise trouble or Unreachable(self.server)

    def _unreachable(self, error: Exception) -> AicError:
        """Raises what is a bug of ours."""
        if (said := self._trouble(error)) is None:
            raise error
        return Unreachable(
            say("the cluster at {server} does not answer: {error}", server=self.server, error=said),
            hint=say("`kubectl cluster-info` tries the same; mind VPNs, proxies and the context"),
        )


def _pause(attempt: int) -> float:
    return random.uniform(0, min(_LONGEST, _FIRST * 2**attempt))  # noqa: S311


def _ask(verb: str, kind: Kind, name: str, namespace: str) -> Ask:
    what = f"{kind.name} {name}".strip() + (f" in {namespace}" if namespace and kind.is_namespaced else "")
    group = kind.api.rpartition("/")[0]
    return Ask(verb, what, f"{kind.plural}.{group}" if group else kind.plural)


async def opened(*, context: str, named: str, asked: str) -> Client:
    """The cluster of a context: `named` is the kubeconfig of the target's URL, `asked` the caller's own. Raises HostTrouble, Mistake."""
    return await threads.run(_opened, kubeconfigs.files(named, asked=asked), context)


def _opened(files: tuple[Path, ...], context: str) -> Client:
    with LOADING:
        import httpx2  # heavy: only whoever deploys to a cluster pays for it
        from lightkube.config import client_adapter, kubeconfig  # heavy: as above
        from lightkube.core.exceptions import ConfigError  # heavy: as above

    program: Program | None = None
    try:
        if files:
            merged = kubeconfigs.merged(files)
            name = kubeconfigs.selected(merged, context=context)
            if program := kubeconfigs.program(merged, context=name):
                merged = kubeconfigs.logged_in(merged, login := program.login(), context=name)
            one = kubeconfig.KubeConfig.from_dict(merged, fname=files[0]).get(name)
        else:
            one = kubeconfig.KubeConfig.from_service_account().get()
        if one is None or one.user is None:
            raise ConfigError("no user")
        is_near = any(host in one.cluster.server for host in ("//127.", "//localhost", "//[::1]"))
        given = client_adapter.ConnectionParams(timeout=httpx2.Timeout(_PATIENCE), trust_env=not is_near)
        http: Any = client_adapter.AsyncClient(one, given)
        if program and login.token:
            http.auth = _renewing(program, login.token)
    except (ConfigError, KeyError, OSError, ValueError, TypeError) as error:
        raise HostTrouble(
            say("the kubeconfig can't be used: {error}", error=str(error) or type(error).__name__),
            hint=say("`kubectl --context {context} version` tries the same", context=context or "…"),
        ) from error

    def trouble(error: Exception) -> str | None:
        if isinstance(error, (ConfigError, HostTrouble)):
            return str(error)
        return (str(error) or type(error).__name__) if isinstance(error, (httpx2.HTTPError, OSError)) else None

    return Client(http, server=one.cluster.server, trouble=trouble)


def _renewing(program: Program, token: str) -> Any:
    """A token ends during a long deploy: then the program is asked for another."""
    import httpx2  # heavy: only whoever deploys to a cluster pays for it

    class Renewing(httpx2.Auth):
        def __init__(self) -> None:
            self.token = token

        async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
            request.headers["Authorization"] = f"Bearer {self.token}"
            answer = yield request
            if answer.status_code == 401:
                self.token = (await threads.run(program.login)).token
                request.headers["Authorization"] = f"Bearer {self.token}"
                yield request

    return Renewing()
