"""A whole rule set in shadow beside the active one: what it would do is told, nothing of it is sent, and nothing waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.run.hearing.deeds import Deed
from engine.run.rules.refs import files_at
from engine.simulate.candidates import beside as module
from engine.simulate.candidates import work
from engine.simulate.candidates.beside import Refused
from engine.simulate.candidates.process import Answered, Asked, Beyond, CandidateGone
from engine.store.sqlite import SqliteStore
from tests.run.files_world import FILES, HOLD, SLOW, an_order, an_rma, opened, params, write
from tests.run.small import NOON
from tests.simulate.beside_world import AT_ONCE, Here, Watched, beside_of, watched

NO_HOLD = HOLD.replace("    group: hold", "    group: hold\n    mode: off")
EARLY: Mapping[str, str] = {"rules/base/refund.yaml": AT_ONCE, "rules/base/hold.yaml": NO_HOLD}
LATE: Mapping[str, str] = {
    "rules/base/refund.yaml": FILES["rules/base/refund.yaml"].replace("    each: rma", "    each: rma\n    for: 2h")
}
ASKS = """\
rules:
  slow:
    group: sync
    each: rma
    when: ['rma.status == "approved"']
    then: [{raise: {owner: operations, severity: low, title: "{rma.id} is slow", runbook: look, answers: {wait: we wait}}}]
