"""What must be true of the tables, whatever the rules are: each check a query for what breaks it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from engine.store.findings import Finding
from engine.store.schema import digest as digest_of_file
from engine.store.sqlite.connection import Connection
from engine.store.sqlite.journal import digest_of
from engine.store.trouble import StoreTrouble

MOST = 100  # findings of one check that are told one by one
ILLEGAL_AFTER = {  # the last step of an effect, and what it cannot be after that
    "begun": ("planned", "refused", "settled_elsewhere", "withdrawn"),
    "settled": ("planned", "performing", "unsure", "refused", "settled_elsewhere", "withdrawn"),
    "unsure": ("planned", "performing", "withdrawn"),
    "settled_elsewhere": ("planned", "performing", "unsure", "settled", "refused"),
}
LOOK = "Compare it with the other system by hand before the service runs again: what it says was sent may not be so"

_GAPS = """
    select seq, before from (select seq, lag(seq, 1, 0) over (order by seq) before from journal) where seq <> before + 1
"""
_REPEATS = """
    select j.seq from journal j left join journal first on first.seq = j.repeats
    where j.payload is null and j.pruning_id is null and (first.payload is null or first.digest <> j.digest)
"""
_KEYS_TWICE = """
    select e.key, group_concat(c.name || ' (' || e.status || ')', ', ')
    from effects e join cases c on c.id = e.case_id and c.absorbed_into is null
    where e.status <> 'withdrawn' group by e.key having count(*) > 1
"""
_STATUSES = """
    select key, name, wrong from (
        select e.key, c.name, case
            when e.status in ('performing', 'unsure') and (e.sent_at is null or e.attempts < 1)
                then 'is ' || e.status || ', but was never sent'
            when e.status = 'settled' and e.sent_at is null then 'is settled, but was never sent'
            when e.status = 'settled' and e.receipt in ('', '{}') then 'is settled, but no receipt is kept'
            when e.status in ('settled', 'settled_elsewhere', 'refused') and e.settled_at is null
                then 'is ' || e.status || ', but not when'
            when e.status = 'refused' and e.reason = '' then 'is refused, but not why'
            when e.status in ('planned', 'performing', 'unsure') and exists (select 1 from receipts r where r.effect_id = e.id)
                then 'is ' || e.status || ', but there is a receipt of it: it took place'
        end wrong
        from effects e join cases c on c.id = e.case_id and c.absorbed_into is null
    ) where wrong is not null
"""
_LAST_STEPS = """
    select e.key, c.name, e.status, json_extract(s.step, '$.what')
    from effects e join cases c on c.id = e.case_id and c.absorbed_into is null
    join (select key, case_name, max(id) last from steps group by key, case_name) l on l.key = e.key and l.case_name = c.name
    join steps s on s.id = l.last
    where json_valid(s.step)
"""
_UNITS_TWICE = """
    select u.value, group_concat(e.key, ', ')
    from effects e join cases c on c.id = e.case_id and c.absorbed_into is null, json_each(e.units) u
    where e.status = 'settled' and e.mode = 'live' and e.action like '%.refund'
    group by u.value having count(distinct e.id) > 1
"""
_NO_FILES = """
    select id, hash from rule_sets s
    where not exists (select 1 from rule_set_files f where f.rule_set_id = s.id)
    and id in (select rule_set_id from decisions) and exists (select 1 from rule_set_files)
"""
_LATEST = """
    select c.name, c.wake_at, c.failures, c.open, d.trace from cases c
    left join decisions d on d.id = (select max(id) from decisions where case_id = c.id)
    where c.absorbed_into is null
"""


def damaged(connection: Connection) -> Iterator[Finding]:
    """SQLite's own check of its pages, indexes and constraints. Where it finds anything the rest cannot be believed."""
    try:
        for (said,) in connection.execute("pragma integrity_check").fetchmany(MOST):
            if said != "ok":
                yield Finding("integrity", "the file", said)
    except StoreTrouble as trouble:
        yield Finding("integrity", "the file", trouble.what, trouble.remedy)


def broken(connection: Connection) -> Iterator[Finding]:
    """Everything that is not as it was written."""
    for check in _CHECKS:
        yield from check(connection)


def _foreign_keys(connection: Connection) -> Iterator[Finding]:
    for table, row, parent, _ in connection.execute("pragma foreign_key_check").fetchmany(MOST):
        yield Finding("foreign keys", f"{table} {row}", f"names a row of {parent} that is not there")


