"""The console of the real product in a real Chromium: every page, its actions, its live figures, both languages, a small screen."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.loads import Load
from benchmarks.products import SHOP, Product, product
from tests.browser import pages
from tests.browser.pages import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
pages.need()

PAGES = (
    "/apps/shop", "/apps/shop/traffic", "/apps/shop/logs", "/apps/shop/releases", "/apps/shop/releases/1", "/apps/shop/workloads/api-gateway",
    "/apps/shop/workloads/payment-service", "/platform",
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Iterator[Product]:
    with product() as product_:
        product_.aic("up", "-d", str(SHOP))
        yield product_


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pages.launched() as one:
        yield one


@pytest.fixture
def page(made: Product, browser: Any) -> Iterator[Any]:
    with pages.opened(browser, made) as one:
        yield one


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_renders_without_an_error(page: Any, path: str, language: str) -> None:
    page.goto(f"{page.base}/language/{language}?back={path}")
    page.wait_for_timeout(300)
    assert page.url == page.base + path
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en")
    assert page.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_screen_never_scrolls_sideways(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 800})
    for path in PAGES:
        page.goto(page.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_everything_that_can_be_pressed_has_a_name_and_can_be_reached_by_keyboard(page: Any) -> None:
    page.goto(f"{page.base}/apps/shop/traffic")
    unnamed = "[...document.querySelectorAll('button,a,input,select')].filter(e => !(e.innerText.trim() || e.ariaLabel || e.labels?.length || e.closest('dialog')))"
    assert page.evaluate(f"{unnamed}.map(e => e.outerHTML)") == []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_text_has_enough_contrast_in_both_themes(page: Any) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for the colours that text is written in, on the grounds it stands on."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{page.base}/apps/shop")
        for ink, ground in (("ink", "paper"), ("soft", "paper"), ("faint", "paper"), ("soft", "ground"), ("accent", "paper"), ("ok", "ok-soft"),
                            ("warn", "warn-soft"), ("bad", "bad-soft"), ("accent", "accent-soft"), ("on-accent", "accent")):  # fmt: skip
            ratio = page.evaluate(CONTRAST, [ink, ground])
            assert ratio >= 4.5, f"{scheme}: {ink} on {ground} is {ratio:.2f}"


CONTRAST = """([ink, ground]) => {
  const lightness = (name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim().slice(1);
    const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [lightness(ink), lightness(ground)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""


def test_figures_on_the_edges_move_by_themselves(page: Any, made: Product) -> None:
    page.goto(f"{page.base}/apps/shop")
    with Load(made.ingress, rate=60).running(longest=20):
        until(
            page, "document.getElementById('tile-rate').textContent !== '0/s' && document.querySelector('.edge.busy')"
        )
    assert page.troubles == []


def test_restart_asks_and_gives_new_processes(page: Any, made: Product) -> None:
    def pids() -> list[int]:
        return next(row["pids"] for row in made.status()["workloads"] if row["name"] == "notification")

    before = pids()
    page.goto(f"{page.base}/apps/shop/workloads/notification")
    sent: list[Any] = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request))
    page.get_by_role("button", name="Restart", exact=True).click()
    assert sent == []
    page.get_by_role("button", name="Restart notification").click()
    page.wait_for_event("load", timeout=30000)
    assert [request.headers.get("x-csrf-token", "") != "" for request in sent] == [True]
    assert pids() != before
    assert page.troubles == []


def test_the_slider_shifts_traffic(page: Any, made: Product) -> None:
    page.goto(f"{page.base}/apps/shop/traffic")
    page.locator("input[data-version=v2]").fill("40")
    page.get_by_role("button", name="Shift", exact=True).click()
    page.get_by_role("button", name="Shift to v1 60%, v2 40%").click()
    page.wait_for_event("load", timeout=30000)
    versions = json.loads(made.aic("traffic", "shop/payment-service", "--json"))
    assert {one["version"]: one["weight"] for one in versions} == {"v1": 60.0, "v2": 40.0}
    made.aic("rollback", "shop")


def test_the_course_of_a_split_is_drawn_and_the_actual_share_stands_beside_the_weight(page: Any, made: Product) -> None:
    page.goto(f"{page.base}/apps/shop/traffic")
    course = "document.querySelector('svg[data-course=payment-service]')"
    until(page, f"{course}.textContent.includes('Nothing was called')")
    with orders(made.ingress):
        until(page, f"{course}.querySelectorAll('.line').length === 2")
        until(page, "document.querySelector('[data-share=v1]').textContent.endsWith('%')", seconds=40)
    assert page.evaluate(f"{course}.getAttribute('aria-label')").startswith("Requests per second of payment-service")
    assert page.evaluate(
        "[...document.querySelectorAll('.line.c0, .line.c1')].map(e => getComputedStyle(e).strokeDasharray)"
    )[1:2] != ["none"]
    assert page.troubles == []


def test_rules_figures_and_advice_stand_on_the_traffic_page(page: Any) -> None:
    page.goto(f"{page.base}/apps/shop/traffic")
    rules = page.locator("#rules-order-service").inner_text()
    assert "an answer within 5s" in rules and "a replica with 5 errors in a row is left out for 10s" in rules
    assert page.locator("#advice").inner_text().count("watched since") == 1
    assert page.locator('#edges tr[data-edge="order-service>payment-service/v1"]').count() == 1


def test_an_open_breaker_is_said_in_words_and_drawn_apart(page: Any) -> None:
    """What the page does with a sample in which a breaker is open; the sample itself is a real one but for that."""
    page.goto(f"{page.base}/apps/shop")
    until(
        page, "document.querySelector('.edge.busy') !== null || document.getElementById('tile-rate').textContent !== ''"
    )
    sample = json.loads(page.evaluate("fetch('/api/v1/apps/shop/graph').then(answer => answer.text())"))
    for edge in sample["edges"]:
        if edge["target"] == "order-service":
            edge |= {"breaker_open": True, "overflow_rate": 4.0}
    page.route("**/api/v1/events*", lambda route: route.fulfill(
        headers={"content-type": "text/event-stream"}, body=f"event: graph\ndata: {json.dumps({'app': 'shop', 'graph': sample})}\n\n"
    ))  # fmt: skip
    for path, expression in (
        ("/apps/shop", "document.querySelector('[data-mark=\"api-gateway>order-service\"]')?.textContent.includes('breaker')"),
        ("/apps/shop", "document.querySelector('.edge.held title')?.textContent.includes('breaker open, 4.0/s turned away')"),
        ("/apps/shop/traffic", "document.querySelector('tr[data-edge=\"api-gateway>order-service\"] .trouble')?.textContent === 'breaker open, 4.0/s turned away'"),
    ):  # fmt: skip
        page.goto(f"{page.base}{path}")
        until(page, expression)


@contextlib.contextmanager
def orders(port: int) -> Iterator[None]:
    """Orders, which reach the payment service, until the end of the block."""
    stop = threading.Event()

    def ask() -> None:
        body = json.dumps({"user_id": 1, "items": [{"sku": "tea", "quantity": 1}]}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/orders", data=body, method="POST", headers={"content-type": "application/json"})  # fmt: skip
        while not stop.wait(0.1):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(request, timeout=10).read()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_new_log_lines_come_by_themselves_and_the_filter_hides(page: Any, made: Product) -> None:
    page.goto(f"{page.base}/apps/shop/logs")
    page.wait_for_timeout(500)
    thread = threading.Thread(target=made.aic, args=("restart", "notification", "--app", "shop"))
    thread.start()
    until(page, "[...document.querySelectorAll('#log li')].some((e) => e.textContent.includes('Shutting down'))")
    thread.join()
    page.locator("#log-filter").fill("no line says this")
    assert page.locator("#log li:visible").count() == 0


def test_a_changed_replica_count_shows_without_a_reload(page: Any, made: Product) -> None:
    page.goto(f"{page.base}/apps/shop")
    made.aic("scale", "notification", "2", "--app", "shop")
    until(page, "[...document.querySelectorAll('#workloads td')].some((e) => e.textContent === '2/2')")
    made.aic("scale", "notification", "1", "--app", "shop")


def test_without_a_session_a_page_says_how_to_start_one_and_a_link_works_once(made: Product, browser: Any) -> None:
    link = json.loads(made.aic("open", "--json"))["url"]
    base = link.partition("/login")[0]
    with browser.new_context() as stranger:
        page = stranger.new_page()
        assert page.goto(f"{base}/apps/shop").status == 401
        assert "aic open" in page.content()
        assert page.goto(link).status == 200
        with browser.new_context() as other:
            assert other.new_page().goto(link).status == 401


def test_a_first_visit_is_light(page: Any) -> None:
    sizes: list[int] = []
    page.on(
        "response",
        lambda answer: (
            "event-stream" not in answer.headers.get("content-type", "") and sizes.append(len(answer.body()))
        ),
    )
    page.goto(f"{page.base}/apps/shop")
    page.wait_for_timeout(500)
    assert 5_000 < sum(sizes) < 150_000
