"""Accounts of a client's store, made, changed and closed by whoever has the store; each time it stands in the audit trail."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.console.accounts import NotAllowed, hashed, role_of, token_for
from engine.desk.doing import person
from engine.desk.stored import NotFound, visited
from engine.problems import did_you_mean
from engine.store.accounts import Account
from engine.store.base import Store

Json = dict[str, Any]


def listed(database: Path | None, client: str | None) -> list[Json]:
    """By name, with how many sessions and tokens each has."""
    with visited(database, client) as store:
        found = []
        for account in store.accounts.listed():
            passes = store.accounts.passes(account.name)
            last = max((p.seen_at for p in passes), default=None)
            found.append(
                {
                    "name": account.name,
                    "role": account.role,
                    "made_at": account.made_at.isoformat(),
                    "made_by": account.made_by,
                    "closed_at": account.closed_at.isoformat() if account.closed_at else None,
                    "sessions": sum(p.kind == "session" for p in passes),
                    "tokens": [p.label for p in passes if p.kind == "token"],
                    "last_used": last.isoformat() if last else None,
                }
            )
        return found


def added(database: Path | None, client: str | None, name: str, role: str, by: str, password: str = "") -> str:
    """A new account; its password, drawn where none is given. Raises `NotFound` and `NotAllowed`."""
    who, whom, as_ = person(by), person(name), role_of(role)
    password = password or drawn()
    kept = hashed(password)
    now = datetime.now(UTC)
    with visited(database, client) as store, store.transaction():
        if store.accounts.get(whom) is not None:
            raise NotAllowed(f"there is an account {whom} already: `instep accounts change` gives it another role or password")
        store.accounts.put(Account(whom, as_, kept, now, who))
        store.audit.append(now, who, "made an account", f"account:{whom}", details={"role": as_})
    return password


def changed(database: Path | None, client: str | None, name: str, by: str, *, role: str = "", password: str = "") -> None:
    """Another role or password; with a password a closed account is open again. Raises `NotFound` and `NotAllowed`."""
    who, as_ = person(by), role_of(role) if role else None
    kept = hashed(password) if password else ""
    now = datetime.now(UTC)
    with visited(database, client) as store, store.transaction():
        account = _one(store, name)
        after = replace(account, role=as_ or account.role)
        if kept:
            after = replace(after, password=kept, closed_at=None)
            store.accounts.end_all(account.name)
        store.accounts.put(after)
        details = {"role": after.role, "password": "changed" if kept else ""}
        store.audit.append(now, who, "changed an account", f"account:{account.name}", details=details)


def closed(database: Path | None, client: str | None, name: str, by: str) -> None:
    """Whoever has it is let in no more, from this moment. Raises `NotFound`."""
    who, now = person(by), datetime.now(UTC)
    with visited(database, client) as store, store.transaction():
        account = _one(store, name)
        store.accounts.put(replace(account, closed_at=now))
        store.accounts.end_all(account.name)
        store.audit.append(now, who, "closed an account", f"account:{account.name}")


def token(database: Path | None, client: str | None, name: str, label: str, days: int, by: str) -> str:
    """A token for a program that acts as this account. Raises `NotFound` and `NotAllowed`."""
    who, what = person(by), person(label)
    now = datetime.now(UTC)
    with visited(database, client) as store, store.transaction():
        account = _one(store, name)
        held = token_for(store.accounts, account.name, what, days, now)
        store.audit.append(now, who, "made a token", f"account:{account.name}", details={"label": what, "days": days})
        return held


def drawn() -> str:
    """A password nobody guesses."""
    return secrets.token_urlsafe(15)


def _one(store: Store, name: str) -> Account:
    account = store.accounts.get(name.strip())
    if account is None:
        known = [one.name for one in store.accounts.listed()]
        raise NotFound(f"there is no account {name}{did_you_mean(name, known)}; `instep accounts list` shows them")
    return account
