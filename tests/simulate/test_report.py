"""The page of a replay: complete by itself, escaped, and readable on a screen and on a telephone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.facts.values import Money
from engine.simulate.backtest import Result, Story
from engine.simulate.difference import differences
from engine.simulate.report import page
from engine.simulate.seen import CaseSeen, EffectSeen, ExceptionSeen, Totals, Withheld

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def refund(case: str, hour: int, rule: str, amount: str = "49.90") -> EffectSeen:
    at = NOON.replace(hour=hour)
    money = Money(Decimal(amount), "EUR")
    key = f"refund:{case}#1"
    return EffectSeen(
        key, "marketplace.refund", rule, f"rma:{case}", (f"{case}#1",), "settled", "", at, at, money, "live", assumed=False
    )


def told(case: str, title: str) -> ExceptionSeen:
    return ExceptionSeen("k|" + case, "rejected", f"rma:{case}", "customer service", "high", title, NOON, None, "", "live")


def made(cases: int = 40) -> Result:
    """Two rule sets over some cases, one of which has a name no page should run."""
    result = Result("aaaa", "bbbb")
    for number in range(cases):
        name = f"M-{1000 + number}" if number else '<script>alert("x")</script>'
        withheld = (Withheld("marketplace.refund", "refund", f"rma:{name}", "veto", "hold", "waiting", NOON, None),)
        before = CaseSeen(name, (refund(name, 18, "refund_after_inspection"),), (told(name, "a < b & c"),), withheld, 3, "x")
        after = CaseSeen(name, (refund(name, 9 + number % 5, "refund_on_receipt"),), (), (), 3, "y")
        found = differences(name, before, after)
        result.before.add([before], {"decisions": 3})
        result.after.add([after], {"decisions": 3, "events": 7})
        result.differences += found
        result.kinds.update(Counter((d.what, d.rule) for d in found))
        result.differing += 1
        result.stories.append(Story(name, ((NOON, f"mirakl.order {name}"),), before, after))
    for day in range(1, 29):
        for totals, rule in ((result.before, "refund_after_inspection"), (result.after, "refund_on_receipt")):
            totals.money[f"2026-03-{day:02}", rule, "EUR"] = Decimal(day * 100)
    return result


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    text = page("northwind", made())
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", text)
    assert "&lt;script&gt;" in text
    assert "a &lt; b &amp; c" in text


def test_every_case_that_differs_is_told_with_both_lives() -> None:
    result = made(12)
    text = page("northwind", result)
    assert text.count("<details id=") == 12
    for case in ("M-1001", "M-1011"):
        block = text.partition(f'id="{case}"')[2].partition("<details id=")[0]
        assert "refund_after_inspection" in block
        assert "refund_on_receipt" in block
        assert "mirakl.order " + case in block


def test_a_page_of_one_rule_set_or_of_nothing_is_a_page() -> None:
    alone = Result("aaaa")
    alone.after = Totals()
    assert "What differs" not in page("northwind", alone)
    same = Result("aaaa", "bbbb")
    assert "No case differs" in page("northwind", same)


def test_more_cases_than_one_page_tells_are_counted() -> None:
    result = made(3)
    result.differing = 1003
    assert "1,000 more cases differ" in page("northwind", result)


HARNESS = """<!doctype html><title>waiting</title>
<iframe id=f style="border:0;width:{width}px;height:900px" src="report.html"></iframe>
<script>
document.getElementById("f").onload = e => {{
  const page = e.target.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("main > *")].filter(x => x.getBoundingClientRect().right > {width} + 1).length;
  const drawn = [...page.querySelectorAll("svg rect, .bar i")].filter(x => x.getBoundingClientRect().width > 0).length;
  const size = x => parseFloat(page.defaultView.getComputedStyle(x).fontSize);
  const small = [...page.querySelectorAll("p, td, li, summary")].filter(x => size(x) < 12);
  document.title = "done"; document.body.innerHTML =
    `overflow=${{root.scrollWidth > {width}}} wide=${{wide}} drawn=${{drawn}} small=${{small.length}}`;
}};
</script>"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "report.html").write_text(page("northwind", made()), encoding="utf-8")
    for width in (1280, 400):
        (tmp_path / f"at{width}.html").write_text(HARNESS.format(width=width), encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true",
    reason="Chromium is not installed: the report is not looked at in a browser",
)
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_draws_it_without_anything_running_over_the_edge(width: int, served: str, tmp_path: Path) -> None:
    assert CHROMIUM is not None, "CI installs Chromium for this"
    quiet = [
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
    ]
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *quiet, f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [*command, f"--window-size={width + 60},1000", "--virtual-time-budget=8000", "--dump-dom", f"{served}/at{width}.html"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.search(r"overflow=(\w+) wide=(\d+) drawn=(\d+) small=(\d+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert found.groups()[:2] == ("false", "0")
    assert int(found[3]) > 50
    assert found[4] == "0"
