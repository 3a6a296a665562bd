from __future__ import annotations

import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from aiculturekit.errors import NotFound, SpecError
from aiculturekit.spec import complaints, examples, explain, load, schema
from aiculturekit.spec.models import Application, File

ROOT = Path(__file__).parents[2]
FILE = ROOT / "aic.yaml"


def parsed(text: str | bytes, **rest: Any) -> Application:
    return load.parse(text, file=FILE, **rest)


def problems(text: str | bytes, **rest: Any) -> list[tuple[int, str, str, str]]:
    with pytest.raises(SpecError) as raised:
        parsed(text, **rest)
    return [(p.line, p.path, p.message, p.hint) for p in raised.value.problems]


def test_the_smallest_file_has_every_default() -> None:
    app = parsed('app: hello\nservices:\n  web: {run: "python app.py", public: /}\n')
    web = app.services["web"]
    assert (app.environment, app.target, web.public, web.grace, web.scale.min) == ("local", "local:", ("/",), 10.0, 1)
    assert [(name, v.weight, v.run, v.directory) for name, v in web.versions.items()] == [
        ("v1", 100.0, "python app.py", ROOT)
    ]


def test_the_reference_application_loads() -> None:
    app = load.load(ROOT / "examples" / "shop" / "aic.yaml")
    payment = app.services["payment-service"]
    assert {name: v.weight for name, v in payment.versions.items()} == {"v1": 90.0, "v2": 10.0}
    assert payment.versions["v2"].directory.name == "payment_v2"
    assert payment.versions["v2"].match is not None
    assert payment.versions["v2"].match.header["x-beta"].exact == "true"
    assert [str(ref) for ref in app.protect] == ["resources/orders-db"]


@pytest.mark.parametrize("section", examples.EXAMPLES)
def test_every_example_of_the_manual_loads_and_fits_the_schema(section: str) -> None:
    text = examples.EXAMPLES[section]
    parsed(text)
    jsonschema.validate(yaml.safe_load(text.replace(", on: ", ', "on": ')), schema.json_schema())


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(schema.json_schema())
    assert list(validator.iter_errors({"app": "x", "servces": {}}))
    assert list(validator.iter_errors({"services": {}}))
    assert list(validator.iter_errors({"app": "x", "services": {"web": {"rn": "x"}}}))
    assert not list(validator.iter_errors({"app": "x", "services": None}))


def test_every_mistake_is_reported_at_once_with_its_place_and_a_proposal() -> None:
    found = problems(
        "app: Shop\n"
        "servces: {}\n"
        "services:\n"
        "  web: {rn: x, public: shop, needs: [ordrs, 'ftp://x'], scale: 9..1, health: {htp: /}}\n"
        "  api: {run: y, traffic: {timeout: 5, retries: {atempts: 1}}}\n"
    )
    assert [(line, path) for line, path, _, _ in found] == [
        (2, "servces"),
        (4, "services.web.rn"),
        (4, "services.web.public.0"),
        (4, "services.web.needs.1"),
        (4, "services.web.scale"),
        (4, "services.web.health.htp"),
        (5, "services.api.traffic.timeout"),
        (5, "services.api.traffic.retries.atempts"),
    ]
    hints = {path: hint for _, path, _, hint in found}
    assert hints["servces"] == "did you mean services?"
    assert hints["services.web.health.htp"] == "did you mean http?"


def test_what_no_single_key_shows_is_found_too() -> None:
    found = {
        path: message
        for _, path, message, _ in problems(
            "app: shop\n"
            "services:\n"
            "  web: {run: x, public: /, needs: [ordrs, api, web], source: ../.., env: {A: '${resources.x.url}', C: '${foo'}}\n"
            "  api: {run: y, public: /, versions: {v1: {weight: 50%}, v2: {weight: 20%}}}\n"
            "  ingress: {run: z}\n"
            "  both: {run: a, image: b}\n"
            "  none: {}\n"
            "jobs:\n"
            "  api: {run: x}\n"
            "protect: [resources/db]\n"
        )
    }
    assert found.keys() == {
        "services.web.needs.0", "services.web.needs.2", "services.web.source", "services.web.env.A", "services.web.env.C",
        "services.api.public", "services.api.versions", "services.ingress", "services.both.image", "services.none", "jobs.api", "protect.0",
    }  # fmt: skip
    assert found["services.api.versions"] == "the weights add up to 70%, not 100%"


