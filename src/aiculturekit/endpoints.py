"""Handlers become routes: what a handler's parameters are called and how they are annotated says where they come from.

    Request                    the request itself
    a name in the path         that part of it
    a pydantic model           the body, which is JSON
    Annotated[T, Noted(name)]  `request.state.name`, as `before` left it
    anything else              the query; of one that is given twice, the last

Starlette with those habits of FastAPI that the platform needs, which itself was a sixth of the daemon's start (0.3 s and 10 MB, measured).
What a request must look like is compiled when the first one arrives, for that route alone.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aiculturekit.errors import UsageError
from aiculturekit.language import detect, say, use

Before = Callable[[Request], Awaitable[None]]
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
Place = Literal["request", "path", "query", "body", "state"]
JSON = "application/json"
LANGUAGE_COOKIE = "aic_lang"


@dataclasses.dataclass(frozen=True, slots=True)
class Noted:
    """Marks a parameter that is not the caller's to give: the attribute of `request.state` of this name."""

    name: str


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a handler. `default` is `inspect.Parameter.empty` where it must be given."""

    name: str
    place: Place
    kind: Any
    default: Any

    @property
    def is_required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.kind)


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One method of one path. `before` lets a request pass, or raises, before anything else of it is looked at."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    status: int
    summary: str
    before: Before | None

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        listed = inspect.signature(self.handler, eval_str=True).parameters.values()
        return tuple(_parameter(each, self.path) for each in listed)

    async def answer(self, request: Request) -> Response:
        """What the handler answers, as JSON unless it is a response already. Raises UsageError for a request that does not fit it."""
        if self.before is not None:
            await self.before(request)
        answer = await self.handler(**await self._arguments(request))
        if isinstance(answer, Response):
            return answer
        return Response(to_json(answer, inf_nan_mode="null"), self.status, media_type=JSON)

    async def _arguments(self, request: Request) -> dict[str, Any]:
        found, wrong = dict[str, Any](), list[str]()
        for parameter in self.parameters:
            try:
                found[parameter.name] = await _read(parameter, request)
            except ValidationError as error:
                wrong += _complaints(parameter, error)
            except LookupError:
                wrong.append(f"{_where(parameter)}: {say('it is missing')}")
        if wrong:
            raise UsageError(say("the request is malformed: {wrong}", wrong="; ".join(wrong)))
        return found


class Endpoints:
    """A collection of them, under `prefix` and behind `before`. Its methods decorate handlers and leave them as they are."""

    def __init__(self, *, prefix: str = "", before: Before | None = None) -> None:
        self._prefix, self._before = prefix, before
        self._listed: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._listed)

    def get(self, path: str, *, summary: str = "") -> Callable[[Handler], Handler]:
        return self._add("GET", path, 200, summary)

    def post(self, path: str, *, status: int = 200, summary: str = "") -> Callable[[Handler], Handler]:
        return self._add("POST", path, status, summary)

    def delete(self, path: str, *, status: int = 200, summary: str = "") -> Callable[[Handler], Handler]:
        return self._add("DELETE", path, status, summary)

    def routes(self) -> list[Route]:
        return [Route(each.path, each.answer, methods=[each.method]) for each in self._listed]

    def _add(self, method: str, path: str, status: int, summary: str) -> Callable[[Handler], Handler]:
        def add(handler: Handler) -> Handler:
            self._listed.append(Endpoint(method, self._prefix + path, handler, status, summary, self._before))
            return handler

        return add


def speak_to(request: Request) -> None:
    """Answer in the language that was chosen in the console, else in the one that the caller asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    use(chosen or detect({"LANG": request.headers.get("accept-language", "")}))


def _parameter(given: inspect.Parameter, path: str) -> Parameter:
    kind = given.annotation
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    place: Place = "query"
    if kind is Request:
        place = "request"
    elif any(isinstance(mark, Noted) for mark in marks):
        place = "state"
    elif f"{{{given.name}}}" in path:
        place = "path"
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        place = "body"
    return Parameter(given.name, place, kind, given.default)


async def _read(parameter: Parameter, request: Request) -> Any:
    """Raises LookupError for one that must be given and is not, ValidationError for one that is wrong."""
    match parameter.place:
        case "request":
            return request
        case "state":
            mark = next(mark for mark in get_args(parameter.kind)[1:] if isinstance(mark, Noted))
            return getattr(request.state, mark.name)
        case "path":
            return parameter.adapter.validate_python(request.path_params[parameter.name])
        case "body":
            return parameter.adapter.validate_json(await _body(request))
        case "query" if parameter.name not in request.query_params and not parameter.is_required:
            return parameter.default
    return parameter.adapter.validate_python(request.query_params[parameter.name])


async def _body(request: Request) -> bytes:
    """Raises LookupError for none, and for one that does not say that it is JSON: what a form of another site sends without asking."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if not body or kind != JSON:
        raise LookupError(JSON)
    return body


def _complaints(parameter: Parameter, error: ValidationError) -> list[str]:
    return [f"{'.'.join([_where(parameter), *(str(part) for part in e['loc'])])}: {e['msg']}" for e in error.errors()]


def _where(parameter: Parameter) -> str:
    return "body" if parameter.place == "body" else f"{parameter.place}.{parameter.name}"
