"""Steps of effects are kept for good, and read back as what was taken."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.facts.values import Money
from engine.run.sending.steps import Step

STEPS = st.builds(
    Step,
    what=st.sampled_from(["begun", "settled", "settled_elsewhere", "refused", "unsure", "later", "again", "anew", "interrupted"]),
    key=st.text(),
    reason=st.text(),
    detail=st.text(),
    wait=st.timedeltas(timedelta(), timedelta(days=99)),
    nothing_sent=st.booleans(),
    receipt=st.dictionaries(
        st.sampled_from(["reference", "refund_id", "taken"]),
        st.text() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False).map(lambda d: Money(d, "EUR")),
    ),
)


@given(STEPS)
def test_a_step_is_read_back_as_it_was_taken(step: Step) -> None:
    assert Step.from_json(step.to_json()) == step


@pytest.mark.parametrize("text", ["[]", '{"what": "begun", "who": "me"}', '{"key": "x"}', '"begun"', "{}"])
def test_what_is_no_step_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a step"):
        Step.from_json(text)


def test_amounts_keep_their_cents() -> None:
    step = Step("settled", "refund:A#1", receipt={"amount": Money(Decimal("10.50"), "EUR")})
    assert str(Step.from_json(step.to_json()).receipt["amount"]) == "10.50 EUR"