def test_two_needs_that_give_the_same_variable_are_an_error() -> None:
    found = problems(
        "app: a\nservices:\n  web: {run: x, needs: [users, resources/users]}\n  users: {run: y}\nresources: {users: {type: sqlite}}\n"
    )
    assert found[0][1:3] == ("services.web.needs", "users and users would both be given as USERS_URL")


def test_yaml_words_mean_what_a_reader_expects() -> None:
    app = parsed(
        "app: 'on'\nservices:\n  web:\n    run: x\n    env: {A: on, B: yes, C: 1:30, D: 2026-01-02, E: 08, F: true, G: 3}\n"
    )
    assert app.app == "on"
    assert app.services["web"].env == {
        "A": "on",
        "B": "yes",
        "C": "1:30",
        "D": "2026-01-02",
        "E": "08",
        "F": "true",
        "G": "3",
    }
    functions = "app: a\ntopics: {t: {}}\nfunctions:\n  f: {handler: a.b, runtime: python3.11, on: [topics/t]}\n"
    assert parsed(functions).functions["f"].on[0].topic == "t"


def test_an_environment_is_laid_over_and_errors_point_at_its_own_line() -> None:
    text = "app: a\nservices:\n  web: {run: x, scale: 1, env: {A: '1', B: '2'}}\nenvironments:\n  prod:\n    target: 'kubernetes://p'\n    services: {web: {scale: 3..20, env: {A: null, C: '3'}}}\n  bad:\n    services: {web: {scale: many}}\n"
    prod = parsed(text, environment="prod")
    web = prod.services["web"]
    assert (prod.target, web.scale.min, web.scale.max, dict(web.env)) == ("kubernetes://p", 3, 20, {"B": "2", "C": "3"})
    assert parsed(text).services["web"].scale.max == 1
    assert [(line, path) for line, path, _, _ in problems(text, environment="bad")] == [(9, "services.web.scale")]
    assert problems(text, environment="prd")[0][3] == "did you mean prod?"


