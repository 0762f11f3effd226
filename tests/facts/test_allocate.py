"""Amounts are divided exactly."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.allocate import exact, minor_unit, shares


@settings(max_examples=200, deadline=None)
@given(
    st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False, allow_infinity=False),
    st.integers(1, 500),
    st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_shares_add_up_to_the_whole_and_differ_by_less_than_two_of_the_smallest_coin(
    whole: Decimal, pieces: int, currency: str
) -> None:
    with exact():
        quantum = minor_unit(currency)
        found = shares(whole, pieces, quantum)
    assert sum(found) == whole
    assert len(found) == pieces
    assert max(found) - min(found) < 2 * quantum
    assert all(share >= 0 for share in found)
    assert found == sorted(found, reverse=True)


def test_a_currency_without_cents_is_not_divided_below_its_coin() -> None:
    assert shares(Decimal(100), 3, minor_unit("JPY")) == [Decimal(34), Decimal(33), Decimal(33)]
    assert shares(Decimal(10), 4, minor_unit("KWD")) == [Decimal("2.5")] * 4


def test_ten_euros_among_three_leave_the_odd_cent_with_the_first() -> None:
    assert shares(Decimal("10.00"), 3, minor_unit("EUR")) == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]
