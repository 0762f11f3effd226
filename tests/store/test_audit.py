"""The audit trail is a chain that only grows; whatever is done to it is found."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.audit import FIRST, AuditEntry, every_entry, first_broken, hash_of
from engine.store.sqlite import SqliteStore

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
COLUMNS = ("at", "who", "did", "about", "case_name", "reason", "details", "hash_before", "hash")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "a.db")
    for n in range(6):
        tell(opened, f"event:{n}")
    yield opened
    opened.close()


def tell(store: SqliteStore, about: str, at: datetime = NOON) -> AuditEntry:
    with store.transaction():
        return store.audit.append(at, "Ana", "discarded", about, case="order:A", reason="gone", details={"a": "ü"})


def _told_and_undone(store: SqliteStore) -> None:
    with store.transaction():
        store.audit.append(NOON, "Ana", "discarded")
        store.effects._run("insert into receipts (effect_id, at, reference, details) values (99, '', '', '')")


def tampered(path: Path, statement: str) -> None:
    """What somebody does who has the file and takes the triggers away first."""
    db = sqlite3.connect(path)
    for (trigger,) in db.execute("select name from sqlite_master where type = 'trigger' and tbl_name = 'audit'").fetchall():
        db.execute(f"drop trigger {trigger}")
    db.execute(statement)
    db.commit()
    db.close()


def test_every_entry_follows_the_one_before_it(store: SqliteStore) -> None:
    entries = list(every_entry(store.audit))
    assert [e.number for e in entries] == [1, 2, 3, 4, 5, 6]
    assert [e.before for e in entries] == [FIRST, *(e.hash for e in entries[:-1])]
    assert first_broken(store.audit) is None


def test_an_entry_is_written_with_what_it_tells_of_or_not_at_all(store: SqliteStore) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        store.audit.append(NOON, "Ana", "discarded")
    with pytest.raises(sqlite3.IntegrityError):
        _told_and_undone(store)
    assert len(store.audit.entries(0, 100)) == 6


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set who = 'Ben' where id = 3",
        "delete from audit where id = 3",
        "delete from audit",
        "insert or replace into audit select 3, at, 'Ben', did, about, case_name, reason, details, hash_before, 'x' from audit",
        "insert into audit select 7, at, who, did, about, case_name, reason, details, hash_before, 'x' from audit where id = 3",
        "insert into audit select 9, at, who, did, about, case_name, reason, details, hash, 'x' from audit where id = 6",
    ],
)
def test_the_store_refuses_every_change(store: SqliteStore, tmp_path: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        sqlite3.connect(tmp_path / "a.db").execute(statement)
    assert first_broken(store.audit) is None


@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_word_is_found_where_it_is(store: SqliteStore, tmp_path: Path, column: str) -> None:
    tampered(tmp_path / "a.db", f"update audit set {column} = {column} || ' ' where id = 4")
    found = first_broken(store.audit)
    assert found is not None
    assert found.number == 4


@pytest.mark.parametrize(("gone", "number"), [(1, 1), (3, 3), (5, 5)])
def test_an_entry_taken_out_is_found(store: SqliteStore, tmp_path: Path, gone: int, number: int) -> None:
    tampered(tmp_path / "a.db", f"delete from audit where id = {gone}")
    found = first_broken(store.audit)
    assert found is not None
    assert found.number == number
    assert "is not there" in found.why


def test_a_trail_that_lost_its_end_is_noticed_by_an_anchor_kept_elsewhere(store: SqliteStore, tmp_path: Path) -> None:
    last = store.audit.last()
    assert last is not None
    tell(store, "event:later")
    assert first_broken(store.audit, last.anchor) is None
    assert first_broken(store.audit, last.hash) is None
    tampered(tmp_path / "a.db", "delete from audit where id > 5")
    assert first_broken(store.audit) is None
    for expect in (last.anchor, last.hash):
        found = first_broken(store.audit, expect)
        assert found is not None
        assert found.why.endswith("is not there: the trail ends at entry 5")


def test_a_trail_written_anew_from_the_middle_on_is_noticed_by_an_anchor(store: SqliteStore, tmp_path: Path) -> None:
    last = store.audit.last()
    assert last is not None
    tampered(tmp_path / "a.db", "delete from audit where id > 3")
    for n in range(3):
        tell(store, f"event:other {n}", NOON + timedelta(hours=1))
    assert first_broken(store.audit) is None
    found = first_broken(store.audit, last.anchor)
    assert found is not None
    assert found.number == 6
    assert last.hash in found.why


@pytest.mark.parametrize("text", ["x", "5:abc", "-1:" + "0" * 64, "one:" + "0" * 64, "Z" * 64])
def test_what_is_no_anchor_is_said_to_be_none(store: SqliteStore, text: str) -> None:
    with pytest.raises(ValueError, match="is not an anchor"):
        first_broken(store.audit, text)


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.integers())), max_size=8
    )
)
def test_whatever_is_told_makes_a_chain(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, str, str, dict[str, str]]]
) -> None:
    opened = SqliteStore.open(tmp_path_factory.mktemp("audit") / "a.db", synchronous="NORMAL")
    with opened.transaction():
        for by, about, reason, details in told:
            opened.audit.append(NOON, by, "did", about, reason=reason, details=details)
    assert first_broken(opened.audit) is None
    assert len(opened.audit.entries(0, 100)) == len(told)
    opened.close()


@dataclass
class Trail:
    """Entries as somebody left them."""

    kept: list[AuditEntry]

    def entries(self, after: int, limit: int) -> list[AuditEntry]:
        return [e for e in sorted(self.kept, key=lambda e: e.number) if e.number > after][:limit]


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditEntry, ...]:
    store = SqliteStore.open(tmp_path_factory.mktemp("audit") / "a.db")
    entries = tuple(tell(store, f"event:{n}", NOON + timedelta(minutes=n)) for n in range(40))
    store.close()
    return entries


@settings(max_examples=int(os.environ.get("AUDIT_EXAMPLES", "150")), deadline=None)
@given(st.data())
def test_whatever_is_done_to_it_is_found_where_it_begins(trail: tuple[AuditEntry, ...], data: st.DataObject) -> None:
    """Words changed, entries taken out, put in, exchanged or repeated; also when hashes are worked out anew up to a place."""
    at = data.draw(st.integers(0, len(trail) - 2))
    entries = list(trail)
    match data.draw(st.sampled_from(["word", "rehashed", "out", "in", "exchanged", "stretch"])):
        case "word":
            field = data.draw(st.sampled_from(["at", "by", "did", "about", "case", "reason", "details", "before", "hash"]))
            said = data.draw(st.text().filter(lambda text: text != getattr(trail[at], field)))
            entries[at] = replace(trail[at], **{field: said})
        case "rehashed":  # by somebody who knows how, but did not write all that follows anew
            changed = replace(trail[at], by=data.draw(st.text().filter(lambda text: text != trail[at].by)))
            entries[at] = replace(changed, hash=hash_of(changed))
            at += 1
        case "out":
            del entries[at]
        case "in":
            late = [replace(e, number=e.number + 1) for e in entries[at:]]
            entries[at:] = [replace(trail[at], about="event:new"), *late]
        case "exchanged":
            here, there = trail[at], trail[at + 1]
            entries[at], entries[at + 1] = replace(there, number=here.number), replace(here, number=there.number)
        case "stretch":
            to = data.draw(st.integers(at + 1, len(trail) - 1))
            del entries[at:to]
    found = first_broken(Trail(entries))  # type: ignore[arg-type]
    assert found is not None
    assert found.number == at + 1