def test_variables_of_the_shell_are_filled_in_or_missed() -> None:
    text = "app: a\nservices:\n  web: {run: x, env: {A: '${env.KEY}', B: '${env.NOT:-else}', C: '$${KEY}'}}\n"
    assert dict(parsed(text, variables={"KEY": "k"}).services["web"].env) == {"A": "k", "B": "else", "C": "$${KEY}"}
    assert problems(text, variables={})[0][1:3] == ("services.web.env.A", "KEY is not set in your environment")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"app: \xff\xfe", "not UTF-8"),
        (b"", "empty"),
        (b"# nothing\n", "empty"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"app: a\napp: b\n", "twice"),
        (b"app: [", "not YAML"),
        (b"app: !!python/object:os.system x", "tag"),
        (b"a: &x [1]\nb: *x\n", "anchors and aliases"),
        (b"app: " + b"[" * 5000, "nested"),
        (b"app: a\n" + b"x" * (10 << 20), "1 MB"),
        (b"app: a\x00b", "not YAML"),
        (b"{a: b}: c", "must be a word"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused_with_one_line_in_bounded_time(raw: bytes, words: str) -> None:
    started = time.monotonic()
    found = problems(raw)
    assert len(found) == 1
    assert words in found[0][2]
    assert time.monotonic() - started < 2


def test_a_billion_laughs_is_refused() -> None:
    lines = [
        "a: &a [x,x,x,x,x,x,x,x,x]",
        *(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(8)),
    ]
    assert "anchors" in problems("\n".join(lines))[0][2]


def test_files_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    for place in (tmp_path / "aic.yaml", tmp_path):
        with pytest.raises(SpecError) as raised:
            load.load(place)
        assert raised.value.problems[0].hint


def test_the_manual_of_a_key() -> None:
    manual = explain.explain("services.traffic")
    assert ("timeout", "Longest wait for a whole answer.") in manual.keys
    assert "retries: 2" in manual.example
    assert explain.explain("services.web.traffic.retries").keys[0][0] == "attempts"
    assert {"services", "environments"} <= {key for key, _ in explain.explain("").keys}
    with pytest.raises(NotFound) as raised:
        explain.explain("services.web.trafic")
    assert raised.value.hint == "did you mean traffic?"


def test_loading_is_fast() -> None:
    text = (ROOT / "examples" / "shop" / "aic.yaml").read_text()
    file = ROOT / "examples" / "shop" / "aic.yaml"
    load.parse(text, file=file)
    fastest = min(_seconds(text, file) for _ in range(5))
    assert fastest < 0.1  # a guard against something quadratic; the figure itself is in the benchmarks


def _seconds(text: str, file: Path) -> float:
    started = time.perf_counter()
    load.parse(text, file=file)
    return time.perf_counter() - started


WORDS = st.sampled_from(
    ["app", "services", "web", "run", "needs", "public", "/", "x", "scale", "1..3", "versions", "weight", "90%", "env", "${env.A}", "jobs",
     "schedule", "* * * * *", "resources", "type", "sqlite", "protect", "resources/db", "traffic", "timeout", "2s", "environments", "config",
     "functions", "on", "topics/a", "health", "target", "", "🙂", "\x85", "null", "~", "0x1", "{}", "[]"]
)  # fmt: skip
VALUES: Any = st.recursive(
    WORDS | st.integers() | st.booleans() | st.none() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=25,
)


def only_ours(text: str | bytes) -> None:
    """Whatever comes in: an Application, or problems that each have a line."""
    try:
        assert isinstance(parsed(text, variables={}), Application)
    except SpecError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.line >= 1 and problem.message
            json.dumps(problem.as_dict())


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_any_structure_gives_an_application_or_problems(value: Any) -> None:
    only_ours(json.dumps(value))
    only_ours(yaml.safe_dump({"app": "a", "services": {"web": value}}, allow_unicode=True))
    only_ours(yaml.safe_dump({"app": "a", "services": value, "jobs": value, "resources": value, "config": value}))
    only_ours(
        yaml.safe_dump(
            {"app": "a", "functions": {"f": value}, "topics": {"t": value}, "environments": {"local": value}}
        )
    )


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_gives_an_application_or_problems(text: str | bytes) -> None:
    only_ours(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 40), st.text(alphabet="{}[]:,&*!|>'\"%@`#-? \n\tab1", max_size=8))
def test_a_broken_copy_of_a_good_file_gives_an_application_or_problems(at: int, cut: int, put: str) -> None:
    text = (ROOT / "examples" / "shop" / "aic.yaml").read_text()
    at %= len(text)
    only_ours(text[:at] + put + text[at + cut :])


def test_an_unknown_key_does_not_hide_the_other_mistakes() -> None:
    text = "app: a\nservices:\n  web: {run: x, neds: [y], needs: [datbase]}\nresources:\n  database: {type: sqlite}\n"
    assert [(line, path) for line, path, _, _ in problems(text)] == [
        (3, "services.web.neds"),
        (3, "services.web.needs.0"),
    ]


def test_what_a_misspelled_key_leaves_missing_is_not_said_twice() -> None:
    assert [path for _, path, _, _ in problems("app: a\nservices:\n  web: {runn: x}\n")] == ["services.web.runn"]


