"""Whatever is changed in a store by anyone but instep is found, with its place and what to do."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from engine.cli.safekeeping import verified
from engine.facts.outside import Refused, Unsure
from engine.run.kept.verify import verify
from engine.store.sqlite import SqliteStore
from engine.store.sqlite.journal import digest_of
from tests.run.files_world import opened, project
from tests.run.small import NOON, a_sale, an_order, an_rma, client, plain
from tests.store.faults import flip
from tests.store.test_trouble import write_and_die

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in the middle of things: settled, refused and unsure refunds, one that waits, exceptions, and time to come."""
    path = tmp_path_factory.mktemp("sound") / "a.db"
    world = client(path)
    world.shop.books.orders |= {name: {} for name in "BCDE"}

    def hear(order: str, rma: str, **more: str) -> None:
        sale = f"S{order}"
        world.service.hear([an_order(order), a_sale(sale, order), an_rma(rma, sale_id=sale, **more)])
        asyncio.run(world.service.step())

    hear("A", "1")
    hear("B", "2", status="approved")
    hear("C", "3", status="rejected")
    world.shop.before.append(Refused("closed", "the order is closed"))
    hear("D", "4")
    world.shop.after.append(Unsure("no answer"))
    world.shop.books.lag = HOUR
    hear("E", "5")
    world.service.hear([plain("order", None)])
    asyncio.run(world.service.step())
    assert sorted(world.effects().values()) == ["refused", "settled", "unsure"]
    asyncio.run(world.service.close())
    return path


def test_a_sound_store_is_found_sound(sound: Path) -> None:
    findings, looked_at = verified(sound, replay=False)
    assert findings == []
    assert looked_at["effects"] == 3


def doubled(table: str, where: str, **changes: str) -> Callable[[sqlite3.Connection], str]:
    """The statement that writes a row of a table once more, but for some columns, however many that has by now."""

    def statement(raw: sqlite3.Connection) -> str:
        names = [name for _, name, *_ in raw.execute(f"pragma table_info({table})")]
        values = [({"id": "9999"} | changes).get(name, name) for name in names]
        return f"insert into {table} ({', '.join(names)}) select {', '.join(values)} from {table} where {where}"

    return statement


