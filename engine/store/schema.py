"""The tables, as forward-only migrations. Names are the words of the house, so that Datasette shows a readable book."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import takewhile

from sqlite_utils import Database, Migrations

FIRST = """
create table journal (
    seq integer primary key,
    connector text not null,
    kind text not null,
    about text not null,
    delivery text not null,
    digest blob not null,
    payload blob,
    repeats integer references journal (seq),
    observed_at text not null,
    received_at text not null,
    requested integer not null
);
create index journal_by_digest on journal (digest) where payload is not null;
create unique index journal_by_delivery on journal (connector, delivery) where delivery <> '';

create table records (
    id integer primary key,
    kind text not null,
    key text not null,
    seen_at text not null,
    state text not null,
    sources text not null
);
create unique index records_by_key on records (kind, key);
create index records_by_bare_key on records (key);

create table links (
    record_id integer not null references records (id),
    kind text not null,
    key text not null,
    primary key (record_id, kind, key)
) without rowid;
create index links_by_target on links (key, kind);

create table cases (
    id integer primary key,
    name text not null,
    anchored integer not null,
    opened_at text not null,
    version integer not null,
    open integer not null,
    wake_at text,
    failures integer not null default 0,
    absorbed_into integer references cases (id),
    memory text not null
);
create unique index cases_by_name on cases (name) where absorbed_into is null;
create index cases_by_wake on cases (wake_at) where wake_at is not null;
create index cases_open on cases (id) where open = 1;
create index cases_absorbed on cases (absorbed_into) where absorbed_into is not null;

create table case_records (
    case_id integer not null references cases (id),
    record_id integer not null references records (id),
    primary key (case_id, record_id)
) without rowid;
create index case_records_by_record on case_records (record_id);

create table rule_sets (
    id integer primary key,
    hash text not null,
    client text not null,
    files text not null,
    activated_at text not null
);

create table decisions (
    id integer primary key,
    case_id integer not null references cases (id),
    rule_set_id integer not null references rule_sets (id),
    journal_seq integer not null,
    now text not null,
    last_now text not null,
    digest blob not null,
    trace text not null
);
create index decisions_by_case on decisions (case_id, id);

create table effects (
    id integer primary key,
    case_id integer not null references cases (id),
    key text not null,
    action text not null,
    subject text not null,
    status text not null,
    mode text not null,
    rule text not null,
    item text not null,
    group_name text not null,
    units text not null,
    params text not null,
    planned_at text not null,
    due_at text,
    not_before text,
    sent_at text,
    settled_at text,
    attempts integer not null,
    reason text not null,
    detail text not null,
    receipt text not null
);
create unique index effects_by_case on effects (case_id, key);
create index effects_by_key on effects (key);
create index effects_due on effects (due_at) where due_at is not null;
create index effects_performing on effects (id) where status in ('performing', 'unsure');

create table receipts (
    id integer primary key,
    effect_id integer not null references effects (id),
    at text not null,
    reference text not null,
    details text not null
);
create index receipts_by_effect on receipts (effect_id);

create table exceptions (
    id integer primary key,
    case_id integer references cases (id),
    key text not null,
    rule text not null,
    item text not null,
    about text not null,
    owner text not null,
    severity text not null,
    title text not null,
    runbook text not null,
    answers text not null,
    state text not null,
    until text,
    assigned_to text not null default '',
    opened_at text not null,
    closed_at text,
    why_closed text not null default ''
);
create unique index exceptions_open on exceptions (coalesce(case_id, 0), key) where closed_at is null;
create index exceptions_by_case on exceptions (case_id, id);

create table cursors (
    connector text not null,
    feed text not null,
    cursor text not null,
    next_at text not null,
    failures integer not null,
    fault text not null,
    primary key (connector, feed)
) without rowid;

create table fetches (
    id integer primary key,
    connector text not null,
    kind text not null,
    key text not null,
    due_at text,
    asked integer not null,
    attempts integer not null,
    reason text not null,
    fault text not null
);
create unique index fetches_by_ref on fetches (connector, kind, key);
create index fetches_due on fetches (due_at) where due_at is not null;