def _journal_gaps(connection: Connection) -> Iterator[Finding]:
    for seq, before in connection.execute(_GAPS).fetchmany(MOST):
        gone = f"event {before + 1} is" if seq == before + 2 else f"events {before + 1} to {seq - 1} are"
        yield Finding("journal sequence", f"journal {seq}", f"{gone} not there")


def _journal_digests(connection: Connection) -> Iterator[Finding]:
    for seq, digest, payload in connection.execute("select seq, digest, payload from journal where payload is not null"):
        if digest_of(payload if isinstance(payload, bytes) else str(payload).encode()) != digest:
            yield Finding("journal digests", f"journal {seq}", "its payload is not what was written")
    for (seq,) in connection.execute(_REPEATS).fetchmany(MOST):
        yield Finding("journal digests", f"journal {seq}", "the event it repeats is not there, or is another one")


def _position(connection: Connection) -> Iterator[Finding]:
    rows = connection.execute("select journal_seq from position").fetchall()
    end = connection.execute("select coalesce(max(seq), 0) from journal").fetchone()[0]
    taken = connection.execute("select coalesce(max(upto_seq), 0) from intakes").fetchone()[0]
    position = rows[0][0] if len(rows) == 1 else None
    if position is None:
        yield Finding("position", "position", "up to where events were taken in is not there")
    elif position > end:
        yield Finding(
            "position", "position", f"events up to {position} were taken in, but the journal ends at {end}: later ones are lost"
        )
    elif taken > position:
        yield Finding(
            "position", "position", f"events up to {taken} were taken in, but it says {position}: they would be taken in again"
        )


def _keys(connection: Connection) -> Iterator[Finding]:
    for key, where in connection.execute(_KEYS_TWICE).fetchmany(MOST):
        yield Finding("effect keys", f"effect {key}", f"it is there more than once: {where}", LOOK)


def _statuses(connection: Connection) -> Iterator[Finding]:
    for key, case, said in connection.execute(_STATUSES).fetchmany(MOST):
        yield Finding("effect statuses", f"effect {key} of {case}", said, LOOK)
    for key, case, status, what in connection.execute(_LAST_STEPS):
        if status in ILLEGAL_AFTER.get(what, ()):
            yield Finding("effect statuses", f"effect {key} of {case}", f"is {status}, but its last step was {what}", LOOK)


def _units(connection: Connection) -> Iterator[Finding]:
    for unit, keys in connection.execute(_UNITS_TWICE).fetchmany(MOST):
        yield Finding("units", f"unit {unit}", f"was refunded by more than one effect: {keys}", LOOK)


def _decisions(connection: Connection) -> Iterator[Finding]:
    for id_, digest, trace in connection.execute("select id, digest, trace from decisions"):
        if hashlib.blake2b(str(trace).encode(), digest_size=16).digest() != digest:
            yield Finding("decision digests", f"decision {id_}", "it is not what was decided: its digest is of something else")


def _rule_files(connection: Connection) -> Iterator[Finding]:
    for id_, digest, text in connection.execute("select id, digest, text from rule_files"):
        if digest_of_file(str(text)) != digest:
            yield Finding("rule sets", f"file {id_} of a rule set", "it is not what was activated: its digest is of another text")
    for id_, hash_ in connection.execute(_NO_FILES).fetchmany(MOST):
        yield Finding("rule sets", f"rule set {id_} ({hash_[:12]})", "cases were decided with it, but none of its files is there")


def _wake_ups(connection: Connection) -> Iterator[Finding]:
    """A case that waits for time must be looked at again by then; one that could not be decided, too."""
    mend = "Wake it: `instep restore` a backup, or change any rule and back, which has every open case looked at anew"
    for name, wake_at, failures, is_open, trace in connection.execute(_LATEST):
        if failures and wake_at is None:
            yield Finding("waking", f"case {name}", "it could not be decided and is never tried again", mend)
        if trace is None or failures:
            continue
        wanted = _loads(trace).get("wake_at")
        if wanted is None:
            continue
        if not is_open:
            yield Finding("waking", f"case {name}", f"it waits until {wanted}, but counts as closed", mend)
        elif wake_at is None or wake_at[:19] > wanted[:19]:
            later = f"only at {wake_at}" if wake_at else "never"
            yield Finding("waking", f"case {name}", f"it waits until {wanted}, and is looked at {later}", mend)


def _loads(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}  # its digest tells that it was changed
    return found if isinstance(found, dict) else {}


_CHECKS: tuple[Callable[[Connection], Iterator[Finding]], ...] = (
    _foreign_keys, _journal_gaps, _journal_digests, _position, _keys, _statuses, _units, _decisions, _rule_files, _wake_ups,
)  # fmt: skip
