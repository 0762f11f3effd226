"""The demo's own journal, replayed: exactly, from either source, over any number of processes, and under changed rules."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.decide.decision import Decision
from engine.decide.document import decision_to_json
from engine.decide.match import Pass
from engine.decide.memory import Memory
from engine.facts.case import Case
from engine.facts.codec import dumps
from engine.facts.outside import installed_actions
from engine.language.files import Files, read_files, shipped_root
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.simulate import chunks, replay
from engine.simulate.backtest import Plan, Wanted, backtest
from engine.simulate.history import BadHistory, Entry, Looked, Outcome, Stepped, TakenIn, parsed, read, recorded, written
from engine.simulate.replay import Replay, Telling, past_of
from engine.simulate.seen import Recorder
from engine.simulate.told import BadBaseline, read_baseline, result_json, unexpected, write_baseline
from engine.store.sqlite.store import SqliteStore
from tests.conftest import Played
from tests.simulate.histories import CLIENT, of_orders


@pytest.fixture(scope="module")
def history(demo_day: Played) -> list[Entry]:
    store = SqliteStore.open(demo_day[2], as_="visitor")
    entries = list(recorded(store))
    store.close()
    return entries


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return dict(read_files(shipped_root()).contents)


@pytest.fixture(scope="module")
def some(history: list[Entry], files: dict[str, bytes]) -> list[Entry]:
    """The history of a few orders."""
    return of_orders(history, files, [f"M-{n}" for n in (1001, 1002, 1005, 1102, 1104, 1201, 1303, 1403, 1501, 1602)])


def test_the_same_rule_set_decides_as_recorded_byte_for_byte(history: list[Entry], files: dict[str, bytes]) -> None:
    result = backtest(Plan(CLIENT, files, exact=True), history)
    assert result.unlike == []
    assert result.same == result.recorded > 500


def test_a_decision_that_is_spared_is_the_one_that_would_be_made(
    some: list[Entry], files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is every other that builds on the one before it: each is made from nothing as well, with its whole trace."""
    again, decide = replay.again, replay.decide
    spared: list[bool] = []

    def alike(rule_set: RuleSet, found: Decision, case: Case, memory: Memory, now: datetime) -> Decision:
        anew = decide(rule_set, case, memory, now)
        assert dumps(decision_to_json(rule_set, found)) == dumps(decision_to_json(rule_set, anew))
        return found

    def checked_again(rule_set: RuleSet, last: Decision, case: Case, memory: Memory, now: datetime) -> Decision | None:
        found = again(rule_set, last, case, memory, now)
        spared.append(found is not None)
        return None if found is None else alike(rule_set, found, case, memory, now)

    def checked(rule_set: RuleSet, case: Case, memory: Memory, now: datetime, previous: Pass | None) -> Decision:
        return alike(rule_set, decide(rule_set, case, memory, now, previous), case, memory, now)

    monkeypatch.setattr(replay, "again", checked_again)
    monkeypatch.setattr(replay, "decide", checked)
    backtest(Plan(CLIENT, files), some)
    assert sum(spared) > 20
    assert not all(spared)


def test_what_was_sent_is_what_a_replay_would_send(history: list[Entry], files: dict[str, bytes]) -> None:
    """Nothing is taken from what happened but how it ended: what is planned, when and of which amount comes from the rules."""
    result = backtest(Plan(CLIENT, files, keep_cases=True), history)
    replayed = Counter((e.key, e.status) for case in result.cases.values() for e in case.effects)
    happened = Counter((e.key, e.status) for e in history if isinstance(e, Outcome) and e.status != "withdrawn")
    assert replayed == happened


