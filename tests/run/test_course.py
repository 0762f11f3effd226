"""What becomes of an effect of which nobody knows whether it took place."""

from __future__ import annotations

from datetime import timedelta

from engine.facts.effects import EffectState
from engine.facts.outside import Evidence
from engine.run.sending.course import judged
from engine.run.waits import MOST_CUT_OFF, MOST_SENDS
from tests.run.small import NOON

HOUR = timedelta(hours=1)


def after(sends: int, cut_off: int) -> str:
    """The step after so many sends, so many of them cut off by the end of the process, none of which left a trace."""
    effect = EffectState(
        "refund:A-1#1", "marketplace.refund", "A-1#1", ("A-1#1",), (), {}, "refund", "rma:1", "refund", "unsure", NOON,
        ever_sent=True, sent_at=NOON, attempts=sends, cut_off=cut_off,
    )  # fmt: skip
    step = judged(effect, Evidence(effect.key, done=False), timedelta(minutes=20), NOON + HOUR, NOON + HOUR)
    return step.reason or step.what


def test_what_was_sent_often_without_an_answer_is_given_up_and_what_was_cut_off_is_not() -> None:
    assert after(MOST_SENDS - 1, 0) == "again"
    assert after(MOST_SENDS, 0) == "gave_up"
    assert after(MOST_CUT_OFF - 1, MOST_CUT_OFF - 1) == "again"
    assert after(MOST_SENDS + 4, 4) == "gave_up"


def test_what_ends_the_process_every_time_it_is_sent_is_given_up_in_the_end() -> None:
    assert after(MOST_CUT_OFF, MOST_CUT_OFF) == "gave_up"
