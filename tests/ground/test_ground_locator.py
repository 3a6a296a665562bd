"""URLs: what is parsed renders to an equal value, and no secret is ever shown."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.errors import LocatorError
from aiculturekit.locator import Locator

URLS = (
    "sqlite:///rel.db",
    "sqlite:////abs/x.db",
    "postgresql://u:p%40ss@h:5432/db?timeout=3",
    "kafka://a:9092,b:9092/topic",
    "nats://n1:4222,n2:4222",
    "amqp://u:p%23w@h/vh",
    "pkcs11:token=t;object=k?pin-value=1234",
    "nacos://h:8848/ns?group=DEFAULT",
    "nats://s3cr3t@n1:4222",
    "redis://:p%40ss@h",
    "otlp://[::1]:4317",
    "memory://",
    "kubernetes://ctx/ns",
    "kubernetes://arn%3Aaws%3Aeks%2Fone/ns",
    "local:",
    "sqlite:////home/a%20b/%FF.db",
)
SECRET = "hunter2secret"
BAD = (
    f"post_gres://u:{SECRET}@h",
    f"pg://u:1/{SECRET}@h/db",
    f"pg://u:se@{SECRET}@h/db",
    f"pg://u:1?{SECRET}@h",
    f"pg://u:1?x={SECRET}@h",
    f"pg://u:x/{SECRET}@h/db",
    f"pg://u:{SECRET}?@h",
    f"u:{SECRET}@h",
    SECRET,
    f"pg://h:99999/{SECRET}",
    f"pg://[{SECRET}]/db",
    f"pg://h/db?{SECRET}",
    f"pg://h/db?a={SECRET}&a=1",
    f"pg://h/{SECRET}\n",
    "",
)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hosts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["[::1]", "a,b", "x:y"]
)
ports = st.none() | st.integers(0, 65535)


@st.composite
def locators(draw: st.DrawFn) -> Locator:
    scheme = draw(st.from_regex(r"\A[a-z][a-z0-9+.-]{0,8}\Z"))
    options = draw(st.dictionaries(words, words, max_size=3))
    if draw(st.booleans()):
        return Locator(scheme, path=draw(words), options=options, opaque=True)
    username = draw(st.none() | words)
    return Locator(
        scheme,
        hosts=tuple(draw(st.lists(st.tuples(hosts, ports), max_size=3))),
        path=draw(st.just("") | words.map(lambda text: f"/{text}")),
        options=options,
        username=username,
        password=None if username is None else draw(st.none() | words),
    )


@pytest.mark.parametrize("url", URLS)
def test_a_url_reveals_itself_again(url: str) -> None:
    assert Locator.parse(url).reveal() == url


@given(locators())
def test_a_locator_survives_being_rendered_and_parsed(locator: Locator) -> None:
    assert Locator.parse(locator.reveal()) == locator


@given(st.text(max_size=60))
def test_any_text_is_parsed_to_a_stable_value_or_refused(text: str) -> None:
    try:
        locator = Locator.parse(text)
    except LocatorError:
        return
    assert Locator.parse(locator.reveal()) == locator


@given(locators(), st.sampled_from([SECRET, "p@:/?#s", "пароль"]))
def test_no_secret_is_printed(locator: Locator, secret: str) -> None:
    masked = dataclasses.replace(
        locator, opaque=False, path="/p", hosts=(("h", 1),), username=secret, password=secret, options={"pin": secret}
    )
    shown = f"{masked} {masked!r}"
    assert Locator.parse(masked.reveal()) == masked
    assert secret not in shown
    assert str(masked) == f"{masked.scheme}://***@h:1/p?pin=***"


@pytest.mark.parametrize("text", BAD)
def test_a_bad_url_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(LocatorError) as caught:
        Locator.parse(text)
    error = caught.value
    assert error.hint or "option" in error.message
    assert SECRET not in f"{error} {error!r} {error.as_dict()} {error.__cause__!r}"


def test_parts_are_decoded() -> None:
    locator = Locator.parse("PostgreSQL://us%40er:p%2Fw@[::1]:5432,b/d%20b?ssl=on&x=a%26b")
    assert locator == Locator(
        "postgresql",
        (("[::1]", 5432), ("b", None)),
        "/d b",
        {"ssl": "on", "x": "a&b"},
        username="us@er",
        password="p/w",
    )
    assert hash(locator) == hash(Locator.parse(locator.reveal()))


@dataclasses.dataclass(frozen=True)
class Pool:
    timeout: int = 5
    ratio: float | None = None
    tls: bool = False
    name: str = ""


def test_options_become_the_backends_own_shape() -> None:
    assert Locator.parse("pg://h?timeout=3&ratio=0.5&tls=true&name=x").options_as(Pool) == Pool(3, 0.5, True, "x")
    assert Locator.parse("pg://h").options_as(Pool) == Pool()


def test_options_of_classes_whose_annotations_are_types() -> None:
    shape = dataclasses.make_dataclass("shape", [("timeout", int), ("name", str | None, None)])
    assert Locator.parse("pg://h?timeout=3&name=n").options_as(shape) == shape(3, "n")


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LocatorError, match="tiemout") as caught:
        Locator.parse(f"pg://h?tiemout={SECRET}").options_as(Pool)
    assert "timeout" in caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("option", ["timeout", "ratio", "tls"])
def test_an_option_of_the_wrong_kind_is_refused_without_its_value(option: str) -> None:
    with pytest.raises(LocatorError, match=option) as caught:
        Locator.parse(f"pg://h?{option}={SECRET}").options_as(Pool)
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)
