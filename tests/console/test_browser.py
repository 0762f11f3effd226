"""The console as people use it: a real browser before a real `instep run`, which takes in what they decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from tests.console.shop import GESTURE, HELD, PASSWORD, REJECTED, SCANNED, Shop, opened
from tests.console.visitor import CHROMIUM, IN_CI, People, people

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not IN_CI, reason="Chromium is not installed: nobody looks at the console in a browser"
)
REFUSED = "create_asn:shipment:1007/5007"
MAIN = ("exceptions/REJECTED", f"cases/order:{REJECTED}", "effects?status=all", "nowhere")
EVERY = (
    *MAIN, "", "exceptions", "exceptions?q=nothing+like+it", "exceptions/WAREHOUSE", "cases", "cases?q=nothing",
    f"cases/order:{GESTURE}", "effects/REFUSED", "events", "events/STRANGE", "rules", "rules/ACTIVE", "audit?verify=1",
    "account", "exceptions/99999",
)  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("shop")) as shop:
        shop.settles(lambda: shop.statuses().get(REFUSED) == "refused")
        shop.settles(lambda: "settled" in shop.statuses().get("refund:M-2004-1#1", ""))
        yield shop


@pytest.fixture(scope="module")
def visitors(shop: Shop) -> Iterator[People]:
    with people(shop.console) as visitors:
        yield visitors


def address(shop: Shop, page: str) -> str:
    numbers = {
        "REJECTED": lambda: shop.exception("rejected_at_inspection")["number"],
        "WAREHOUSE": lambda: shop.exception("expected_return_refused")["number"],
        "REFUSED": lambda: quote(REFUSED, safe=""),
        "STRANGE": lambda: shop.service.ask("select journal_seq from set_aside")[0][0],
        "ACTIVE": lambda: shop.service.health()["rule_set"],
    }
    for name, number in numbers.items():
        page = page.replace(name, str(number())) if name in page else page
    return page


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
@pytest.mark.parametrize("pages", [MAIN, pytest.param(EVERY, marks=pytest.mark.long)], ids=["main", "every"])
def test_pages_are_readable_by_everybody_on_a_wide_screen_and_on_a_phone_light_and_dark(
    shop: Shop, visitors: People, pages: tuple[str, ...], width: int, dark: bool
) -> None:
    with visitors.person(script=True, width=width, dark=dark) as nobody:
        nobody.goes("login")
        assert (nobody.too_wide(), nobody.hard_to_use()) == ([], [])
    with visitors.person("Otto", script=True, width=width, dark=dark) as otto:
        for path in pages:
            otto.goes(address(shop, path))
            assert (path, otto.too_wide()) == (path, [])
            assert (path, otto.hard_to_use()) == (path, [])
    assert set(otto.refusals) == {404}  # nowhere, and no such exception


def test_a_viewer_sees_why_and_can_do_nothing(shop: Shop, visitors: People) -> None:
    number = shop.exception("rejected_at_inspection")["number"]
    with visitors.person("Vera") as vera:
        for path in ("", "events/STRANGE", "effects/REFUSED", "rules", *MAIN):
            vera.goes(address(shop, path))
            buttons = {one.inner_text() for one in vera.page.get_by_role("button").all()}
            assert buttons <= {"Log out", "Show", "Find", "Look back", "Check the chain", "Change it"}, path
        vera.goes(f"exceptions/{number}")
        assert "An operator decides: keep (do not refund), or refund (refund anyway)" in vera.reads()
        form = vera.page.locator("input[name=form]").first.get_attribute("value") or ""
        told = {"number": str(number), "answer": "refund", "form": form}
        assert vera.context.request.post(f"{shop.console}/exceptions/answer", form=told).status == 403
    assert shop.exception("rejected_at_inspection")["state"] == "open"


def test_an_operator_answers_by_keyboard_alone_and_the_page_says_what_came_of_it(shop: Shop, visitors: People) -> None:
    number = shop.exception("rejected_at_inspection")["number"]
    with visitors.person("Otto") as otto:
        otto.goes(f"exceptions/{number}")
        assert "M-2001-1#1 LOAFER-41 119.00 EUR can be refunded" in otto.reads()
        for focused in otto.tabs():
            if focused["says"] == "refund":
                break
        with otto.page.expect_navigation():
            otto.page.keyboard.press("Enter")
        assert "Otto decided 'refund' about RMA 1001: 9001 rejected at inspection. Taken in." in otto.reads()
        assert "Closed: Otto" in otto.reads()
        assert "answered “refund” by Otto" in otto.reads()
        shop.settles(lambda: shop.statuses().get(f"refund:{REJECTED}-1#1") == "settled")
        otto.page.reload()
        assert "settled marketplace.refund for M-2001-1#1 119.00 EUR" in otto.reads()
        with otto.page.expect_navigation():
            otto.page.get_by_role("link", name="What came of it in the case").click()
        assert 'Otto answered "refund"' in otto.reads()
    (line,) = shop.outside.market.world.orders[REJECTED]["order_lines"]
    assert [str(one["amount"]) for one in line["refunds"]] == ["119.00"]


def test_the_tab_key_reaches_everything_in_its_order_and_shows_where_it_is(shop: Shop, visitors: People) -> None:
    with visitors.person("Otto") as otto:
        for path in (
            "",
            "exceptions/REFUSED",
            f"cases/order:{HELD}",
            "effects/REFUSED",
            "events/STRANGE",
        ):
            otto.goes(address(shop, path))
            reached = list(otto.tabs())
            assert [one["at"] for one in reached] == list(range(reached[0]["of"])), path
            assert [one["says"] for one in reached if not one["ringed"]] == [], path


def test_a_milestone_is_corrected_and_the_case_decided_anew(shop: Shop, visitors: People) -> None:
    with visitors.person("Otto") as otto:
        otto.goes(f"cases/order:{GESTURE}")
        otto.page.get_by_text("Put one right").click()
        otto.page.get_by_label("Milestone").select_option("rma:1002.in_transit_at")
        otto.page.get_by_label("What is right").fill("2026-03-02T09:30")
        otto.page.get_by_label("How you know").fill("the carrier wrote to us")
        otto.clicks("Correct it")
        assert "has no time zone" in otto.reads()
        with otto.page.expect_navigation():
            otto.page.get_by_role("link", name="Back to where you were").click()
        otto.page.get_by_text("Put one right").click()
        otto.page.get_by_label("Milestone").select_option("rma:1002.in_transit_at")
        right = f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%MZ}"
        otto.page.get_by_label("What is right").fill(right)
        otto.page.get_by_label("How you know").fill("the carrier wrote to us")
        otto.clicks("Correct it")
        assert f"Otto corrected rma:1002.in_transit_at of order:{GESTURE}: {right}, where it was has not happened" in otto.reads()
        assert "the case decided anew" in otto.reads()
        assert "corrected by Otto" in otto.reads()
        assert "the carrier wrote to us; seen as has not happened" in otto.reads()


def test_a_refused_effect_is_retried_once_its_cause_is_mended(shop: Shop, visitors: People) -> None:
    path = address(shop, "effects/REFUSED")
    with visitors.person("Otto") as otto:
        otto.goes(path)
        otto.clicks("Retry")
        shop.settles(lambda: shop.service.ask("select count(*) from steps where step like '%refused%'")[0][0] == 2)
        otto.page.reload()
        assert otto.reads().count("sku_unknown") >= 2  # nothing was mended, and the page says so
        shop.outside.warehouse.inventory["WELLIES-41"] = 599
        shop.edited(
            codes={"marketplace.resolve_incident.reason": {"default": "11"}, "warehouse.create_asn.sku": {"WELLIES-41": "599"}}
        )
        otto.goes(path)
        otto.page.get_by_label("Why", exact=True).fill("the article is there now")
        otto.clicks("Retry")
        assert "it is looked up, and sent if nobody did it meanwhile" in otto.reads()
        shop.settles(lambda: shop.statuses()[REFUSED] == "settled")
        otto.page.reload()
        assert "Nothing: it is done." in otto.reads()
    assert any("WELLIES-41" in str(one) for one in shop.outside.warehouse.returns.values())


def test_an_event_is_discarded_with_a_reason_and_its_exception_closes(shop: Shop, visitors: People) -> None:
    with visitors.person("Otto") as otto:
        otto.goes(address(shop, "events/STRANGE"))
        otto.page.get_by_role("button", name="Discard").click()  # the browser asks for the reason first
        assert "waiting" in otto.reads()
        otto.goes(address(shop, "events/STRANGE"))
        otto.page.get_by_label("Why nothing is to be read from it").fill("the carrier's test")
        otto.clicks("Discard")
        assert "by Otto: the carrier's test" in otto.reads()
        otto.goes("events")
        assert "Every event was taken in." in otto.reads()
        otto.goes("exceptions?q=easypost")
        assert "No exception fits." in otto.reads()


def test_a_consultant_looks_at_what_waits_and_activates_it(shop: Shop, visitors: People) -> None:
    shop.edited(params=shop.params | {"refund_on": "first_scan"})
    shop.settles(lambda: shop.service.health()["rules"]["waiting"] is not None)
    held = (f"refund:{SCANNED}-1#1", f"refund:{HELD}-1#1")
    assert not any(key in shop.statuses() for key in held)
    with visitors.person("Otto") as otto:
        otto.goes("rules")
        assert "waits since" in otto.reads()
        assert otto.page.get_by_role("button", name="Activate it").count() == 0
    with visitors.person("Cora") as cora:
        assert "A rule set waits for somebody to look" in cora.reads()
        cora.goes("rules")
        assert "It would at once send 2 effects, 352.00 EUR in all" in cora.reads()
        assert (cora.too_wide(), "refund:M-2006-1#1 54.00 EUR M-2006" in cora.reads()) == ([], True)
        cora.clicks("Activate it")
        assert "It is active" in cora.reads() or "is active" in cora.reads().casefold()
        shop.settles(lambda: shop.statuses().get(held[0]) == "settled")
        cora.goes(f"cases/order:{SCANNED}")
        assert "settled marketplace.refund for M-2006-1#1 54.00 EUR" in cora.reads()
    waiting = shop.service.health()["rules"]
    assert (waiting["waiting"], waiting["activated_by"]) == (None, "Cora")


def test_whoever_logs_out_or_stays_away_is_out_also_on_the_way_back(shop: Shop, visitors: People) -> None:
    visitors.forget("Otto")
    with visitors.person("Otto") as otto:
        otto.goes("exceptions")
        otto.clicks("Log out")
        assert otto.page.url.endswith("/console/login")
        otto.page.go_back()
        assert "Severity" not in otto.reads()
        assert otto.page.get_by_label("Password").count() == 1
    visitors.forget("Otto")
    with visitors.person("Otto") as otto:
        store = shop.store()
        with store.transaction():
            for held in store.accounts.passes("Otto"):
                store.accounts.seen(held.digest, datetime.now(UTC) - timedelta(hours=3))
        store.close()
        otto.goes("exceptions?severity=high")
        assert "Your session has ended: log in again." in otto.reads()
        otto.logs_in("Otto")
        assert otto.page.url.endswith("/console/exceptions?severity=high")


def test_wrong_passwords_are_told_and_ever_more_slowly_tried(shop: Shop, visitors: People) -> None:
    with visitors.person() as stranger:
        stranger.goes("")
        for _ in range(5):
            stranger.logs_in("Vera", "not the right one")
            assert "the name or the password is wrong" in stranger.reads()
        stranger.logs_in("Vera", PASSWORD)
        assert "too many wrong passwords: try again in" in stranger.reads()
        assert stranger.refusals == [401] * 5 + [429]