create table budgets (
    connector text not null,
    day text not null,
    calls integer not null,
    primary key (connector, day)
) without rowid;

create table set_aside (
    id integer primary key,
    journal_seq integer not null references journal (seq),
    reason text not null,
    place text not null,
    at text not null,
    taken_in_at text
);
create unique index set_aside_by_journal on set_aside (journal_seq);
create index set_aside_waiting on set_aside (id) where taken_in_at is null;

create table position (
    id integer primary key check (id = 1),
    journal_seq integer not null
);
insert into position (id, journal_seq) values (1, 0);
"""

ACTIVATIONS = """
create table rule_files (
    id integer primary key,
    digest text not null unique,
    text text not null
);

create table rule_set_files (
    rule_set_id integer not null references rule_sets (id),
    path text not null,
    file_id integer not null references rule_files (id),
    primary key (rule_set_id, path)
) without rowid;

insert or ignore into rule_files (digest, text)
    select digest(f.value), f.value from rule_sets s, json_each(s.files) f;
insert into rule_set_files (rule_set_id, path, file_id)
    select s.id, f.key, k.id from rule_sets s, json_each(s.files) f join rule_files k on k.digest = digest(f.value);
alter table rule_sets drop column files;
alter table rule_sets add column activated_by text not null default '';
alter table rule_sets add column why text not null default '';
alter table rule_sets add column passed_over text not null default '';
alter table rule_sets add column caught_up_at text;
update rule_sets set caught_up_at = activated_at;

create table rule_requests (
    id integer primary key,
    hash text not null,
    asked_by text not null,
    asked_at text not null,
    done_at text,
    fine integer not null default 0,
    outcome text not null default ''
);
create index rule_requests_open on rule_requests (id) where done_at is null;

create table rule_status (
    id integer primary key check (id = 1),
    status text not null
);
"""

HISTORY = """
create table intakes (
    upto_seq integer primary key references journal (seq),
    at text not null
);

create table steps (
    id integer primary key,
    case_name text not null,
    key text not null,
    journal_seq integer not null,
    at text not null,
    step text not null
);
create index steps_by_case on steps (case_name, id);
"""

BUDGETS = """
create table spendings (
    id integer primary key,
    connector text not null,
    operation text not null,
    purpose text not null,
    at text not null,
    units integer not null
);
create index spendings_by_connector on spendings (connector, at);

create table budget_marks (
    connector text not null,
    kind text not null,
    operation text not null,
    at text not null,
    units real not null,
    primary key (connector, kind, operation)
) without rowid;

create table budget_limits (
    connector text primary key,
    limits text not null
) without rowid;

insert into spendings (connector, operation, purpose, at, units)
    select connector, '', 'poll', day || 'T23:59:59.000000Z', calls from budgets;
drop table budgets;
"""

SAFEKEEPING = """
create table clock (
    id integer primary key check (id = 1),
    now text not null
);

create table restores (
    id integer primary key,
    at text not null,
    restored_by text not null,
    ended_at text
);

create table late (
    id integer primary key,
    case_id integer not null references cases (id),
    kind text not null,
    key text not null,
    due_at text not null,
    at text not null
);
create index late_by_case on late (case_id, kind, key);
"""

SET_ASIDE_AND_AUDIT = """
alter table set_aside add column told text not null default '';
alter table set_aside add column discarded_at text;
alter table set_aside add column discarded_by text not null default '';
alter table set_aside add column discarded_for text not null default '';

create table audit (
    id integer primary key,
    at text not null,
    who text not null,
    did text not null,
    about text not null,
    case_name text not null,
    reason text not null,
    details text not null,
    hash_before text not null,
    hash text not null unique
);
create index audit_by_about on audit (about);
create trigger audit_is_never_changed before update on audit
    begin select raise(abort, 'the audit trail is never changed'); end;
create trigger audit_is_never_deleted before delete on audit
    begin select raise(abort, 'nothing is deleted from the audit trail'); end;
