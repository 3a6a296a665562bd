from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from aiculturekit.errors import NotFound, SpecError
from aiculturekit.spec import examples, explain, load, schema
from aiculturekit.spec.models import Application

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
    assert payment.versions["v2"].match is not None and payment.versions["v2"].match.header == {"x-beta": "true"}
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
