"""What came of a replay as plain JSON, and the outcomes of cases kept for a later replay to be held against."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from heapq import merge
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from engine.facts.codec import encode, loads, timestamp
from engine.facts.values import Money
from engine.run.private import write_private_lines
from engine.simulate import packed
from engine.simulate.backtest import MOST_STORIES, Result, Story
from engine.simulate.difference import Difference, differences
from engine.simulate.every_case import EveryCase
from engine.simulate.seen import CaseSeen, EffectSeen, ExceptionSeen, Totals, Withheld

FORM = 1  # of what `written_cases` writes


class BadBaseline(ValueError):  # noqa: N818 - named for what it tells
    """A file is not what `--record` writes; the message says why."""


def result_json(result: Result) -> dict[str, Any]:
    """The whole result."""
    told: dict[str, Any] = {"rule_set": result.rule_set, "digest": result.digest, "totals": totals_json(result.after)}
    if result.note:
        told["note"] = result.note
    if result.recorded:
        told["recorded"] = {"decisions": result.recorded, "same": result.same, "unlike": sorted(result.unlike)}
    if result.others:
        told["recorded_with_others"] = dict(sorted(result.others.items()))
    if result.against:
        told |= {
            "against": result.against,
            "totals_against": totals_json(result.before),
            "differing_cases": result.differing,
            "by_kind": [{"what": what, "rule": rule, "count": n} for (what, rule), n in sorted(result.kinds.items())],
            "depend_on_the_world": result.reactions,
            "differences": [difference_json(d) for d in result.differences],
        }
    if result.opinions:
        told["second_opinion"] = {"decisions": result.opinions, "disagreements": [str(d) for d in result.disagreements]}
    return told


def totals_json(totals: Totals) -> dict[str, Any]:
    return {
        **{name: totals.counts[name] for name in sorted(totals.counts)},
        "effects": [{"action": a, "status": s, "count": n} for (a, s), n in sorted(totals.effects.items())],
        "money": [
            {"day": day, "rule": rule, "currency": currency, "amount": f"{amount:f}"}
            for (day, rule, currency), amount in sorted(totals.money.items())
        ],
        "exceptions": [{"rule": r, "owner": o, "count": n} for (r, o), n in sorted(totals.exceptions.items())],
        "promises_broken": dict(sorted(totals.promises.items())),
        "withheld": [{"action": a, "by": by, "count": n} for (a, by), n in sorted(totals.withheld.items())],
    }


def difference_json(one: Difference) -> dict[str, Any]:
    told: dict[str, Any] = _plain(one)
    return told


def story_json(story: Story) -> dict[str, Any]:
    return {
        "case": story.case,
        "observed": [[encode(at), what] for at, what in story.observed],
        "before": None if story.before is None else _plain(story.before),
        "after": None if story.after is None else _plain(story.after),
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, Money | type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return encode(value)


def case_text(case: CaseSeen) -> str:
    """What came of a case as JSON text."""
    return json.dumps(_plain(case), sort_keys=True, separators=(",", ":"))


def case_of_text(text: str) -> CaseSeen:
    """What `case_text` wrote."""
    return _case(loads(text))


def write_baseline(path: Path, result: Result) -> None:
    """One line of JSON for the rule set, then one for each case, so that a version control system shows what changed."""
    head = {"instep_baseline": FORM, "rule_set": result.rule_set}
    lines = chain((head,), (_plain(case) for case in result.cases.values()))
    write_private_lines(path, (json.dumps(line, sort_keys=True) + "\n" for line in lines))


def read_baseline(path: Path) -> EveryCase:
    """The cases that were kept. Raises `BadBaseline` and OSError."""
    cases = EveryCase()
    try:
        with path.open(encoding="utf-8") as lines:
            head = loads(next(lines, "{}"))
            if not isinstance(head, dict) or head.get("instep_baseline") != FORM:
                raise BadBaseline(f"{path}: not written by `instep simulate --record`, or by another version")
            read = (_case(loads(line)) for line in lines)
            cases.add((case.case, packed.dumps(case)) for case in read)
    except (KeyError, TypeError, ValueError) as fault:
        if isinstance(fault, BadBaseline):
            raise
        raise BadBaseline(f"{path}: a line of it cannot be read: {fault}") from None
    return cases


@dataclasses.dataclass(slots=True)
class Unexpected:
    """What came out otherwise than kept: in how many cases, how much, and of the first cases what."""

    cases: int = 0
    count: int = 0
    differences: list[Difference] = dataclasses.field(default_factory=list)


def unexpected(baseline: EveryCase, cases: EveryCase) -> Unexpected:
    """With nothing left to reactions: both are replays of one history."""
    told = Unexpected()
    for case, _ in groupby(merge(baseline, cases)):
        found = differences(case, baseline.get(case), cases.get(case))
        told.cases += bool(found)
        told.count += len(found)
        if told.cases <= MOST_STORIES:
            told.differences.extend(found)
    return told


def kinds_of(found: Iterable[Difference]) -> Counter[tuple[str, str]]:
    return Counter((d.what, d.rule) for d in found)


def _case(told: Mapping[str, Any]) -> CaseSeen:
    return CaseSeen(
        told["case"],
        tuple(_effect(e) for e in told["effects"]),
        tuple(_exception(e) for e in told["exceptions"]),
        tuple(_withheld(w) for w in told["withheld"]),
        told["decisions"],
        told["digest"],
    )


def _effect(told: Mapping[str, Any]) -> EffectSeen:
    amount = told["amount"]
    money = None if amount is None else Money.of(amount["amount"], amount["currency"])
    times = {"planned_at": timestamp(told["planned_at"]), "sent_at": _instant(told["sent_at"])}
    return EffectSeen(**{**told, **times, "units": tuple(told["units"]), "amount": money})


def _exception(told: Mapping[str, Any]) -> ExceptionSeen:
    return ExceptionSeen(**{**told, "opened_at": timestamp(told["opened_at"]), "closed_at": _instant(told["closed_at"])})


def _withheld(told: Mapping[str, Any]) -> Withheld:
    return Withheld(**{**told, "since": timestamp(told["since"]), "until": _instant(told["until"])})


def _instant(text: str | None) -> datetime | None:
    return None if text is None else timestamp(text)
