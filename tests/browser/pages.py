"""Debian's Chromium, and pages of a console in it that are logged in."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.products import Product

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def need() -> None:
    """For a module: without a browser a user skips it; where everything must hold, the first launch fails."""
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("needs Chromium (on Debian: apt-get install chromium)", allow_module_level=True)


@contextmanager
def launched() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, made: Product, *, hears_refusals: bool = True) -> Iterator[Any]:
    """A page that is logged in to the console at `page.base`; what goes wrong on it is collected in `page.troubles`. Requests that are
    refused are a part of that, unless a test asks for them."""
    own = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    page = own.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    if hears_refusals:
        page.on("console", lambda one: one.type == "error" and page.troubles.append(one.text))
        page.on("response", lambda one: one.status >= 400 and page.troubles.append(f"{one.status} {one.url}"))
    link = json.loads(made.aic("open", "--json"))["url"]
    page.goto(link)
    page.base = link.partition("/login")[0]
    yield page
    own.close()


def until(page: Any, expression: str, *, seconds: float = 20) -> None:
    """Wait for an expression to hold; Playwright's own wait needs `eval`, which the pages' policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(100)
