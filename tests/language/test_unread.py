"""Which records make no difference to a case, as long as nothing is there that reads them."""

from __future__ import annotations

import pytest

from engine.facts.outside import installed_actions
from engine.language.files import read_files, shipped_root
from engine.language.pack import load
from engine.language.ruleset import RuleSet

ORDERED = {"case", "order", "order_line", "unit", "sale"}


@pytest.fixture(scope="module")
def base() -> RuleSet:
    return load(read_files(shipped_root()), "demo", installed_actions())


def test_a_booking_is_read_once_there_is_a_refund_it_may_be_of(base: RuleSet) -> None:
    assert base.unread("ledger_line", frozenset(ORDERED))
    assert not base.unread("ledger_line", frozenset(ORDERED | {"order_refund"}))


def test_a_parcel_is_read_once_there_is_a_return_that_may_name_it(base: RuleSet) -> None:
    assert base.unread("parcel", frozenset(ORDERED))
    assert not base.unread("parcel", frozenset(ORDERED | {"rma", "rma_unit", "shipment"}))


@pytest.mark.parametrize("kind", ["order", "sale", "rma", "seller"])
def test_what_facts_are_derived_from_is_always_read(base: RuleSet, kind: str) -> None:
    assert not base.unread(kind, frozenset())


@pytest.mark.parametrize("kind", ["market_return", "receipt"])
def test_what_rules_are_evaluated_for_is_always_read(base: RuleSet, kind: str) -> None:
    assert not base.unread(kind, frozenset())
