"""A history is cut into parts without being held in memory, and what comes out is what a plain cut of it would be."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.facts.outside import Event, installed_actions
from engine.facts.record import Observation
from engine.language.files import Files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.run.hearing.deeds import Deed
from engine.run.sending.steps import Step
from engine.simulate import chunks, parts
from engine.simulate.backtest import Plan, backtest
from engine.simulate.chunks import Chunk
from engine.simulate.cutting import Cutter, Found
from engine.simulate.history import BadHistory, Entry, Looked, Outcome, Stepped, TakenIn, parsed, read, written
from engine.simulate.parts import Part, Parts
from engine.simulate.replay import Telling, Told, ToldAt
from tests.run.files_world import CLIENT, FILES, MAIN, an_order, an_rma, told
from tests.run.small import NOON
from tests.store.faults import small_disk

SOURCES = {
    **FILES,
    "mappings/facts.yaml": (MAIN / "mappings/facts.yaml").read_text(encoding="utf-8"),
    "mappings/mirakl/account.yaml": "from: mirakl.account\nto: seller\nkey: id\nversion: observed_at\nfields: {name: name}\n",
}
CONTENTS = {name: text.encode() for name, text in SOURCES.items()}


@pytest.fixture(scope="module")
def rule_set() -> RuleSet:
    return load(Files(CONTENTS), CLIENT, installed_actions())


def rma(number: int, order: int, at: datetime) -> Event:
    return an_rma(f"R{number}", f"O{order}", "Approved", at)


def read_again(event: Event) -> Deed:
    return Deed.about_event("person.read_again", 1, event, "Ana", "")


def entry_of(kind: int, one: int, other: int, at: datetime) -> Entry:
    """Anything a history holds; an RMA of one order, and later of another, joins the two."""
    events = {
        0: lambda: TakenIn(at, (an_order(f"O{one}", at),)),
        1: lambda: TakenIn(at, (rma(one, other, at), rma(other, one, at), an_order(f"O{other}", at))),
        2: lambda: TakenIn(at, (told("mirakl.account", {"id": "us", "name": f"N{one}"}, at),)),
        3: lambda: TakenIn(at, (told("returngo.rma", {"id": one}, NOON), told("no.such", {}, at))),
        4: lambda: TakenIn(at, (read_again(told("returngo.rma", {"id": one}, NOON)).event(at),)),
        5: lambda: TakenIn(at, (Deed("person.retry", f"order:O{one}", "refund:x", "Ana").event(at), rma(one, other, at))),
        6: lambda: Stepped(at, f"order:O{one}", Step("begun", f"refund:O{other}")),
        7: lambda: Looked(at, f"order:O{one}", "h", f"{other}"),
        8: lambda: Outcome(f"order:O{one}", f"refund:O{other}", "settled", "", {"reference": "1"}),
        9: lambda: TakenIn(at, (rma(one, other, at),)),
    }  # fmt: skip
    return events[kind]()


drawn = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 5)), max_size=40)


def history_of(rows: Sequence[tuple[int, int, int]]) -> list[Entry]:
    entries = [entry_of(*row, NOON + timedelta(minutes=number)) for number, row in enumerate(rows)]
    return [*(e for e in entries if not isinstance(e, Outcome)), *(e for e in entries if isinstance(e, Outcome))]


Placed = tuple[int, datetime, object, frozenset[str]]  # where, when, what, and the names of one of the records it is about


def plainly_cut(history: Sequence[Entry], rule_set: RuleSet) -> tuple[list[Part], int]:
    """In memory, in the plainest way: whatever has a name in common is one part, in the order in which their names come up."""
    placed, aside = all_placed(history, rule_set)
    found: list[set[str]] = []
    for *_, names in placed:
        near = [one for one in found if one & names]
        if near:
            near[0].update(names, *near)
            found = [one for one in found if one is near[0] or one not in near]
        elif names:
            found.append(set(names))
    return [part_of(names, placed) for names in found], aside


def all_placed(history: Sequence[Entry], rule_set: RuleSet) -> tuple[list[Placed], int]:
    telling = Telling([rule_set])
    placed: list[Placed] = []
    marks: dict[str, list[frozenset[str]]] = {}
    aside = 0
    for place, entry in enumerate(history):
        if isinstance(entry, Stepped | Looked | Outcome):
            placed.append((place, getattr(entry, "at", NOON), entry, frozenset({entry.case})))
        for one in telling.told(entry).events if isinstance(entry, TakenIn) else ():
            if one.person is None:
                groups = [names_of(o) for observed in one.observed.values() for o in observed if o.kind != "seller"]
                aside += not any(one.observed.values())
                marks |= {one.mark: groups} if one.mark else {}
            else:
                deed = Deed.of(one.person)
                groups = marks.get(deed.value, []) if deed.event_seq else [frozenset({deed.case})]
            placed.extend((place, entry.at, one, names) for names in groups)
    return placed, aside


def names_of(one: Observation) -> frozenset[str]:
    return frozenset({f"{one.kind}:{one.key}", *(f"{kind}:{key}" for kind, key in one.links)})


def part_of(names: set[str], placed: Sequence[Placed]) -> Part:
    mine: dict[int, tuple[datetime, list[object]]] = {}
    for place, at, one, its in placed:
        if its & names:
            _, there = mine.setdefault(place, (at, []))
            there.extend([] if any(one is other for other in there) else [one])
    entries: list[tuple[int, parts.Placed]] = []
    outcomes: list[Outcome] = []
    for place, (at, ones) in mine.items():
        if isinstance(ones[0], Outcome):
            outcomes.append(ones[0])
        elif isinstance(ones[0], Stepped | Looked):
            entries.append((place, ones[0]))
        else:
            entries.append((place, ToldAt(at, tuple(one for one in ones if isinstance(one, Told)))))
    own = frozenset((kind, key) for kind, _, key in (name.partition(":") for name in names))
    return Part(0, tuple(entries), tuple(outcomes), own)


def really_cut(history: Iterable[Entry], rule_set: RuleSet, cutters: int = 1) -> tuple[list[Part], int]:
    """By several that take turns, as processes do."""
    with tempfile.TemporaryDirectory() as folder:
        each = [Cutter([rule_set], Path(folder) / str(number)) for number in range(cutters)]
        for number in range(cutters):
            (Path(folder) / str(number)).mkdir()

        def by(told: Iterable[Chunk]) -> Iterator[tuple[Chunk, Found]]:
            for number, chunk in enumerate(told):
                found = each[number % cutters].cut(chunk)
                found.piece = f"{number % cutters}/{found.piece}"
                yield chunk, found

        with Parts(parts.cut(history, [rule_set], Path(folder), by)) as found:
            return [replace(part, number=0) for part in found.every()], found.set_aside


@pytest.mark.parametrize("cutters", [1, 3])
@given(rows=drawn, size=st.integers(1, 9))
@settings(max_examples=60)
def test_a_cut_history_is_what_a_plain_cut_of_it_would_be(
    rule_set: RuleSet, cutters: int, rows: list[tuple[int, int, int]], size: int
) -> None:
    """Also where a late event joins what seemed to be two cases, and wherever chunks end."""
    history = history_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "ENTRIES", size)
        assert really_cut(history, rule_set, cutters) == plainly_cut(history, rule_set)


@given(rows=drawn, size=st.integers(1, 4000), together=st.integers(1, 5))
@settings(max_examples=60)
def test_a_file_is_cut_as_its_entries_are(rule_set: RuleSet, rows: list[tuple[int, int, int]], size: int, together: int) -> None:
    """Wherever chunks end, in the midst of what was taken in together too."""
    told = map(json.loads, written(history_of(rows)))
    lines = [{**line, "batch": number // together} if "event" in line else line for number, line in enumerate(told)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "BYTES", size)
        path = Path(folder) / "history.jsonl"
        path.write_text(text, encoding="utf-8")
        entries = list(read(path))
        assert entries == list(parsed(text.splitlines(), "given"))
        assert really_cut(read(path), rule_set, 2) == really_cut(entries, rule_set)


def a_line(minute: int) -> str:
    return next(iter(written([TakenIn(NOON + timedelta(minutes=minute), (an_order("A"),))])))


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([a_line(1), a_line(2), a_line(1)], r"h\.jsonl:3: .* is before .*the order of time"),
        ([a_line(1), "", "{", a_line(0)], r"h\.jsonl:3: not JSON"),
        ([a_line(2), a_line(1), "{"], r"h\.jsonl:2: .* is before"),
        ([a_line(1), a_line(2), '{"looked": "\udcff"}'], r"h\.jsonl:3: not UTF-8"),
    ],
)
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_the_first_fault_of_a_file_is_told_with_its_line_wherever_chunks_end(
    rule_set: RuleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], wanted: str, size: int
) -> None:
    monkeypatch.setattr(chunks, "BYTES", size)
    path = tmp_path / "h.jsonl"
    path.write_bytes("".join(line.rstrip("\n") + "\n" for line in lines).encode(errors="surrogateescape"))
    with pytest.raises(BadHistory, match=wanted):
        really_cut(read(path), rule_set)
    with pytest.raises(BadHistory, match=wanted):
        list(read(path))


def test_ranges_hold_every_part_once_and_a_large_one_stands_alone(rule_set: RuleSet, tmp_path: Path) -> None:
    """So that it can be begun first, and nobody has to wait for it at the end."""
    large = [TakenIn(NOON + timedelta(minutes=n), (rma(n, 0, NOON + timedelta(minutes=n)),)) for n in range(500)]
    small = [TakenIn(NOON + timedelta(days=1, minutes=n), (rma(1000 + n, n, NOON),)) for n in range(1, 400)]
    with Parts(parts.cut([*large, *small], [rule_set], tmp_path)) as found:
        ranges = found.ranges()
        numbers = [[part.number for part in found.of(some)] for some in ranges]
    assert sum(some.entries for some in ranges) == 899
    assert sum(numbers, []) == sorted(sum(numbers, []))  # noqa: RUF017
    assert [(len(its), some.entries) for some, its in zip(ranges, numbers, strict=True) if some.entries > 100] == [(1, 500)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    with small_disk(tmp_path / "disk") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(OSError, match=r"no room .* TMPDIR") as fault:
            backtest(Plan(CLIENT, CONTENTS), many(300), workers=workers)
    assert str(fault.value.filename).startswith(str(disk))


LIVED = """
import sys
from pathlib import Path
from engine.simulate.backtest import Plan, backtest
from tests.bench.replay import most_memory
from tests.simulate.test_parts import CLIENT, CONTENTS, many

result = backtest(Plan(CLIENT, CONTENTS, keep_cases=True), many(int(sys.argv[1])))
print(result.after.counts["cases"], len(result.cases), most_memory())
"""


def many(cases: int) -> Iterator[Entry]:
    """Seven events of each case, with others between them."""
    for number in range(cases + 7):
        at = NOON + timedelta(seconds=number)
        for since in range(7):
            if 0 <= number - since < cases:
                name, status = f"{number - since}", "Done" if since == 6 else "Approved"
                yield TakenIn(at, (an_order(f"O{name}", at) if since < 3 else an_rma(f"R{name}", f"O{name}", status, at),))


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell how much memory a process took")
def test_memory_does_not_grow_with_the_history(full: bool) -> None:
    """Of four times as many events a process takes at most 400 bytes for each more; holding them takes thousands."""
    cases = 8000 if full else 800
    small, large = (
        subprocess.run(
            [sys.executable, "-c", LIVED, str(size)], check=True, capture_output=True, text=True, cwd=MAIN
        ).stdout.split()
        for size in (cases, 4 * cases)
    )
    assert (int(small[0]), int(large[1])) == (cases, 4 * cases)
    assert (float(large[2]) - float(small[2])) * 2**20 < 400 * 7 * 3 * cases