def test_neither_the_number_of_processes_nor_the_source_makes_a_difference(
    demo_day: Played,
    some: list[Entry],
    history: list[Entry],
    files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the store, or in a file in the midst of a batch, chunks end where they will."""
    changed = with_client(files, "refund_on: inspection", "refund_on: receipt")
    plan = Plan(CLIENT, changed, against=files, exact=True, keep_cases=True)
    sampled = replace(plan, wanted=Wanted(share=Decimal("0.2")))
    here = backtest(plan, some)
    here_sampled = backtest(sampled, history)
    monkeypatch.setattr(chunks, "ENTRIES", 70)
    monkeypatch.setattr(chunks, "BYTES", 50_000)
    path = tmp_path / "history.jsonl"
    path.write_text("".join(written(some)), encoding="utf-8")
    for told, workers in ((some, 2), (read(path), 1), (read(path), 8)):
        there = backtest(plan, told, workers=workers)
        assert result_json(there) == result_json(here)
        assert list(there.cases.values()) == list(here.cases.values())
        assert there.stories == here.stories
    store = SqliteStore.open(demo_day[2], as_="visitor")
    assert result_json(backtest(sampled, recorded(store), workers=2)) == result_json(here_sampled)
    store.close()
    assert here.differing > 0
    assert 5 < here_sampled.after.counts["cases"] < 40


def test_lines_of_json_hold_the_whole_history(history: list[Entry], tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(written(history)), encoding="utf-8")
    assert list(read(path)) == history


def test_a_history_of_events_alone_can_be_replayed(some: list[Entry], files: dict[str, bytes]) -> None:
    """As one gathered elsewhere would be: no steps, no decisions, no batches."""
    told = [{"event": json.loads(line)["event"]} for line in written(some) if '"event"' in line]
    told.sort(key=lambda line: datetime.fromisoformat(line["event"]["observed_at"]))  # polls that ran side by side
    result = backtest(Plan(CLIENT, files), parsed(map(json.dumps, told), "given"))
    assert result.after.effects["marketplace.refund", "settled"] > 0


EVENT = {"connector": "a", "kind": "a.b", "payload": "", "observed_at": "2026-01-01T00:00:00Z"}
AT = {"at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("{", "h:1: not JSON"),
        ("[]", "h:1: a line holds one of event, step, looked, outcome, activated"),
        ('{"evnt": {}}', 'did you mean "event"'),
        ({"event": []}, "h:1: event: an object is wanted"),
        ({"event": {"kind": "a.b"}}, "h:1: event: connector is missing"),
        ({"event": {**EVENT, "observed_at": "soon"}}, "h:1: event: "),
        ({"event": {**EVENT, "kid": 1}}, 'no key "kid" (did you mean "kind"?)'),
        ({"event": {**EVENT, "connector": 1}}, "connector must be text"),
        ({"event": {**EVENT, "payload": {"base64": "?"}}}, "h:1: event"),
        ({"step": {"what": "begun", "who": 1}, "case": "order:A", **AT}, "h:1: step: not a step"),
        ({"looked": "ab", **AT}, "h:1: looked: case is missing"),
        ({"activated": 1, "files": {}, **AT}, "h:1: activated: activated must be text"),
        ({"activated": "ab", **AT}, "h:1: activated: files is missing"),
        ({"activated": "ab", "files": {"a.yaml": 1}, **AT}, "h:1: activated: a.yaml must be text"),
    ],
)
def test_a_line_that_is_none_is_named(line: Any, wanted: str) -> None:
    with pytest.raises(BadHistory) as fault:
        list(parsed([line if isinstance(line, str) else json.dumps(line)], "h"))
    assert wanted in str(fault.value)


def test_a_history_goes_forward_in_time() -> None:
    lines = [
        '{"looked": "ab", "case": "order:A", "rule_set": "x", "at": "2026-01-02T00:00:00Z"}',
        '{"looked": "ab", "case": "order:A", "rule_set": "x", "at": "2026-01-01T00:00:00Z"}',
    ]
    with pytest.raises(BadHistory, match=r"h:2: .* is before"):
        list(parsed(lines, "h"))


def test_a_sample_is_the_same_cases_every_time_and_a_share_of_all(history: list[Entry], files: dict[str, bytes]) -> None:
    def sampled(share: str) -> set[str]:
        plan = Plan(CLIENT, files, wanted=Wanted(share=Decimal(share)), keep_cases=True)
        return set(backtest(plan, history).cases)

    third = sampled("0.3")
    assert 5 < len(third) < 40
    assert sampled("0.3") == third < sampled("0.6")


def test_one_case_can_be_asked_for_by_anything_it_is_known_by(some: list[Entry], files: dict[str, bytes]) -> None:
    for name in ("M-1001", "order:M-1001", "1045"):
        result = backtest(Plan(CLIENT, files, wanted=Wanted(cases=frozenset({name})), keep_cases=True), some)
        assert {case for case in result.cases if case.startswith("order:")} == {"order:M-1001"}, name


def test_what_was_kept_is_held_against_what_comes_out(some: list[Entry], files: dict[str, bytes], tmp_path: Path) -> None:
    first = backtest(Plan(CLIENT, files, keep_cases=True), some)
    write_baseline(tmp_path / "kept.json", first)
    kept = read_baseline(tmp_path / "kept.json")
    assert kept == first.cases
    assert unexpected(kept, backtest(Plan(CLIENT, files, keep_cases=True), some).cases).count == 0
    changed = with_client(files, "refund_on: inspection", "refund_on: receipt")
    found = unexpected(kept, backtest(Plan(CLIENT, changed, keep_cases=True), some).cases)
    assert ("effect earlier", "refund_on_receipt") in {(d.what, d.rule) for d in found.differences}


@pytest.mark.parametrize(
    "text", ["", "{}", '{"instep_baseline": 99}', '{"instep_baseline": 1}\n{"case": 1}', '{"instep_baseline": 1}\nx']
)
def test_a_file_that_keeps_nothing_is_said_to(tmp_path: Path, text: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    with pytest.raises(BadBaseline, match=r"kept\.json"):
        read_baseline(tmp_path / "kept.json")


def test_an_exact_replay_can_fail(some: list[Entry], files: dict[str, bytes]) -> None:
    """One decision that was recorded otherwise is found, with its case."""
    last = max(n for n, entry in enumerate(some) if isinstance(entry, Looked) and entry.case == "order:M-1001")
    told = [replace(e, digest="0" * 32) if n == last and isinstance(e, Looked) else e for n, e in enumerate(some)]
    result = backtest(Plan(CLIENT, files, exact=True), told)
    assert (result.recorded - result.same, result.unlike) == (1, ["order:M-1001"])


def test_decisions_of_another_rule_set_are_not_compared(some: list[Entry], files: dict[str, bytes]) -> None:
    result = backtest(Plan(CLIENT, with_client(files, "sla_margin: 2h", "sla_margin: 3h"), exact=True), some)
    assert result.recorded == 0
    assert sum(result.others.values()) == sum(isinstance(entry, Looked) for entry in some)


def test_parts_come_out_as_the_whole_does(history: list[Entry], files: dict[str, bytes]) -> None:
    """Cutting a history changes nothing: one replay of all of it ends with the same effects."""
    rule_set = load(Files(files), CLIENT, installed_actions())
    recorder, telling = Recorder(), Telling([rule_set])
    past = past_of((e for e in history if isinstance(e, Stepped)), (e for e in history if isinstance(e, Outcome)))
    whole = Replay(rule_set, "what_if", past, recorder, next(e.at for e in history if isinstance(e, TakenIn)))
    for entry in history:
        if not isinstance(entry, Outcome):
            whole.take(telling.told(entry) if isinstance(entry, TakenIn) else entry)
    whole.run_until(whole.clock(), inclusive=True)
    cut = backtest(Plan(CLIENT, files, keep_cases=True), history)
    assert {c.case: c.effects for c in recorder.cases(whole.absorbed)} == {name: c.effects for name, c in cut.cases.items()}


def with_client(files: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    """The files with one change in the client's own."""
    return changed(files, "rules/clients/demo/client.yaml", old, new)


def changed(files: dict[str, bytes], name: str, old: str, new: str) -> dict[str, bytes]:
    assert old.encode() in files[name], f"{name} has no {old!r}"
    return {**files, name: files[name].replace(old.encode(), new.encode(), 1)}