TRAFFIC = """\
app: shop
services:
  web: {run: python web.py, public: /, needs: [{orders: read}, {pay: [GET /bills*, POST]}]}
  pay: {run: python pay.py}
  orders:
    run: python orders.py
    traffic:
      retries: {attempts: 2, budget: 20%}
      breaker: {consecutive: 5, over: 5s}
      limit: [100/s, {requests: 5, per: 1m, by: {header: X-Api-Key}}]
      balance: {cookie: user}
      sticky: session
      mirror: v2
      fault: {abort: 503, share: 10%, when: {header: {x-fault: "1"}}}
      headers: {request: {set: {x-from: shop}, remove: x-debug}}
      cors: https://shop.example
      max_body: 64Ki
      routes:
        - match: {path: /old}
          redirect: /new
        - match: {path: {regex: "/r/[0-9]+"}, method: GET, cookie: {lab: {present: true}}, query: {page: "1"}}
          rewrite: /rest
          version: v2
          limit: 10/m
    versions: {v1: {weight: 90%}, v2: {match: {path: /beta}}}
"""


def test_traffic_rules_have_short_and_long_forms(tmp_path: Path) -> None:
    app = load.parse(TRAFFIC, file=tmp_path / "aic.yaml")
    traffic = app.services["orders"].traffic
    assert traffic.breaker is not None and (traffic.breaker.errors, traffic.breaker.consecutive) == (None, 5)
    assert [(limit.requests, limit.per, limit.by) for limit in traffic.limit] == [
        (100, 1.0, "all"),
        (5, 60.0, "header x-api-key"),
    ]
    assert (traffic.balance.policy, traffic.balance.cookie) == ("hash", "user")
    assert traffic.cors is not None and traffic.cors.origins == ("https://shop.example",)
    assert traffic.headers.request.remove == ("x-debug",)
    first, second = traffic.routes
    assert first.redirect is not None and (first.redirect.to, first.redirect.status) == ("/new", 302)
    assert second.rewrite is not None and second.rewrite.path == "/rest"
    needs = {need.name: need.operations for need in app.services["web"].needs}
    assert needs["orders"] == (("GET", ""), ("HEAD", ""), ("OPTIONS", ""))
    assert needs["pay"] == (("GET", "/bills*"), ("POST", ""))


@pytest.mark.parametrize(
    ("old", "new", "path", "said"),
    [
        ("mirror: v2", "mirror: v3", "services.orders.traffic.mirror", "no version 'v3'"),
        ("version: v2", "version: v9", "services.orders.traffic.routes.1.version", "no version 'v9'"),
        ("{path: /beta}", '{path: {regex: ".*/b"}}', "services.orders.versions.v2.match", "cannot both hold"),
        ("100/s,", "100/day,", "services.orders.traffic.limit.0", "is not a rate"),
        ("max_body: 64Ki", "max_body: big", "services.orders.traffic.max_body", "is not a size"),
        ("budget: 20%", "on: everything", "services.orders.traffic.retries.on", "to try again"),
        ("redirect: /new", "redirect: new", "services.orders.traffic.routes.0.redirect", "right form"),
        ("x-from: shop", "x-aic-door: shop", "services.orders.traffic.headers.request", "platform's own"),
        ("x-from: shop", "Host: shop", "services.orders.traffic.headers.request", "belongs to the connection"),
        ("{path: /beta}", "{claim: {role: beta}}", "services.orders.versions.v2.match", "access.jwt"),
        ("[GET /bills*, POST]", "[pays]", "services.web.needs.1", "METHOD /path"),
    ],
)
def test_what_traffic_rules_get_wrong_is_said_with_its_place(
    tmp_path: Path, old: str, new: str, path: str, said: str
) -> None:
    assert old in TRAFFIC
    with pytest.raises(SpecError) as caught:
        load.parse(TRAFFIC.replace(old, new), file=tmp_path / "aic.yaml")
    found = [problem for problem in caught.value.problems if problem.path.startswith(path)]
    assert found and said in found[0].message + found[0].hint, caught.value.problems
    assert found[0].line > 1