"""
Story = Callable[[Watched], Awaitable[None]]


def told(root: Path, changes: Mapping[str, str], story: Story, *, start: bool = True) -> Any:
    """What the report says after a story with a candidate beside it."""

    async def run() -> Any:
        beside = watched(root, changes)
        if start:
            await beside.beside.start(str(beside.folder), "ana")
        try:
            await story(beside)
            return beside.report().result if beside.world.store.candidates.runs(1) else None
        finally:
            await beside.closed()

    return asyncio.run(run())


def what(result: Any) -> list[tuple[str, str, str]]:
    return [(d.case, d.what, d.key) for d in result.differences]


async def two_orders(beside: Watched) -> None:
    """A is approved, an hour later done, and refunded; B is approved and cancelled."""
    beside.world.shop.books.orders |= {"A": {}, "B": {}}
    await beside.hear(an_order("A"), an_rma("1", "A", "Approved"), an_order("B"), an_rma("2", "B", "Approved"))
    await beside.passes(hours=1)
    now = beside.world.clock()
    await beside.hear(an_rma("1", "A", "Done", now), an_rma("2", "B", "Canceled", now))
    await beside.passes(hours=5)


class TestWhatItWouldHaveDone:
    def test_effects_earlier_and_added(self, tmp_path: Path) -> None:
        result = told(tmp_path, EARLY, two_orders)
        assert what(result) == [
            ("order:A", "effect earlier", "refund:A-1#1"),
            ("order:B", "effect added", "refund:B-1#1"),
        ]
        earlier, added = result.differences
        assert (earlier.at, earlier.reaction) == (NOON, False)
        assert added.now == "marketplace.refund 50.00 EUR at 2026-11-01 12:00Z by refund_at_once"
        assert str(added.amount) == "50.00 EUR"
        assert result.before.money == {("2026-11-01", "refund_when_done", "EUR"): 50}
        assert result.after.money == {("2026-11-01", "refund_at_once", "EUR"): 100}

    def test_an_effect_later_by_its_own_clock(self, tmp_path: Path) -> None:
        result = told(tmp_path, LATE, two_orders)
        (later,) = result.differences
        assert (later.case, later.what, later.key) == ("order:A", "effect later", "refund:A-1#1")
        assert (later.was, later.now) == ("2026-11-01 13:00Z by refund_when_done", "2026-11-01 15:00Z by refund_when_done")

    def test_an_effect_gone_and_its_refund_is_not_seen(self, tmp_path: Path) -> None:
        never = {
            "rules/base/refund.yaml": FILES["rules/base/refund.yaml"].replace("    each: rma", "    mode: off\n    each: rma")
        }
        result = told(tmp_path, never, two_orders)
        assert what(result) == [("order:A", "effect gone", "refund:A-1#1")]

    def test_exceptions_added_and_gone_and_vetoes(self, tmp_path: Path) -> None:
        slower = SLOW.replace("for: 2d", "for: 20m")
        result = told(tmp_path, {"rules/base/slow.yaml": slower, "rules/base/refund.yaml": AT_ONCE}, two_orders)
        found = {(case, kind) for case, kind, _ in what(result)}
        assert {("order:A", "exception added"), ("order:B", "exception added")} <= found
        assert {("order:A", "withheld added"), ("order:B", "withheld added")} <= found
        gone = told(
            tmp_path / "gone",
            {"rules/base/slow.yaml": "rules: {}\n"},
            _waits_three_days,
        )
        assert {(d.case, d.what, d.rule) for d in gone.differences} == {("order:A", "exception gone", "slow")}

    def test_what_comes_after_an_earlier_difference_depends_on_the_world(self, tmp_path: Path) -> None:
        slower = {**EARLY, "rules/base/slow.yaml": SLOW.replace("for: 2d", "for: 20m")}
        result = told(tmp_path, slower, two_orders)
        assert {(d.what, d.reaction) for d in result.differences if d.case == "order:B"} == {
            ("effect added", False),
            ("exception added", True),
        }
        assert result.reactions == sum(d.reaction for d in result.differences) > 0

    def test_cases_that_were_open_before_are_taken_up_as_they_stood(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            beside.world.shop.books.orders |= {"A": {}, "B": {}}
            await beside.world.hear(an_order("A"), an_rma("1", "A", "Approved"), an_order("B"), an_rma("2", "B", "Done"))
            beside.world.passed(hours=1)
            await beside.beside.start(str(beside.folder), "ana")
            await beside.beside.all_done()
            await beside.passes(minutes=5)

        result = told(tmp_path, EARLY, story, start=False)
        assert what(result) == [("order:A", "effect added", "refund:A-1#1")]
        assert (result.before.money, list(result.after.money.values())) == ({}, [50])


async def _waits_three_days(beside: Watched) -> None:
    await beside.hear(an_order("A"), an_rma("1", "A", "Approved"))
    await beside.passes(hours=72)


class TestNothingOfItIsReal:
    def test_no_outbox_row_no_call_and_the_same_decisions_as_without_it(self, tmp_path: Path) -> None:
        def lived(root: Path, *, start: bool) -> tuple[Any, ...]:
            seen: list[Any] = []

            async def story(beside: Watched) -> None:
                await two_orders(beside)
                store = beside.world.store
                seen.append([(d.case, d.now, d.rule_set, d.digest) for d in store.cases.decisions(0, 1000)])
                seen.append([(row.case, row.entry) for row in store.outbox.every(0, 1000)])
                seen.append(store.outbox.steps(0, 1000))
                seen.append([row for case in store.cases.listed(only_open=False, limit=100) for row in [case]])
                seen.append((beside.world.shop.asked, beside.world.shop.books.refunds))

            told(root, EARLY, story, start=start)
            return tuple(seen)

        without, beside = lived(tmp_path / "without", start=False), lived(tmp_path / "with", start=True)
        assert len(without[1]) == 1
        assert beside == without

    def test_the_process_that_decides_is_given_a_rule_set_and_nothing_else(self) -> None:
        beyond = Beyond({}, "acme", NOON)
        assert {type(value) for value in beyond._begin} == {dict, str, type(NOON)}

    def test_a_case_it_cannot_decide_stops_it_after_a_few_and_is_told(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            for n in range(8):
                beside.world.shop.books.orders[f"O{n}"] = {}
                await beside.hear(an_order(f"O{n}"), an_rma(str(n), f"O{n}", "Done"))
            run = beside.world.store.candidates.runs(1)[0]
            assert run.why_ended == "stopped: it could not decide 5 times, last order:O4: RuntimeError: a fault of ours"
            assert run.faults == 5
            assert beside.beside.status() is None
            assert len(beside.world.shop.books.refunds) == 8

        class Faulty(Here):
            async def answer(self, asked: Asked) -> Answered:
                cases = [f"{one.case.id}: RuntimeError: a fault of ours" for one in asked.work]
                return Answered({}, (), 0, cases[:1])

        async def run() -> None:
            beside = watched(tmp_path, EARLY)
            beside.beside._begin = Faulty
            await beside.beside.start(str(beside.folder), "ana")
            await story(beside)
            await beside.closed()

        asyncio.run(run())

    def test_a_process_that_dies_is_started_again_and_what_was_lost_is_looked_at_as_it_is(self, tmp_path: Path) -> None:
        deaths = [2, 1]

        class Mortal(Here):
            async def answer(self, asked: Asked) -> Answered:
                if deaths:
                    deaths.pop()
                    raise CandidateGone("its process ended (-9)")
                return await super().answer(asked)

        async def run() -> None:
            beside = watched(tmp_path, EARLY)
            beside.beside._begin = Mortal
            await beside.beside.start(str(beside.folder), "ana")
            await two_orders(beside)
            assert ("order:B", "effect added", "refund:B-1#1") in what(beside.report().result)
            assert beside.report().run.faults == 2
            await beside.closed()

        asyncio.run(run())


class TestTheWorldItShares:
    def test_the_end_of_an_effect_of_both_is_the_real_one(self, tmp_path: Path) -> None:
        from engine.facts.outside import Refused as No  # noqa: PLC0415

        async def story(beside: Watched) -> None:
            beside.world.shop.books.orders |= {"A": {}}
            await beside.hear(an_order("A"), an_rma("1", "A", "Approved"))
            await beside.passes(hours=1)
            beside.world.shop.before = [No("not_refundable", "it cannot be")]
            await beside.hear(an_rma("1", "A", "Done", beside.world.clock()))
            await beside.passes(hours=4)

        late = told(tmp_path / "late", LATE, story)
        assert [d.what for d in late.differences if d.what.startswith("effect")] == ["effect later"]
        (effect,) = late.stories[0].after.effects
        assert (effect.status, effect.reason) == ("refused", "not_refundable")
        early = told(tmp_path / "early", EARLY, story)
        (effect,) = early.stories[0].after.effects
        assert (effect.status, effect.reason, effect.sent_at) == ("refused", "not_refundable", NOON)

    def test_answers_of_people_count_for_both_where_both_ask(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            write(beside.world.root, {"rules/base/slow.yaml": ASKS})
            await beside.world.reload.read()
            await beside.beside.all_done()
            await beside.hear(an_order("A"), an_rma("1", "A", "Approved"))
            (row,) = beside.world.store.exceptions.listed()
            await beside.hear(Deed("person.answer", "order:A", row.entry.key, "ann", "wait").event(beside.world.clock()))

        both = told(tmp_path / "both", {"rules/base/slow.yaml": ASKS, **EARLY}, story)
        assert [x.why for x in both.stories[0].after.exceptions] == ["decided by a person"]
        assert both.after.counts["missed_answers"] == 0
        one = told(tmp_path / "one", EARLY, story)
        assert one.after.counts["missed_answers"] == 1


class TestItsLife:
    def test_other_mappings_and_what_means_the_same_are_refused(self, tmp_path: Path) -> None:
        other = FILES["mappings/returngo/rma.yaml"].replace("Done: done", "Done: done, Gone: done")

        async def story(beside: Watched) -> None:
            for ref, said in (
                (str(beside.folder), "maps payloads otherwise than the active rule set"),
                (str(beside.world.root), "means the same as the active rule set"),
                ("nowhere", '"nowhere" names no rule set: no folder nowhere'),
            ):
                with pytest.raises(Refused, match=said):
                    await beside.beside.start(ref, "ana")

        assert told(tmp_path, {"mappings/returngo/rma.yaml": other}, story, start=False) is None

    def test_it_goes_on_after_a_restart_where_it_was(self, tmp_path: Path) -> None:
        async def run() -> None:
            beside = watched(tmp_path, LATE)
            await beside.beside.start(str(beside.folder), "ana")
            beside.world.shop.books.orders |= {"A": {}}
            await beside.hear(an_order("A"), an_rma("1", "A", "Done"))
            await beside.passes(minutes=30)
            await beside.world.hear(an_order("B"), an_rma("2", "B", "Approved"))  # decided, and never followed
            await beside.closed()
            again = opened(beside.world.root, beside.world.clock, beside.world.shop)
            beside = Watched(again, beside_of(again), beside.folder)
            await beside.beside.resume()
            await beside.passes(hours=2)
            report = beside.report()
            assert [run.id for run in report.runs] == [1]
            assert report.result.after.counts["cases"] == 2
            (later,) = report.result.differences
            assert later.now == "2026-11-01 14:00Z by refund_when_done"
            await beside.closed()

        asyncio.run(run())

    def test_a_folder_is_read_again_and_begins_anew(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            await two_orders(beside)
            before = beside.report()
            write(beside.folder, {"rules/base/slow.yaml": "rules: [\n"})
            await beside.beside.read_again()
            await beside.beside.read_again()
            assert "makes no rule set: rules/base/slow.yaml:2:1" in beside.beside.status()["problem"]
            write(beside.folder, {"rules/base/slow.yaml": SLOW.replace("2d", "3d")})
            await beside.beside.read_again()
            assert beside.report().run.id == 1
            await beside.beside.read_again()
            now = beside.report()
            assert (now.run.id, now.runs[1].why_ended, beside.beside.status()["problem"]) == (2, "its files changed", "")
            assert now.result.differences == []
            assert what(beside.report(1).result) == what(before.result)

        told(tmp_path, EARLY, story)

    def test_another_active_set_begins_anew_and_its_own_activation_ends_it(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            await two_orders(beside)
            write(beside.world.root, {"rules/base/slow.yaml": SLOW.replace("2d", "3d")})
            await beside.world.reload.read()
            await beside.beside.all_done()
            runs = beside.report().runs
            assert (runs[0].against, runs[1].why_ended) == (
                beside.world.service.rule_set.hash,
                f"{runs[0].against} is active now",
            )
            write(beside.folder, {"rules/base/slow.yaml": SLOW.replace("2d", "3d")})
            await beside.beside.read_again()
            await beside.beside.read_again()
            write(beside.world.root, dict(EARLY))
            await beside.world.reload.read()
            waiting = beside.world.rules["waiting"]
            beside.world.store.rule_sets.request(waiting["hash"] if waiting else "", "ben", beside.world.clock())
            await beside.world.reload.grant()
            await beside.beside.all_done()
            assert beside.report().run.why_ended == "it is the active rule set now"
            assert beside.beside.status() is None
            assert beside.world.service.worker.told is None
            assert what(beside.report(1).result)[0] == ("order:A", "effect earlier", "refund:A-1#1")

        told(tmp_path, EARLY, story)

    def test_what_is_asked_of_a_running_service_is_done_and_answered(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            candidates = beside.world.store.candidates
            wanted = [
                (candidates.request(str(beside.folder), "ana", NOON), True, "runs beside"),
                (candidates.request(str(beside.folder), "ben", NOON), True, "already"),
                (candidates.request("", "ben", NOON), True, "no longer runs beside the active rule set"),
                (candidates.request("", "ben", NOON), False, "no candidate runs"),
                (candidates.request("zzzz", "ben", NOON), False, "names no rule set"),
            ]
            await beside.beside.grant()
            for number, fine, outcome in wanted:
                request = candidates.request_of(number)
                assert request is not None
                assert request.fine is fine
                assert outcome in request.outcome
            assert candidates.requested() == []
            assert candidates.runs(1)[0].why_ended == "stopped by ben"
            trail = [(entry.by, entry.did, entry.about) for entry in beside.world.store.audit.entries(0, 100)]
            hash_ = candidates.runs(1)[0].hash
            assert trail[-2:] == [("ana", "put in shadow", hash_), ("ben", "took out of shadow", hash_)]

        told(tmp_path, EARLY, story, start=False)

    def test_with_too_much_at_once_the_latest_cases_are_followed_and_the_others_begin_anew(self, tmp_path: Path) -> None:
        async def story(beside: Watched) -> None:
            beside.beside._waiting._most = 4
            for n in range(6):
                await beside.world.hear(an_order(f"O{n}"))
            assert len(beside.beside._waiting) <= 4
            await beside.beside.all_done()
            assert beside.report().run.anew >= 2
            await beside.world.hear(an_rma("1", "O0", "Approved", NOON))
            await beside.hear(an_rma("2", "O5", "Approved", NOON))
            await beside.passes(minutes=2)
            assert {d.case for d in beside.report().result.differences} == {"order:O0", "order:O5"}

        told(tmp_path, EARLY, story)

    def test_figures_go_on_when_the_oldest_details_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(work, "RETIRED", 3)

        async def story(beside: Watched) -> None:
            beside.beside._work._most_kept = 4
            for n in range(9):
                beside.world.shop.books.orders[f"O{n}"] = {}
                await beside.hear(an_order(f"O{n}"), an_rma(str(n), f"O{n}", "Approved"))
                await beside.passes(minutes=2)

        result = told(tmp_path, EARLY, story)
        assert len(result.stories) <= 4
        assert result.differing == 9
        assert result.kinds["effect added", "refund_at_once"] == 9
        assert result.after.counts["cases"] == 9
        assert sum(result.after.money.values()) == 450


def test_beside_a_service_it_does_what_is_asked_and_ends_with_it_whatever_it_is_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0)
    monkeypatch.setattr(module, "GLANCE", 0)

    async def run() -> None:
        beside, asked = watched(tmp_path, EARLY), asyncio.Event()

        class Endless(Here):
            async def answer(self, _: Asked) -> Answered:
                asked.set()
                await asyncio.Event().wait()
                raise AssertionError

        beside.beside._begin = Endless
        stop = asyncio.Event()
        running = asyncio.create_task(beside.beside.run(stop))
        beside.world.store.candidates.request(str(beside.folder), "ana", NOON)
        await beside.world.hear(an_order("A"), an_rma("1", "A", "Approved"))
        async with asyncio.timeout(30):
            await asked.wait()
        assert beside.beside.status()["by"] == "ana"
        stop.set()
        await running
        assert beside.world.service.worker.told is None
        assert beside.world.store.candidates.running() is not None
        await beside.world.service.close()

    asyncio.run(run())


class TestInAProcessOfItsOwn:
    def test_it_answers_and_ends(self, tmp_path: Path) -> None:
        async def run() -> None:
            beside = watched(tmp_path, EARLY)
            beside.beside._begin = Beyond
            await beside.beside.start(str(beside.folder), "ana")
            await two_orders(beside)
            assert ("order:B", "effect added", "refund:B-1#1") in what(beside.report().result)
            deciding = beside.beside._deciding
            assert isinstance(deciding, Beyond)
            process = deciding._process
            assert process is not None
            process.kill()
            process.join()
            await beside.hear(an_order("C"), an_rma("3", "C", "Approved"))
            assert beside.report().run.fault == "its process ended (-9)"
            assert beside.report().result.after.counts["cases"] == 3
            await beside.closed()
            assert deciding._process is None

        asyncio.run(run())

    def test_one_that_does_not_answer_is_ended(self, tmp_path: Path) -> None:
        folder = watched(tmp_path, EARLY)
        beyond = Beyond(files_at(str(folder.folder), tmp_path, None).contents, "acme", NOON, patience=0)
        with pytest.raises(CandidateGone, match="it gave no answer for 0 s"):
            asyncio.run(beyond.answer(Asked({}, ())))
        assert beyond._process is None
        asyncio.run(folder.closed())


def typed(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


class TestAsTyped:
    @pytest.fixture
    def database(self, tmp_path: Path) -> Path:
        told(tmp_path, EARLY, two_orders)
        return tmp_path / "acme.sqlite"

    def test_the_report_reads(self, database: Path) -> None:
        run = typed("shadow", "report", "acme", "--database", str(database))
        assert run.exit_code == 0
        for said in (
            "decisions followed, 2 cases looked at",
            "2 cases differ",
            "1  effect earlier",
            "refunded by rule",
            "refund_at_once, EUR",
            "order:B",
            "instep explain order:A --database",
            "instep simulate acme --database",
        ):
            assert said in run.output

    def test_for_programs_and_as_a_page(self, database: Path, tmp_path: Path) -> None:
        page = tmp_path / "page.html"
        run = typed("shadow", "report", "acme", "--database", str(database), "--json", "--html", str(page))
        told = json.loads(run.output)["candidate"]
        assert (told["run"], told["differing_cases"], told["looks"] > 5) == (1, 2, True)
        assert {one["what"] for one in told["differences"]} == {"effect earlier", "effect added"}
        text = page.read_text()
        assert "a candidate beside the active rules" in text
        assert "order:B" in text
        assert "mirakl.order" in text

    def test_one_rule_and_an_earlier_run(self, database: Path) -> None:
        later = typed("shadow", "report", "acme", "--database", str(database), "--since", "2026-11-02", "--json")
        assert json.loads(later.output)["candidate"]["differences"] == []
        gone = typed("shadow", "report", "acme", "--database", str(database), "--run", "7")
        assert gone.exit_code == 2
        assert "there is no run 7: the runs are 1 to 1" in gone.output

    def test_a_service_does_not_start_with_a_candidate_that_is_none(
        self, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ACME_KEY", "k")
        run = typed("run", "acme", "--root", str(tmp_path), "--database", str(database), "--candidate", "nowhere")
        assert run.exit_code == 2
        assert '--candidate: "nowhere" names no rule set: no folder nowhere' in run.output + run.stderr

    def test_without_a_service_it_is_noted_for_the_next_start(self, database: Path, tmp_path: Path) -> None:
        root = str(database)
        assert "No candidate" not in typed("shadow", "stop", "acme", "--by", "ana", "--database", root).output
        started = typed("shadow", "start", "acme", str(tmp_path / "candidate"), "--by", "ana", "--database", root)
        assert started.exit_code == 0
        assert "Noted. No service is running: it is done at the next start." in started.output
        with_it = SqliteStore.open(database, as_="visitor")
        assert [bool(one.ref) for one in with_it.candidates.requested()] == [False, True]
        with_it.close()
        other = typed("shadow", "start", "northwind", "x", "--by", "ana", "--database", root)
        assert "this is the store of acme, not of northwind" in other.output


def test_settings_of_its_client_count_too(tmp_path: Path) -> None:
    result = told(tmp_path, {"rules/clients/acme/client.yaml": params(mode="shadow")}, two_orders)
    assert [(d.case, d.what, d.was, d.now) for d in result.differences] == [
        ("order:A", "effect ended otherwise", "settled", "planned")
    ]
