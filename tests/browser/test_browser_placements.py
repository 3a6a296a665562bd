"""The pages about clusters, environments and deploys, in a real Chromium, with a real Kubernetes behind them on whose nodes nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.products import Product, application, product
from tests.browser import pages
from tests.browser.pages import until
from tests.servers import clusters
from tests.servers.clusters import Cluster
from tests.servers.needs import need

pytestmark = [pytest.mark.browser, pytest.mark.timeout(2400)]  # the first time it is built
pages.need()
FILE = """\
app: shop
services:
  web:
    image: registry.example.com/team/web:{tag}
    public: /
    startup: 20s
    env: {{SAYS: "{says}", LIMIT: "5"}}
    needs: [api]
  api: {{image: "registry.example.com/team/api@sha256:{digest}"}}
environments:
  staging:
    target: kubernetes:///shop-staging
  prod:
    target: kubernetes:///shop-prod
    services: {{web: {{scale: 3, env: {{LIMIT: "50"}}}}}}
"""
PAGES = ("/placements/shop@staging", "/placements/shop@staging/releases/1", "/placements/shop@staging/plan", "/environments",
         "/environments/staging/differences/prod?app=shop", "/deploys", "/deploys?days=7")  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


@pytest.fixture(scope="module")
def made(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """Deployed twice to staging, once in vain, once to prod; the file has gone on since."""
    folder = tmp_path_factory.mktemp("shop")

    def deploy(environment: str, tag: str, says: str) -> None:
        application(folder, text(tag, says))
        one.run("deploy", str(folder), "--to", environment)

    with product() as one:
        one.set(KUBECONFIG=str(cluster.kubeconfig))
        deploy("staging", "1", "first")
        deploy("prod", "1", "first")
        deploy("staging", "pull-error", "second")
        deploy("staging", "2", "second")
        application(folder, text("2", "third"))
        one.folder = folder  # type: ignore[attr-defined]
        yield one


def text(tag: str, says: str) -> str:
    return FILE.format(tag=tag, says=says, digest="ab" * 32)


@pytest.fixture
def page(made: Product) -> Iterator[Any]:
    with pages.launched() as browser, pages.opened(browser, made) as one:
        yield one


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_renders_and_fits_a_small_screen(page: Any, language: str) -> None:
    page.goto(f"{page.base}/language/{language}")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 800})
        for path in PAGES:
            page.goto(page.base + path)
            assert page.locator("h1").count() == 1, path
            assert page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    assert page.troubles == []


def test_everything_that_can_be_pressed_has_a_name(page: Any) -> None:
    unnamed = "[...document.querySelectorAll('button,a,input,select,meter')].filter(e => !(e.innerText.trim() || e.ariaLabel || e.labels?.length || e.closest('dialog')))"
    for path in PAGES:
        page.goto(page.base + path)
        assert page.evaluate(f"{unnamed}.map(e => e.outerHTML)") == [], path


def test_what_failed_is_found_from_the_record(page: Any) -> None:
    page.goto(f"{page.base}/deploys")
    page.locator("#latest tr", has_text="ImagePullBackOff").locator("td a").nth(1).click()
    until(page, "location.pathname === '/placements/shop@staging/releases/2'")


def test_environments_stand_side_by_side(page: Any) -> None:
    page.goto(f"{page.base}/environments")
    table = page.locator("table.matrix")
    assert table.locator("thead th").all_inner_texts() == ["Workload", "local", "staging", "prod"]
    row = table.locator("tr", has=page.locator("th", has_text="web v1"))
    assert [cell.splitlines()[0] for cell in row.locator("td").all_inner_texts()] == ["–", "web:2", "web:1"]


def test_a_file_that_went_on_is_planned_deployed_promoted_and_taken_back(page: Any) -> None:
    page.goto(f"{page.base}/environments/staging/differences/prod?app=shop")
    assert "the file is not what runs in staging" in page.locator(".answer p").inner_text()
    page.goto(f"{page.base}/placements/shop@staging/plan")
    assert "changed: env" in page.locator("main table").inner_text()
    press(page, "Deploy")
    page.goto(f"{page.base}/placements/shop@staging/plan")
    assert "is what the file says" in page.locator("h1").inner_text()

    page.goto(f"{page.base}/environments/staging/differences/prod?app=shop")
    press(page, "Promote")
    page.goto(f"{page.base}/environments/staging/differences/prod?app=shop")
    assert "runs in prod, too" in page.locator(".answer p").inner_text()

    page.goto(f"{page.base}/placements/shop@prod")
    assert page.locator(".tile strong").first.inner_text() == "2"
    press(page, "Roll back")
    until(page, "document.querySelector('.tile strong')?.textContent === '3'")
    assert page.troubles == []


def press(page: Any, name: str) -> None:
    """The button, and yes; until the page has been loaded anew."""
    page.locator("main").get_by_role("button", name=name, exact=True).first.click()
    with page.expect_navigation(timeout=60_000):
        page.locator("#dialog-yes").click()
