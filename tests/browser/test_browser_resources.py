"""The pages about resources, in a real Chromium, with a real PostgreSQL, a cache and a mail catcher behind them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.products import Product, application, product
from tests.browser import pages
from tests.browser.pages import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
pages.need()
TEXT = f"""
app: library
services:
  web: {{run: "{sys.executable} -m http.server --bind 127.0.0.1 $PORT", public: /, needs: [resources/books-db, resources/cache, resources/post, resources/notes]}}
resources:
  books-db: {{type: postgres}}
  cache: {{type: redis}}
  post: {{type: smtp}}
  notes: {{type: volume}}
"""
SENT = """
import os, smtplib
from urllib.parse import unquote, urlsplit
place = urlsplit(os.environ["POST_URL"])
with smtplib.SMTP(place.hostname, place.port) as post:
    post.login(place.username, unquote(place.password))
    for number in (1, 2):
        post.sendmail("a@example.org", ["b@example.org"], f"Subject: letter {number}\\r\\n\\r\\n<b>bold {number}</b>\\r\\n")
"""
PAGES = ("", "/books-db", "/cache", "/post", "/notes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product() as product_:
        product_.aic("up", "-d", str(application(tmp_path_factory.mktemp("library"), TEXT)))
        product_.aic("exec", "web", "--", sys.executable, "-c", SENT)
        yield product_


@pytest.fixture
def page(made: Product) -> Iterator[Any]:
    with pages.launched() as browser, pages.opened(browser, made, hears_refusals=False) as one:
        one.base += "/apps/library/resources"
        yield one


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_renders_and_fits_a_small_screen(page: Any, language: str) -> None:
    page.goto(page.base.replace("/apps/library/resources", f"/language/{language}"))
    page.set_viewport_size({"width": 360, "height": 800})
    for path in PAGES:
        page.goto(page.base + path)
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    assert page.troubles == []


def test_a_node_of_the_topology_leads_to_its_resource(page: Any) -> None:
    page.goto(page.base.removesuffix("/resources"))
    page.locator("#graph a[href$='/resources/books-db']").click()
    until(page, "location.pathname.endsWith('/resources/books-db')")


def test_a_question_is_answered_and_what_would_write_is_refused(page: Any) -> None:
    page.goto(f"{page.base}/books-db")
    page.fill("#statement", "SELECT '<img src=x>' AS word, 41 + 1 AS number")
    page.click("form.ask button.go")
    until(page, "document.querySelectorAll('.result td').length === 2")
    assert page.locator(".result td").all_inner_texts() == ["<img src=x>", "42"]
    page.fill("#statement", "CREATE TABLE t (x int)")
    page.click("form.ask button.go")
    until(page, "document.querySelector('form.ask .error').textContent.includes('read-only')")
    assert page.locator(".result td").count() == 0


def test_mail_is_found_and_opened_as_text(page: Any) -> None:
    page.goto(f"{page.base}/post")
    assert page.locator("#mails tbody tr").count() == 2
    page.fill("#mails input[type=search]", "letter 2")
    page.click("#mails form button")
    until(page, "document.querySelectorAll('#mails tbody tr').length === 1")
    page.click("#mails tbody button")
    until(page, "document.querySelector('#mails pre').textContent.includes('<b>bold 2</b>')")
    assert page.troubles == []
