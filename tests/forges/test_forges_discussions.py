"""One comment for a merge request, on each forge, over HTTP: the first time it is made, then it is written over."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aiculturekit.cli import comments
from aiculturekit.errors import Mistake, Unreachable
from aiculturekit.forges import discussions

RUNS = {
    "github": {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_TOKEN": "t"},
    "gitlab": {"GITLAB_CI": "true", "CI_PROJECT_ID": "42", "CI_MERGE_REQUEST_IID": "7", "AIC_FORGE_TOKEN": "t"},
    "gitee": {"GITEE_PULL_ID": "7", "AIC_REPOSITORY": "acme/shop", "AIC_FORGE_TOKEN": "t"},
    "jenkins": {"CHANGE_URL": "https://gitlab.example/acme/team/shop/-/merge_requests/7", "AIC_FORGE_TOKEN": "t"},
}  # fmt: skip
PLACES = {
    "github": ("/repos/acme/shop/issues/7/comments", "PATCH /repos/acme/shop/issues/comments/{0}"),
    "gitlab": ("/projects/42/merge_requests/7/notes", "PUT /projects/42/merge_requests/7/notes/{0}"),
    "gitee": ("/repos/acme/shop/pulls/7/comments", "PATCH /repos/acme/shop/pulls/comments/{0}"),
    "jenkins": (
        "/projects/acme%2Fteam%2Fshop/merge_requests/7/notes",
        "PUT /projects/acme%2Fteam%2Fshop/merge_requests/7/notes/{0}",
    ),
}


class Server(http.server.BaseHTTPRequestHandler):
    """As the forges answer: a hundred comments a page, one by its number."""

    told: list[dict[str, Any]]
    asked: list[str]
    status = 200

    def _answer(self) -> None:
        self.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
        if self.command == "POST":
            self.told.append({"id": len(self.told) + 1, **body})
        elif self.command != "GET":
            self.told[int(self.path.rpartition("/")[2]) - 1] |= body
        page = int(self.path.rpartition("page=")[2] or 1) if self.command == "GET" else 1
        text = json.dumps(self.told[(page - 1) * 100 : page * 100] if self.command == "GET" else self.told[-1]).encode()
        self.send_response(self.status if self.headers.get("Authorization", "Bearer t") == "Bearer t" else 401)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_PUT = _answer

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    own = type("Own", (Server,), {"told": [{"id": at + 1, "body": f"comment {at}"} for at in range(130)], "asked": []})
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), own)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield own, f"http://127.0.0.1:{listening.server_address[1]}"
    listening.shutdown()
    listening.server_close()


@pytest.mark.parametrize("run", RUNS)
def test_the_comment_is_made_once_and_then_written_over(run: str, server: tuple[type[Server], str]) -> None:
    own, api = server
    given = {**RUNS[run], "AIC_FORGE_API": api}
    for plan in ("+ workload web/v1", "nothing would change"):
        comments.said("shop", [("staging", plan)], variables=given)
    place, over = PLACES[run]
    assert own.asked == [
        f"GET {place}",
        f"GET {place}",
        f"POST {place}",
        f"GET {place}",
        f"GET {place}",
        over.format(131),
    ]
    assert (
        len(own.told) == 131
        and "nothing would change" in own.told[-1]["body"]
        and "workload" not in own.told[-1]["body"]
    )


def test_what_a_plan_says_stays_in_its_fence_and_is_never_too_long() -> None:
    body = discussions.body("shop", [("a", "```\n# not a heading\n"), ("b", "x" * 10 + "\n" + "long line\n" * 20_000)])
    assert body.startswith(discussions.mark("shop")) and "````text\n```\n# not a heading\n````" in body
    assert len(body) < 65_536 and "200" in body


def test_outside_of_a_merge_request_without_a_token_or_an_answer(server: tuple[type[Server], str]) -> None:
    own, api = server
    with pytest.raises(Mistake, match="no run for a merge request"):
        comments.said("shop", [("a", "")], variables={"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/main"})
    with pytest.raises(Mistake, match="no token"):
        comments.said("shop", [("a", "")], variables={**RUNS["gitlab"], "AIC_FORGE_TOKEN": ""})
    with pytest.raises(Unreachable):
        comments.said("shop", [("a", "")], variables={**RUNS["gitlab"], "AIC_FORGE_API": "http://127.0.0.1:9"})
    own.status = 403
    with pytest.raises(Mistake, match="403") as refused:
        comments.said("shop", [("a", "")], variables={**RUNS["gitlab"], "AIC_FORGE_API": api})
    assert "may the token" in str(refused.value)


def test_an_address_says_which_forge_it_is() -> None:
    wanted = {
        "https://github.com/acme/shop/pull/5": ("github", "https://api.github.com"),
        "https://git.example/acme/shop/pull/5": ("github", "https://git.example/api/v3"),
        "https://gitee.com/acme/shop/pulls/5": ("gitee", "https://gitee.com/api/v5"),
    }
    for url, (forge, api) in wanted.items():
        found = discussions.found({"CHANGE_URL": url, "AIC_FORGE_TOKEN": "hush"})
        assert found and (found.forge, found.api, found.number) == (forge, api, "5") and "hush" not in repr(found)
    assert discussions.found({"CHANGE_URL": "https://example.com/x"}) is None and discussions.found({}) is None