create trigger audit_is_a_chain before insert on audit
    when new.id is not (select coalesce(max(id), 0) + 1 from audit)
    or new.hash_before is not coalesce((select hash from audit order by id desc limit 1), printf('%.64d', 0))
    begin select raise(abort, 'an audit entry follows the last one'); end;
"""

RETENTION = """
create table prunings (
    id integer primary key,
    at text not null,
    who text not null,
    before text not null,
    events integer not null,
    size integer not null,
    file text not null,
    sha256 text not null
);

create table pruned_cases (
    case_id integer not null references cases (id),
    name text not null,
    pruning_id integer not null references prunings (id),
    primary key (case_id, name)
) without rowid;

alter table journal add column pruning_id integer references prunings (id);
create index journal_pruned on journal (pruning_id) where pruning_id is not null;
create index journal_repeats on journal (repeats) where repeats is not null;
"""

URGENCY = """
alter table effects add column role text generated always as (substr(action, 1, instr(action, '.') - 1)) virtual;
alter table effects add column deadline text;
create index effects_by_urgency on effects (role, coalesce(deadline, '9999'), due_at) where due_at is not null;
create index effects_by_wait on effects (role, due_at) where due_at is not null;
"""

ACCOUNTS = """
create table accounts (
    name text primary key,
    role text not null,
    password text not null,
    made_at text not null,
    made_by text not null,
    closed_at text
) without rowid;

create table passes (
    digest text primary key,
    account text not null references accounts (name),
    kind text not null,
    form text not null,
    label text not null,
    made_at text not null,
    seen_at text not null,
    ends_at text not null
) without rowid;
create index passes_by_account on passes (account);
"""

CANDIDATES = """
create table candidate_runs (
    id integer primary key,
    ref text not null,
    hash text not null,
    against text not null,
    started_at text not null,
    started_by text not null,
    ended_at text,
    why_ended text not null default '',
    looks integer not null default 0,
    anew integer not null default 0,
    missed integer not null default 0,
    faults integer not null default 0,
    fault text not null default '',
    retired text not null default ''
);

create table candidate_cases (
    id integer primary key,
    run_id integer not null references candidate_runs (id),
    case_id integer not null,
    name text not null,
    memory text not null,
    looked_at text not null,
    next_at text,
    was text not null,
    now text not null,
    differences integer not null
);
create unique index candidate_cases_by_case on candidate_cases (run_id, case_id);
create index candidate_cases_by_age on candidate_cases (run_id, (differences > 0), looked_at);
create index candidate_cases_due on candidate_cases (run_id, next_at) where next_at is not null;

create table candidate_requests (
    id integer primary key,
    ref text not null,
    asked_by text not null,
    asked_at text not null,
    done_at text,
    fine integer not null default 0,
    outcome text not null default ''
);
create index candidate_requests_open on candidate_requests (id) where done_at is null;
"""

STEPS = (
    ("the_first_tables", FIRST),
    ("activations", ACTIVATIONS),
    ("what_happened_when", HISTORY),
    ("what_was_spent", BUDGETS),
    ("safekeeping", SAFEKEEPING),
    ("set_aside_and_audit", SET_ASIDE_AND_AUDIT),
    ("retention", RETENTION),
    ("urgency", URGENCY),
    ("accounts", ACCOUNTS),
    ("candidates_beside", CANDIDATES),
)


def digest(text: str) -> str:
    """What a file of a rule set is known by: the same text is kept once."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def migrations(before: str = "") -> Migrations:
    """Every step there ever was, oldest first, or those before one. A step that has been released is never edited."""
    steps = Migrations("instep")
    for name, script in takewhile(lambda step: step[0] != before, STEPS):
        steps(name=name)(_running(script))
    return steps


def _running(script: str) -> Callable[[Database], None]:
    def step(db: Database) -> None:
        db.conn.create_function("digest", 1, digest, deterministic=True)
        for statement in script.split(";\n"):
            if statement.strip():
                db.conn.execute(statement)

    return step


def unknown_steps(db: Database) -> list[str]:
    """Steps the file has seen that this version does not know: the mark of a newer version."""
    known = {name for name, _ in STEPS}
    return [done.name for done in migrations().applied(db) if done.name not in known]