def test_a_key_set_must_be_there_and_be_one(tmp_path: Path) -> None:
    text = "app: a\nservices:\n  web:\n    run: x\n    public: /\n    access: {jwt: {issuer: me, jwks: keys.json}}\n"
    with pytest.raises(SpecError, match="no file"):
        load.parse(text, file=tmp_path / "aic.yaml")
    (tmp_path / "keys.json").write_text("{}")
    with pytest.raises(SpecError, match="key set"):
        load.parse(text, file=tmp_path / "aic.yaml")
    (tmp_path / "keys.json").write_text('{"keys": [{"kty": "EC"}]}')
    load.parse(text, file=tmp_path / "aic.yaml")


@pytest.mark.parametrize(
    ("key", "value"), [("jwt", "{issuer: me, jwks: keys.json}"), ("check", "http://127.0.0.1:9000")]
)
def test_what_is_asked_of_requests_from_outside_needs_a_public_path(tmp_path: Path, key: str, value: str) -> None:
    """The ingress asks it: without a public path it would silently do nothing."""
    (tmp_path / "keys.json").write_text('{"keys": [{"kty": "EC"}]}')
    text = f"app: a\nservices:\n  web:\n    run: x\n    access:\n      {key}: {value}\n"
    with pytest.raises(SpecError) as caught:
        load.parse(text, file=tmp_path / "aic.yaml")
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == (f"services.web.access.{key}", 6)
    assert "nothing of this service is public" in problem.message and "declare public:" in problem.hint
    load.parse(text + "    public: /\n", file=tmp_path / "aic.yaml")


def test_every_key_is_described_in_chinese_too() -> None:
    catalogue = json.loads((files("aiculturekit.language") / "zh" / "manual.json").read_text("utf-8"))
    seen: set[type[BaseModel]] = set()

    def missing(model: type[BaseModel]) -> list[str]:
        seen.add(model)
        found = [
            f"{model.__name__}.{n}" for n, f in model.model_fields.items() if f.description not in (None, *catalogue)
        ]
        inner = {complaints.model_in(field.annotation) for field in model.model_fields.values()} - {None}
        return found + [name for one in inner if one not in seen and one is not None for name in missing(one)]

    assert missing(File) == []


SPREAD = "app: a\nservices:\n  web:\n    run: x\n    scale: {scale}\n    traffic: {{zones: {zones}}}\n"


def test_places_are_a_region_or_a_zone_within_one() -> None:
    app = parsed(SPREAD.format(scale="2..4", zones="[eu-west/a, eu-west/b, us-east]"))
    assert app.services["web"].traffic.zones == ("eu-west/a", "eu-west/b", "us-east")
    assert parsed(SPREAD.format(scale=1, zones="eu-west")).services["web"].traffic.zones == ("eu-west",)


@pytest.mark.parametrize(
    ("zones", "word"),
    [
        ("[eu-west/a/rack]", "is not a place"),
        ("['*']", "is not a place"),
        ("[/a]", "is not a place"),
        ("[a, b, a]", "twice"),
        ("[eu-west/a, eu-west]", "overlap"),
        ("[a, b, c, d, e, f, g, h, i]", "8"),
        ("[a, b, c]", "3 places, but at most 2 replicas"),
    ],
)
def test_places_that_mean_nothing_are_refused_with_their_line(zones: str, word: str) -> None:
    [(line, path, message, _)] = problems(SPREAD.format(scale=2, zones=zones))
    assert line == 6 and path.startswith("services.web.traffic.zones") and word in message


def test_a_tcp_service_may_name_places_too() -> None:
    text = SPREAD.format(scale=2, zones="[a, b]").replace("    run: x\n", "    run: x\n    protocol: tcp\n")
    assert parsed(text).services["web"].traffic.zones == ("a", "b")
