"""A client that treats returns differently says so in a table of its own, and every rule of the pack goes by it."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache

from engine.facts.values import Money
from engine.language.files import Files, own_files
from engine.language.pack import check, load
from engine.language.ruleset import RuleSet
from tests.journeys.base_pack import CLIENT, NOON, ROOT, Journey, actions, line, piece

BY_CHANNEL = """
tables:
  policy:
    override: true
    rows:
      - {channel: [MACYS, BLOOM], paid: "> 100 EUR", then: {refund_on: inspection, refund_within: 5 working days}}
      - {channel: [MACYS, BLOOM], then: {refund_on: first_scan, refund_within: 24h}}
"""
BY_PIECE = """
tables:
  policy:
    override: true
    given: {reason: rma_unit.reason}
    rows: [{reason: broken, then: {refund_on: first_scan, refund_within: 24h}}]
"""


def files(own: str) -> Files:
    shop = {"rules/clients/shop/client.yaml": CLIENT.encode(), "rules/clients/shop/own.yaml": own.encode()}
    return Files({**own_files(ROOT).contents, **shop})


@cache
def by_channel() -> RuleSet:
    return load(files(BY_CHANNEL), "shop", actions())


def journey(channel: str, price: str = "50.00") -> Journey:
    case = Journey(by_channel()).order(line(price=price), channel=channel)
    return case.rma(piece(paid=line(price=price)["price"])).scan()


def test_each_channel_has_the_trigger_and_the_deadline_of_its_row() -> None:
    assert journey("MACYS").refunds == [("L1#1", "50.00")]
    assert journey("MACYS", price="150.00").refunds == []
    assert journey("ELSEWHERE").refunds == [("L1#1", "50.00")]  # what the parameters say
    dear, cheap = journey("BLOOM", price="150.00"), journey("BLOOM")
    assert [c.decide().view.facts.records["rma"][0]["refund_due"] for c in (dear, cheap)] == [
        NOON + timedelta(days=7),  # five working days from a Tuesday
        NOON + timedelta(hours=24),
    ]


def test_a_piece_whose_price_has_not_come_is_refunded_by_nobody_until_it_has() -> None:
    case = Journey(by_channel()).order(line(), channel="MACYS").rma(piece(paid=None)).scan()
    assert case.refunds == []
    case.hours(30)
    assert "undecided" in case.open
    case.rma(piece())
    assert case.refunds == [("L1#1", "50.00")]


def test_a_table_about_pieces_cannot_decide_for_a_whole_return() -> None:
    found = str(check(files(BY_PIECE), actions(), "shop"))
    assert "policy is decided for each rma_unit, and here is none" in found


def test_the_readmes_table_is_one_a_client_can_write() -> None:
    blocks = re.findall(r"^```yaml\n(tables:.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    policy = load(files(blocks[0]), "shop", actions()).tables["policy"]
    assert policy.evaluate({"channel": "MACYS", "pieces": 3, "paid": Money.of(20, "USD")}) == {
        "refund_on": "receipt",
        "refund_within": timedelta(hours=48),
    }
