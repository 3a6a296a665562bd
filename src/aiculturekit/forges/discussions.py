"""A plan as one comment of a merge request, written anew each time: which requests to a forge's API do it. Pure.

GitHub   https://docs.github.com/rest/issues/comments
GitLab   https://docs.gitlab.com/api/notes/
Gitee    https://gitee.com/api/v5/swagger, 获取某个Pull Request的所有评论
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

MAX = 60_000
"""Characters of a comment; GitHub takes 65,536."""


@dataclasses.dataclass(frozen=True, slots=True)
class Discussion:
    """A merge request: `api` is the address of the forge's API, `repository` OWNER/NAME or what the forge takes in its place."""

    forge: str
    api: str
    repository: str
    number: str
    token: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    method: str
    url: str
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    body: Mapping[str, Any] | None = None


def found(variables: Mapping[str, str]) -> Discussion | None:
    """The merge request that this run is for, by what the forges (and Jenkins, which serves all of them) put into the environment.
    AIC_FORGE_TOKEN is a token that may write comments, AIC_FORGE_API the address of an API that stands elsewhere."""
    place = _found(variables, token=variables.get("AIC_FORGE_TOKEN", ""))
    api = variables.get("AIC_FORGE_API", "")
    return dataclasses.replace(place, api=api) if place and api else place


def _found(variables: Mapping[str, str], *, token: str) -> Discussion | None:
    if variables.get("GITHUB_ACTIONS") == "true":
        number = re.fullmatch(r"refs/pull/(\d+)/.*", variables.get("GITHUB_REF", ""))
        api = variables.get("GITHUB_API_URL", "https://api.github.com")
        repository, own = variables.get("GITHUB_REPOSITORY", ""), variables.get("GITHUB_TOKEN", "")
        return Discussion("github", api, repository, number[1], token or own) if number else None
    if variables.get("GITLAB_CI") == "true":
        number_, api = variables.get("CI_MERGE_REQUEST_IID", ""), variables.get("CI_API_V4_URL", "")
        return Discussion("gitlab", api, variables.get("CI_PROJECT_ID", ""), number_, token) if number_ else None
    if variables.get("GITEE_PULL_ID"):
        repository = variables.get("AIC_REPOSITORY", "")
        return Discussion("gitee", "https://gitee.com/api/v5", repository, variables["GITEE_PULL_ID"], token)
    return _of_address(variables.get("CHANGE_URL", ""), token=token)


def _of_address(url: str, *, token: str) -> Discussion | None:
    """Jenkins' CHANGE_URL: the merge request's page."""
    place = urlsplit(url)
    origin = f"{place.scheme}://{place.netloc}"
    if merge := re.fullmatch(r"/(.+)/-/merge_requests/(\d+)/?", place.path):
        return Discussion("gitlab", f"{origin}/api/v4", quote(merge[1], safe=""), merge[2], token)
    if pulls := re.fullmatch(r"/([^/]+/[^/]+)/pulls/(\d+)/?", place.path):
        return Discussion("gitee", f"{origin}/api/v5", pulls[1], pulls[2], token)
    if pull := re.fullmatch(r"/([^/]+/[^/]+)/pull/(\d+)/?", place.path):
        api = "https://api.github.com" if place.netloc == "github.com" else f"{origin}/api/v3"
        return Discussion("github", api, pull[1], pull[2], token)
    return None


def mark(app: str) -> str:
    """By which our comment is found again; no reader sees it."""
    return f"<!-- aic plan {app} -->"


def body(app: str, plans: Sequence[tuple[str, str]]) -> str:
    """The comment: each environment's plan as it was printed. What is too long for a comment is cut, and says so."""
    room = max(1000, MAX // max(1, len(plans)))
    parts = [mark(app), f"### aic plan: {app}"]
    for name, plan in plans:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", plan)), default=0))
        parts += [f"**{name}**", f"{fence}text\n{_cut(plan.strip(), room)}\n{fence}"]
    return "\n\n".join(parts) + "\n"


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return f"{text[:room].rpartition(chr(10))[0]}\n… {len(text)} characters in all; the run's log has them"


def listing(place: Discussion, *, page: int) -> Ask:
    """A hundred comments."""
    return Ask("GET", f"{_comments(place)}?per_page=100&page={page}", _headers(place))


def ours(place: Discussion, listed: Sequence[Mapping[str, Any]], *, app: str) -> str | None:
    """The number of our comment among those listed."""
    return next((str(one["id"]) for one in listed if mark(app) in str(one.get("body") or "")), None)


def writing(place: Discussion, text: str, *, number: str | None) -> Ask:
    """Over the comment of that number; a new one where it is None."""
    if number is None:
        return Ask("POST", _comments(place), _headers(place), {"body": text})
    method = "PUT" if place.forge == "gitlab" else "PATCH"
    return Ask(method, _comment(place, number), _headers(place), {"body": text})


def _comments(place: Discussion) -> str:
    match place.forge:
        case "github":
            return f"{place.api}/repos/{place.repository}/issues/{place.number}/comments"
        case "gitlab":
            return f"{place.api}/projects/{place.repository}/merge_requests/{place.number}/notes"
        case _:
            return f"{place.api}/repos/{place.repository}/pulls/{place.number}/comments"


def _comment(place: Discussion, number: str) -> str:
    match place.forge:
        case "github":
            return f"{place.api}/repos/{place.repository}/issues/comments/{number}"
        case "gitlab":
            return f"{_comments(place)}/{number}"
        case _:
            return f"{place.api}/repos/{place.repository}/pulls/comments/{number}"


def _headers(place: Discussion) -> dict[str, str]:
    name, value = (
        ("PRIVATE-TOKEN", place.token) if place.forge == "gitlab" else ("Authorization", f"Bearer {place.token}")
    )
    return {name: value, "Content-Type": "application/json", "Accept": "application/json", "User-Agent": "aic"}
