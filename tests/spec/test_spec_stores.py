"""What belongs to which type of resource is found while the file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.errors import SpecError
from aiculturekit.resources import kinds
from aiculturekit.spec import faults, load, stores

FILE = Path(__file__).parents[2] / "aic.yaml"
PASSWORD = "quite-a-secret"


def problems(resource: str, env: str = "", **variables: str) -> list[tuple[int, str, str, str]]:
    text = f'app: a\nservices:\n  web: {{run: "x", needs: [resources/thing], env: {{{env}}}}}\nresources:\n  thing: {resource}\n'
    with pytest.raises(SpecError) as raised:
        load.parse(text, file=FILE, variables=variables)
    return [(p.line, p.path, p.message, p.hint) for p in raised.value.problems]


@pytest.mark.parametrize(
    ("resource", "path", "message"),
    [
        ("{type: redis, buckets: [a-b]}", "resources.thing.buckets", "redis has no `buckets:`"),
        ("{type: s3, databases: [a]}", "resources.thing.databases", "s3 has no `databases:`"),
        ("{type: nats, extensions: [vector]}", "resources.thing.extensions", "nats has no `extensions:`"),
        ('{type: redis, run: "x"}', "resources.thing.run", "redis has no `run:`"),
        ('{type: sqlite, url: "redis://h"}', "resources.thing.url", "sqlite has no `url:`"),
        ("{type: volume, version: 3}", "resources.thing.version", "volume has no `version:`"),
        ("{type: custom}", "resources.thing", "nothing says what to run"),
        ("{type: s3, buckets: [UPPER]}", "resources.thing.buckets.0", "'UPPER' is not a name"),
        ("{type: s3, buckets: [a-b, a-b]}", "resources.thing.buckets.1", "a-b is listed twice"),
        ('{type: redis, url: "nats://h"}', "resources.thing.url", "redis is not reached by nats:"),
        ('{type: redis, url: "redis:///0"}', "resources.thing.url", "the URL names no host"),
        ('{type: redis, url: "secret:vault/x"}', "resources.thing.url", "this is no secret that can be read"),
        ('{type: redis, url: "secret:env/UNSET"}', "resources.thing.url", "UNSET is not set in your environment"),
        ('{type: redis, url: "secret:env/WRONG"}', "resources.thing.url", "redis is not reached by mysql:"),
        (
            "{type: redis, traffic: {fault: {abort: 503}}}",
            "resources.thing.traffic.fault.abort",
            "a connection has no status",
        ),
        (
            "{type: s3, traffic: {fault: {abort: true}}}",
            "resources.thing.traffic.fault.abort",
            "a request is answered with a status",
        ),
        (
            "{type: redis, traffic: {fault: {abort: true, when: {method: GET}}}}",
            "resources.thing.traffic.fault.when",
            "the mesh sees connections here, not requests",
        ),
        (
            "{type: redis, traffic: {fault: {abort: true, callers: [wbe]}}}",
            "resources.thing.traffic.fault.callers.0",
            "'wbe' does not call it",
        ),
        ("{type: sqlite, traffic: {}}", "resources.thing.traffic", "no rule of the mesh holds on the way to it"),
        (
            '{type: redis, url: "redis://h", traffic: {}}',
            "resources.thing.traffic",
            "no rule of the mesh holds on the way to it",
        ),
        ("{type: redis, traffic: {fault: {}}}", "resources.thing.traffic.fault", "says nothing"),
        ('{type: custom, run: x, outputs: {a: "${b}"}}', "resources.thing.outputs.a", "${b} refers to nothing"),
    ],
)
def test_what_a_type_does_not_have_is_said_at_its_place(resource: str, path: str, message: str) -> None:
    (found,) = problems(resource, WRONG=f"mysql://u:{PASSWORD}@h/db")
    assert found[:3] == (5, path, message)
    assert PASSWORD not in str(found)


def test_a_url_that_is_refused_is_not_repeated() -> None:
    (found,) = problems(f'{{type: redis, url: "mysql://u:{PASSWORD}@h"}}')
    assert PASSWORD not in str(found)


def test_an_output_is_one_of_its_type_or_a_declared_one() -> None:
    (found,) = problems("{type: s3}", 'A: "${resources.thing.password}"')
    assert found[1:] == (
        "services.web.env.A",
        "resources/thing has no output 'password'",
        "it has url, endpoint, key, secret, bucket, region",
    )
    text = 'app: a\nservices:\n  web: {run: x, needs: [resources/t], env: {A: "${resources.t.realm}"}}\n'
    application = load.parse(
        text + 'resources:\n  t: {type: custom, run: x, outputs: {realm: "at ${host}"}}\n', file=FILE
    )
    assert stores.outputs(application.resources["t"]) == ("url", "host", "port", "realm")


def test_a_secret_is_the_variable_of_who_runs_the_command() -> None:
    text = 'app: a\nservices:\n  web: {run: x}\nresources:\n  t: {type: redis, url: "secret:env/CACHE"}\n'
    found = load.parse(text, file=FILE, variables={"CACHE": f"redis://u:{PASSWORD}@h:1/0"})
    assert found.resources["t"].url == f"redis://u:{PASSWORD}@h:1/0"
    assert load.parse(text, file=FILE).resources["t"].url == "secret:env/CACHE", "checked on another machine"


def test_the_file_and_the_servers_know_the_same_urls() -> None:
    assert {name: kind.schemes for name, kind in kinds.KINDS.items() if kind.schemes} == stores.SCHEMES


def test_a_url_may_be_kept_in_a_file_beside(tmp_path: Path) -> None:
    text = 'app: a\nservices:\n  web: {run: x}\nresources:\n  t: {type: redis, url: "secret:file/cache.url"}\n'
    with pytest.raises(SpecError, match=r"there is no file cache\.url that can be read"):
        load.parse(text, file=tmp_path / "aic.yaml", variables={})
    (tmp_path / "cache.url").write_text("redis://cache.example:6379/0\n")
    found = load.parse(text, file=tmp_path / "aic.yaml", variables={})
    assert found.resources["t"].url == "redis://cache.example:6379/0"


def test_a_variable_is_not_given_the_reference_itself() -> None:
    text = 'app: a\nservices:\n  web: {run: x, env: {TOKEN: "secret:vault/x"}}\n'
    with pytest.raises(SpecError, match="this is no secret that can be read"):
        load.parse(text, file=FILE)


def test_what_is_asked_over_http_is_what_the_servers_speak() -> None:
    spoken = {name for name, kind in kinds.KINDS.items() if kind.protocol == "http"}
    assert spoken == set(faults._REQUESTS)
