"""A canary started, watched and sent back in the console of the real product, in a real Chromium."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from benchmarks.loads import Load
from benchmarks.products import application, product
from tests.browser import pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
pages.need()

SERVER = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_canary_is_started_watched_and_sent_back(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    application(tmp_path, "app: roll\nservices:\n  web: {run: python server.py, public: /}\n")
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(product())
        made.aic("up", "-d", str(tmp_path))
        page = stack.enter_context(pages.opened(stack.enter_context(pages.launched()), made))
        (tmp_path / "server.py").write_text(SERVER + "# better\n")
        with Load(made.ingress, rate=40, connections=16).running(longest=150) as load:
            page.goto(f"{page.base}/apps/roll/traffic")
            page.locator("form.deliver input[name=canary]").fill("50,100")
            page.locator("form.deliver input[name=every]").fill("10m")
            page.locator("form.deliver button").click()
            assert "send it 50,100 percent" in (page.locator("#dialog-question").text_content() or "")
            page.locator("#dialog-yes").click()
            page.locator("[data-delivery]").wait_for(timeout=60_000)
            requests = page.locator('[data-figure="new web canary"] td').nth(2)
            deadline = time.monotonic() + 60
            while (requests.text_content() or "0") in ("0", "–"):
                assert time.monotonic() < deadline, "no figures came without a reload"
                time.sleep(0.3)
            assert page.locator("ol.stages li.now").text_content().startswith("50%")
            page.goto(f"{page.base}/apps/roll")
            page.locator("[data-delivery]").get_by_role("button", name="Go back").click()
            assert page.locator("#dialog-yes").text_content() == "Go back: all requests to what ran before"
            page.locator("#dialog-yes").click()
            page.locator("[data-delivery]").wait_for(state="detached", timeout=60_000)
            page.goto(f"{page.base}/apps/roll/traffic")
            assert "went back: console said so" in (page.locator("p.verdict").text_content() or "")
        assert load.failed == 0, load.results
        assert page.troubles == []
