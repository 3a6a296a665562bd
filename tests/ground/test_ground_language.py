"""Two languages, one text each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.resources import files

import pytest

from aiculturekit import language, threads
from aiculturekit.errors import LocatorError
from aiculturekit.locator import Locator


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    yield
    language.use("en")


def test_the_ground_speaks_chinese() -> None:
    language.use("zh")
    with pytest.raises(LocatorError, match="不是后端 URL") as caught:
        Locator.parse("nothing")
    assert "写法是" in caught.value.hint


def test_what_has_no_translation_is_said_in_english() -> None:
    language.use("zh")
    assert language.say("never translated {x}", x=1) == "never translated 1"


def test_braces_of_values_are_left_alone() -> None:
    assert language.say("known: {known}", known="{x}") == "known: {x}"
    assert language.say("{literal}") == "{literal}"


def test_an_unknown_language_is_english() -> None:
    language.use("zh")
    language.use("xx")
    assert language.current() == "en"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_ALL": "C", "LANG": "zh_CN"}, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "de_DE"}, "zh"),
        ({"AIC_LANG": "en", "LC_ALL": "zh_CN"}, "en"),
        ({"AIC_LANG": "", "LANG": "zh"}, "zh"),
    ],
)
def test_the_language_is_found_in_posix_order(environ: dict[str, str], found: str) -> None:
    assert language.detect(environ) == found


async def test_each_task_speaks_its_own_and_takes_it_to_other_threads() -> None:
    async def speak(name: str) -> str:
        language.use(name)
        await asyncio.sleep(0)
        return await threads.run(language.say, "it is read-only")

    assert await asyncio.gather(speak("zh"), speak("en")) == ["它是只读的", "it is read-only"]


def test_the_ground_catalogue_is_sorted_and_complete_sentences_differ() -> None:
    catalogue = json.loads(files(language).joinpath("zh/ground.json").read_text("utf-8"))
    assert list(catalogue) == sorted(catalogue)
    assert [english for english, chinese in catalogue.items() if english == chinese or not chinese.strip()] == []
