"""Files change while the service runs, in every way editors, checkouts and mistakes change them. Real files, a real watch."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.run.rules import reload as module
from engine.run.rules.watching import QUIET
from engine.store.sqlite import SqliteStore
from tests.run.files_world import (
    CLIENT_YAML,
    HOLD,
    MAIN,
    REFUND,
    SLOW,
    World,
    an_order,
    an_rma,
    opened,
    params,
    project,
    until,
    watched,
    write,
)  # fmt: skip
from tests.run.small import NOON

Story = Callable[[World], Awaitable[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path)


def told(root: Path, story: Story, quiet: float = 0.1) -> None:
    async def run() -> None:
        async with watched(root, quiet) as world:
            await story(world)

    asyncio.run(run())


def titled(text: str) -> str:
    return REFUND.replace("    group: refund", f"    title: {text}\n    group: refund")


def title(world: World) -> str:
    rule = world.service.rule_set.rule("refund_when_done")
    return rule.title if rule else ""


class TestWaysToChangeAFile:
    def test_a_write_in_place(self, root: Path) -> None:
        async def story(world: World) -> None:
            before = world.service.rule_set.hash
            world.write(refund=titled("changed"))
            await until(world, lambda: title(world) == "changed")
            assert world.rules["active"] != before
            assert world.rules["activated_by"] == "instep"
            assert world.rules["why"] == "files changed"

        told(root, story)

    def test_an_editor_that_writes_beside_and_renames(self, root: Path) -> None:
        async def story(world: World) -> None:
            for n in range(3):
                draft = root / f"rules/base/.refund.yaml.{n}.tmp"
                draft.write_text(titled(f"renamed {n}"))
                draft.replace(root / "rules/base/refund.yaml")
                await until(world, lambda wanted=f"renamed {n}": title(world) == wanted)

        told(root, story)

    def test_an_editor_that_moves_the_old_file_away_first(self, root: Path) -> None:
        async def story(world: World) -> None:
            path = root / "rules/base/refund.yaml"
            path.rename(path.with_name("refund.yaml~"))
            path.write_text(titled("anew"))
            await until(world, lambda: title(world) == "anew")

        told(root, story)

    def test_files_and_folders_that_come_move_and_go(self, root: Path) -> None:
        async def story(world: World) -> None:
            write(root, {"rules/base/more.yaml": SLOW.replace("slow:", "slower:")})
            await until(world, lambda: world.service.rule_set.rule("slower") is not None)
            (root / "rules/base/more.yaml").rename(root / "rules/base/other.yaml")
            await until(world, lambda: places(world, "slower") == "rules/base/other.yaml")
            (root / "rules/base/other.yaml").unlink()
            await until(world, lambda: world.service.rule_set.rule("slower") is None)
            write(root, {"rules/second/more.yaml": SLOW.replace("slow:", "slowest:")})
            write(root, {"rules/clients/acme/client.yaml": CLIENT_YAML + "extends: [base, second]\n"})
            await until(world, lambda: world.service.rule_set.rule("slowest") is not None)

        told(root, story)

    def test_a_checkout_of_twenty_files(self, root: Path) -> None:
        many = {f"rules/base/many_{n}.yaml": SLOW.replace("slow:", f"slow_{n}:").replace("for: 2d", "for: 3d") for n in range(20)}

        def git(*words: str) -> None:
            who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
            subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)

        git("init", "-q")
        (root / ".gitignore").write_text("acme.sqlite*\n")
        git("add", "-A")
        git("commit", "-qm", "one")
        git("branch", "-q", "one")
        write(root, many)
        git("add", "-A")
        git("commit", "-qm", "many")

        async def story(world: World) -> None:
            assert len(world.service.rule_set.rules) == 23
            git("checkout", "-q", "one")
            await until(world, lambda: len(world.service.rule_set.rules) == 3)
            git("checkout", "-q", "-")
            await until(world, lambda: len(world.service.rule_set.rules) == 23)
            assert [row.why for row in world.store.rule_sets.history(9)] == ["files changed", "files changed", "first start"]

        told(root, story, quiet=0.5)

    def test_a_burst_of_saves_is_read_when_it_is_over(self, root: Path) -> None:
        async def story(world: World) -> None:
            for n in range(30):
                world.write(refund=titled(f"save {n}") if n % 2 else "rules: {")
                await asyncio.sleep(0)
            await until(world, lambda: title(world) == "save 29")
            assert len(world.store.rule_sets.history(99)) == 2

        told(root, story, quiet=2)  # more than a busy machine takes from one save to the next

    def test_half_a_second_is_kept_quiet_by_default(self) -> None:
        assert QUIET == 0.5


def places(world: World, rule_id: str) -> str:
    rule = world.service.rule_set.rule(rule_id)
    return rule.place.file if rule else ""


class TestBadFiles:
    def test_a_bad_set_changes_nothing_and_says_where(self, root: Path) -> None:
        async def story(world: World) -> None:
            before = world.service.rule_set
            world.write(refund=REFUND.replace("rma.status", "rma.statuss"), slow="rules: [")
            both = {"rules/base/refund.yaml", "rules/base/slow.yaml"}
            await until(world, lambda: {p["file"] for p in world.rules["last_read"]["problems"]} == both)
            assert world.service.rule_set is before
            problems = world.rules["last_read"]["problems"]
            assert next(p for p in problems if p["code"] == "unknown-field")["line"] == 5
            assert "status" in next(p for p in problems if p["code"] == "unknown-field")["message"]
            await world.cases(1)
            assert len(world.shop.books.refunds) == 1
            world.write(refund=titled("mended"), slow=SLOW)
            await until(world, lambda: title(world) == "mended")
            assert world.rules["last_read"]["ok"]

        told(root, story)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda path: path.write_bytes(b"\xff\xfe\x00"),
            lambda path: path.write_text(""),
            lambda path: (path.unlink(), path.mkdir()),
            lambda path: path.write_text("rules:\n\tx: 1\n"),
        ],
        ids=["bytes", "empty", "a folder", "a tab"],
    )
    def test_client_yaml_spoilt_and_mended(self, root: Path, spoil: Callable[[Path], Any]) -> None:
        async def story(world: World) -> None:
            path = root / "rules/clients/acme/client.yaml"
            spoil(path)
            await until(world, lambda: not world.rules["last_read"]["ok"])
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            world.write(client=params(time_zone="Europe/London"))
            await until(world, lambda: world.service.rule_set.time_zone == "Europe/London")

        told(root, story)

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root: see the next test")
    def test_a_file_that_may_not_be_read(self, root: Path) -> None:
        async def story(world: World) -> None:
            path = root / "rules/base/refund.yaml"
            path.write_text(titled("secret"))
            path.chmod(0)
            await until(world, lambda: not world.rules["last_read"]["ok"])
            path.chmod(0o644)
            await until(world, lambda: title(world) == "secret")

        told(root, story)

    def test_what_cannot_be_read_is_tried_again_by_itself(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        locked = {root / "rules/base/refund.yaml"}
        really = Path.read_bytes

        def read_bytes(path: Path) -> bytes:
            if path in locked:
                raise PermissionError(13, "Permission denied")
            return really(path)

        monkeypatch.setattr(Path, "read_bytes", read_bytes)

        async def story(world: World) -> None:
            locked.add(root / "rules/base/refund.yaml")
            world.write(refund=titled("locked"))
            await until(world, lambda: not world.rules["last_read"]["ok"])
            (problem,) = world.rules["last_read"]["problems"]
            assert (problem["code"], problem["file"]) == ("unreadable-file", "rules/base/refund.yaml")
            locked.clear()
            await until(world, lambda: title(world) == "locked")

        locked.clear()
        told(root, story)

    @pytest.mark.parametrize("name", ["rules", "mappings", "rules/base", "rules/clients/acme", "mappings/returngo"])
    def test_a_folder_that_vanishes_for_a_while(self, root: Path, name: str) -> None:
        async def story(world: World) -> None:
            before = world.service.rule_set
            (root / name).rename(root / "away")
            await until(world, lambda: not world.rules["last_read"]["ok"] or world.rules["waiting"] is not None)
            assert world.service.rule_set is before
            (root / "away").rename(root / name)
            await until(world, lambda: world.rules["last_read"]["ok"] and world.rules["waiting"] is None)
            assert world.service.rule_set.hash == before.hash
            world.write(refund=titled("back again"))
            await until(world, lambda: title(world) == "back again")

        told(root, story)

    def test_a_fault_of_ours_is_shown_and_survived(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async def story(world: World) -> None:
            really = module.candidate_of
            monkeypatch.setattr(module, "candidate_of", lambda *_: 1 / 0)
            world.write(refund=titled("one"))
            await until(world, lambda: world.rules["last_read"]["fault"] != "")
            monkeypatch.setattr(module, "candidate_of", really)
            world.write(refund=titled("two"))
            await until(world, lambda: title(world) == "two")

        told(root, story)


class TestWaiting:
    def test_a_set_that_would_send_too_much_waits_with_its_cases(self, root: Path) -> None:
        write(root, {"rules/clients/acme/client.yaml": params(mode="shadow", max_new_effects=2)})

        async def story(world: World) -> None:
            await world.cases(3)
            world.write(client=params(max_new_effects=2))
            await until(world, lambda: world.rules["waiting"] is not None)
            waiting = world.rules["waiting"]
            assert waiting["reasons"] == ["it would at once send 3 effects in 3 cases; max_new_effects is 2"]
            assert [one["case"] for one in waiting["effects"]] == ["order:O0", "order:O1", "order:O2"]
            await world.service.step()
            assert world.shop.books.refunds == []
            asked = ask(world.store, waiting["hash"][:6])
            await until(world, lambda: world.rules["waiting"] is None)
            assert world.store.rule_sets.request_of(asked).fine  # type: ignore[union-attr]
            assert (world.rules["activated_by"], world.rules["why"]) == ("Ana", "activated by hand")
            await world.service.step()
            assert len(world.shop.books.refunds) == 3

        told(root, story)

    def test_a_set_that_would_end_a_veto_in_force_waits(self, root: Path) -> None:
        async def story(world: World) -> None:
            await world.cases(1, "Approved")
            world.write(hold="")
            await until(world, lambda: world.rules["waiting"] is not None)
            (veto,) = world.rules["waiting"]["vetoes"]
            assert (veto["case"], veto["rule"], veto["because"]) == ("order:O0", "hold_while_approved", "it is not done")
            world.write(hold=HOLD.replace("hold_while_approved:", "renamed:\n    was: hold_while_approved"))
            await until(world, lambda: world.service.rule_set.rule("renamed") is not None)
            assert world.rules["waiting"] is None

        told(root, story)

    def test_what_waits_is_given_up_when_the_files_change_back(self, root: Path) -> None:
        async def story(world: World) -> None:
            await world.cases(1, "Approved")
            world.write(hold="")
            await until(world, lambda: world.rules["waiting"] is not None)
            world.write(hold=HOLD)
            await until(world, lambda: world.rules["waiting"] is None)
            assert len(world.store.rule_sets.history(9)) == 1

        told(root, story)

    def test_another_connector_is_for_a_restart_and_a_changed_setting_is_said(self, root: Path) -> None:
        async def story(world: World) -> None:
            world.write(client=CLIENT_YAML.replace("shop_id: 1", "shop_id: 2") + "time_zone: Europe/London\n")
            await until(world, lambda: world.service.rule_set.time_zone == "Europe/London")
            assert world.rules["needs_restart"] == ["connectors.marketplace.shop_id"]
            shutil.copytree(MAIN / "mappings/ledger", root / "mappings/ledger")
            world.write(client=CLIENT_YAML + "  finance: {use: ledger, path: postings}\n")
            await until(world, lambda: world.rules["waiting"] is not None)
            assert world.rules["waiting"]["reasons"] == ["needs a restart: another connector for finance"]
            asked = ask(world.store, "")
            await world.reload.grant()
            assert world.store.rule_sets.request_of(asked).done_at is None  # type: ignore[union-attr]

        told(root, story)


def ask(store: SqliteStore, hash_: str) -> int:
    """As another process does."""
    return store.rule_sets.request(hash_, "Ana", NOON)


class TestMemory:
    def test_clocks_restart_only_where_the_rule_itself_changed_in_meaning(self, root: Path) -> None:
        async def story(world: World) -> None:
            await world.cases(1, "Approved")
            world.passed(days=1)
            world.write(refund=titled("other rules changed"), slow=SLOW.replace("severity: low", "severity: high"))
            await until(world, lambda: title(world) == "other rules changed")
            await world.service.step()
            world.passed(days=1, seconds=1)
            await world.service.step()
            assert [row.entry.rule for row in world.store.exceptions.listed()] == ["slow"]
            world.write(slow=SLOW.replace("for: 2d", "for: 50h").replace("slow:", "slow2:\n    was: slow"))
            await until(world, lambda: world.service.rule_set.rule("slow2") is not None)
            await world.service.step()
            world.passed(hours=49)
            await world.service.step()
            assert "slow2" not in [row.entry.rule for row in world.store.exceptions.listed()]
            world.passed(hours=2)
            await world.service.step()
            assert [row.entry.rule for row in world.store.exceptions.listed()] == ["slow2"]

        told(root, story)

    def test_a_renamed_rule_keeps_its_clock(self, root: Path) -> None:
        async def story(world: World) -> None:
            await world.cases(1, "Approved")
            world.passed(days=1)
            world.write(slow=SLOW.replace("slow:", "slow2:\n    was: slow"))
            await until(world, lambda: world.service.rule_set.rule("slow2") is not None)
            await world.service.step()
            world.passed(days=1, seconds=1)
            await world.service.step()
            assert [row.entry.rule for row in world.store.exceptions.listed()] == ["slow2"]

        told(root, story)

    def test_a_value_added_to_an_enum_heals_what_was_unreadable(self, root: Path) -> None:
        async def story(world: World) -> None:
            await world.hear(an_order("O0"), an_rma("1000", "O0", "Finished"))
            world.shop.books.orders["O0"] = {}
            path = root / "mappings/returngo/rma.yaml"
            path.write_text(path.read_text().replace("Done: done,", "Done: done, Finished: done,"))
            await until(world, lambda: world.rules["waiting"] is not None)
            assert [veto["rule"] for veto in world.rules["waiting"]["vetoes"]] == ["hold_while_approved"]  # unknown bound too
            ask(world.store, "")
            await until(world, lambda: len(world.store.rule_sets.history(9)) == 2)
            world.passed(days=1)
            await world.service.step()
            assert len(world.shop.books.refunds) == 1

        told(root, story)


class TestChoosingByHand:
    def test_an_older_set_is_chosen_and_the_files_are_left_alone_until_they_change(self, root: Path) -> None:
        async def story(world: World) -> None:
            first = world.service.rule_set.hash
            world.write(refund=titled("second"))
            await until(world, lambda: title(world) == "second")
            ask(world.store, first)
            await until(world, lambda: world.service.rule_set.hash == first)
            assert world.rules["passed_over"]
            write(root, {"rules/base/touched.txt": "not a rule file"})
            os.utime(root / "rules/base/refund.yaml")
            await world.reload.read()
            assert world.service.rule_set.hash == first
            world.write(refund=titled("third"))
            await until(world, lambda: title(world) == "third")
            assert not world.rules["passed_over"]
            assert [(r.activated_by, r.why) for r in world.store.rule_sets.history(9)] == [
                ("instep", "files changed"), ("Ana", "chosen by hand"), ("instep", "files changed"), ("instep", "first start"),
            ]  # fmt: skip

        told(root, story)

    def test_it_stays_chosen_over_a_restart_and_the_files_can_be_chosen_again(self, root: Path) -> None:
        async def first(world: World) -> None:
            one = world.service.rule_set.hash
            world.write(refund=titled("second"))
            await until(world, lambda: title(world) == "second")
            ask(world.store, one)
            await until(world, lambda: world.rules["passed_over"])

        async def again(world: World) -> None:
            assert title(world) == ""
            assert world.rules["passed_over"]
            ask(world.store, "")
            await until(world, lambda: title(world) == "second")
            assert not world.rules["passed_over"]

        told(root, first)
        told(root, again)

    def test_a_hash_that_names_nothing_is_refused_with_those_there_are(self, root: Path) -> None:
        async def story(world: World) -> None:
            asked = ask(world.store, "nothing")
            await world.reload.grant()
            request = world.store.rule_sets.request_of(asked)
            assert request is not None
            assert not request.fine
            assert world.service.rule_set.hash in request.outcome

        told(root, story)


class TestStarting:
    def test_with_bad_files_the_last_set_goes_on(self, root: Path) -> None:
        world = opened(root)
        asyncio.run(world.service.close())
        write(root, {"rules/base/refund.yaml": "rules: {"})
        again = opened(root)
        assert again.service.rule_set.hash == world.service.rule_set.hash
        assert not again.rules["last_read"]["ok"]
        asyncio.run(again.service.close())

    def test_files_changed_meanwhile_are_compared_too(self, root: Path) -> None:
        write(root, {"rules/clients/acme/client.yaml": params(mode="shadow", max_new_effects=0)})

        async def begin() -> World:
            world = opened(root)
            await world.cases(1)
            await world.service.close()
            return world

        world = asyncio.run(begin())
        write(root, {"rules/clients/acme/client.yaml": params(max_new_effects=0)})
        again = opened(root, world.clock, world.shop)
        assert again.service.rule_set.hash == world.service.rule_set.hash
        assert again.rules["waiting"]["reasons"] == ["it would at once send 1 effect in 1 case; max_new_effects is 0"]
        asyncio.run(again.service.step())
        assert again.shop.books.refunds == []
        asked = ask(again.store, "")
        asyncio.run(again.service.close())
        third = opened(root, world.clock, world.shop)
        assert third.store.rule_sets.request_of(asked).fine  # type: ignore[union-attr]
        assert third.rules["activated_by"] == "Ana"
        asyncio.run(third.service.step())
        assert len(third.shop.books.refunds) == 1
        asyncio.run(third.service.close())

    def test_an_older_set_asked_for_meanwhile_is_begun_with(self, root: Path) -> None:
        first = opened(root)
        asyncio.run(first.service.close())
        write(root, {"rules/base/refund.yaml": titled("second")})
        second = opened(root)
        assert title(second) == "second"
        ask(second.store, first.service.rule_set.hash)
        asyncio.run(second.service.close())
        third = opened(root)
        assert (title(third), third.rules["passed_over"], third.rules["activated_by"]) == ("", True, "Ana")
        asyncio.run(third.service.close())


def test_outbound_codes_are_changed_while_it_runs(root: Path) -> None:
    async def story(world: World) -> None:
        write(root, {"mappings/mirakl/codes.yaml": "to: mirakl\ncodes:\n  marketplace.refund.reason: {damaged: '7'}\n"})
        await until(world, lambda: bool(world.service.rule_set.codes))
        assert dict(world.service._codes) == {"marketplace.refund.reason": {"damaged": "7"}}

    told(root, story)