PLANTED = {
    "an event that is gone": (
        "delete from journal where seq = (select min(seq) + 1 from journal)", "journal sequence", "event 2 is not there",
    ),
    "a payload that was changed": (
        "update journal set payload = replace(payload, '50.00', '90.00') where seq = 1", "journal digests", "journal 1",
    ),
    "a repeat of nothing": (
        doubled("journal", "seq = 1", seq="(select max(seq) + 1 from journal)", payload="null", repeats="9999"),
        "journal digests", "the event it repeats is not there",
    ),
    "a position past the end": ("update position set journal_seq = 9999", "position", "the journal ends at"),
    "a position put back": ("update position set journal_seq = 1", "position", "they would be taken in again"),
    "an effect twice": (
        doubled("effects", "status = 'settled'", case_id="(select id from cases where name = 'order:B')"),
        "effect keys", "more than once: order:A (settled), order:B (settled)",
    ),
    "a refund made to be sent again": (
        "update effects set status = 'planned', due_at = planned_at where status = 'settled'",
        "effect statuses", "there is a receipt of it: it took place",
    ),
    "an unsure refund made to be sent again": (
        "update effects set status = 'planned' where status = 'unsure'", "effect statuses", "its last step was unsure",
    ),
    "a settled refund without its receipt": (
        "update effects set receipt = '{}' where status = 'settled'", "effect statuses", "no receipt is kept",
    ),
    "an unsure refund that was never sent": (
        "update effects set sent_at = null where status = 'unsure'", "effect statuses", "is unsure, but was never sent",
    ),
    "a refusal without a reason": (
        "update effects set reason = '' where status = 'refused'", "effect statuses", "is refused, but not why",
    ),
    "a unit refunded twice": (
        doubled("effects", "status = 'settled'", key="key || 'x'"), "units", "unit A-1#1 was refunded by more than one effect",
    ),
    "an effect nobody remembers": (
        "update cases set memory = json_set(memory, '$.effects', json('[]')) where name = 'order:A'",
        "memory", "is settled, and it remembers nothing of it",
    ),
    "an effect without a row": (
        "delete from receipts; delete from effects where status = 'settled'", "memory", "of which there is no row",
    ),
    "another amount": (
        "update effects set params = replace(params, '50.00', '5.00') where status = 'unsure'", "memory", "it remembers params",
    ),
    "an exception nobody is told of": (
        "delete from exceptions where rule = 'rejected'", "memory", "nobody is told of it",
    ),
    "an exception nobody remembers": (
        doubled("exceptions", "rule = 'rejected'", key="'other'"),
        "memory", "the exception other is open, and it remembers nothing of it",
    ),
    "an exception snoozed by hand": (
        "update exceptions set state = 'snoozed' where rule = 'rejected'", "memory", "it remembers that it is open",
    ),
    "a memory that cannot be read": ("update cases set memory = '{' where name = 'order:A'", "memory", "cannot be read"),
    "a wake-up that is gone": ("update cases set wake_at = null where name = 'order:B'", "waking", "is looked at never"),
    "a wake-up put off": (
        "update cases set wake_at = '2036-01-01T00:00:00.0Z' where name = 'order:B'", "waking", "is looked at only at 2036",
    ),
    "a case that waits, closed": ("update cases set open = 0 where name = 'order:B'", "waking", "counts as closed"),
    "a case that failed and is never tried again": (
        "update cases set failures = 1, wake_at = null where name = 'order:B'", "waking", "never tried again",
    ),
    "a decision that was changed": (
        "update decisions set trace = trace || ' ' where id = 3", "decision digests", "decision 3",
    ),
    "a row of a case that is not there": (
        "update case_records set case_id = 9999 where case_id = 1", "foreign keys", "a row of cases that is not there",
    ),
    "somebody else in the audit trail": (
        "drop trigger audit_is_never_changed; update audit set who = 'Mallory' where id = 1", "audit trail", "audit 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_what_was_changed_is_found(sound: Path, tmp_path: Path, planted: str) -> None:
    script, check, said = PLANTED[planted]
    path = Path(shutil.copy(sound, tmp_path / "a.db"))
    if check == "audit trail":
        _trail(path)
    raw = sqlite3.connect(path)
    raw.executescript(script if isinstance(script, str) else script(raw))
    raw.commit()
    raw.close()
    findings, _ = verified(path, replay=False)
    assert [f for f in findings if f.check == check and said in f"{f.where} {f.what}"], findings
    assert all(f.remedy for f in findings)


def _trail(path: Path) -> None:
    store = SqliteStore.open(path)
    with store.transaction():
        store.audit.append(NOON, "Ana", "retried", "refund:A-1#1")
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pages_are_found(sound: Path, tmp_path: Path, seed: int) -> None:
    path = Path(shutil.copy(sound, tmp_path / "a.db"))
    flip(path, seed)
    findings, _ = verified(path, replay=False)
    assert findings[0].check == "integrity"


def test_a_store_that_lost_its_wal_is_found(tmp_path: Path) -> None:
    write_and_die(tmp_path / "a.db")
    (tmp_path / "a.db-wal").unlink()
    findings, _ = verified(tmp_path / "a.db", replay=False)
    assert [f.check for f in findings] == ["as it was left"]


def test_a_store_is_verified_as_it_was_at_one_moment(tmp_path: Path) -> None:
    """While its service goes on."""
    world = client(tmp_path / "a.db")
    visitor = SqliteStore.open(tmp_path / "a.db", as_="visitor")
    found = verify(visitor)
    with visitor.one_moment():
        before = visitor.counts()["journal"]
        world.service.hear([an_order(), a_sale(), an_rma()])
        asyncio.run(world.service.step())
        assert visitor.counts()["journal"] == before
    assert list(found) == []
    visitor.close()


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = opened(project(tmp_path_factory.mktemp("decided")))
    asyncio.run(world.cases(2))
    asyncio.run(world.service.close())
    return world.root / "acme.sqlite"


class TestRuleSets:
    """With a store whose rule sets have files."""

    def test_sound(self, decided: Path) -> None:
        findings, looked_at = verified(decided, replay=True)
        assert (findings, looked_at["effects"]) == ([], 2)

    def test_a_rule_changed_in_the_store_is_found(self, decided: Path, tmp_path: Path) -> None:
        path = Path(shutil.copy(decided, tmp_path / "a.db"))
        raw = sqlite3.connect(path)
        raw.execute("update rule_files set text = replace(text, 'severity: low', 'severity: high')")
        raw.commit()
        raw.close()
        said = [f.what for f in verified(path, replay=False)[0] if f.check == "rule sets"]
        assert any("its digest is of another text" in one for one in said), said
        assert any("make another rule set" in one for one in said), said

    def test_decisions_that_do_not_follow_from_what_was_heard_are_found(self, decided: Path, tmp_path: Path) -> None:
        """Also where somebody mended every digest."""
        path = Path(shutil.copy(decided, tmp_path / "a.db"))
        raw = sqlite3.connect(path)
        (seq, payload), *_ = raw.execute("select seq, payload from journal where kind = 'returngo.rma'").fetchall()
        other = payload.replace(b"Done", b"Approved")
        raw.execute("update journal set payload = ?, digest = ? where seq = ?", (other, digest_of(other), seq))
        raw.commit()
        raw.close()
        assert verified(path, replay=False)[0] == []
        assert [f.check for f in verified(path, replay=True)[0]] == ["replay"]
