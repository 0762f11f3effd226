"""Letting people in: passwords, sessions of browsers, tokens of programs."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from engine.problems import did_you_mean
from engine.store.accounts import ROLES, Account, Accounts, Pass, Role

SHORTEST = 12  # characters of a password
LONGEST = 200
IDLE = timedelta(hours=2)  # a session nobody uses
SESSION = timedelta(hours=12)  # a session at all
TOKEN_DAYS = 365
_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))  # what is compared where there is no such account: it takes as long


class NotAllowed(ValueError):  # noqa: N818 - a verdict, with what to do instead
    """It cannot be done that way; the message says what can."""


def digest(held: str) -> str:
    """What is kept of a session or token: those are drawn at random, so that nothing slower is needed."""
    return hashlib.sha256(held.encode()).hexdigest()


def role_of(text: str) -> Role:
    """Raises NotAllowed."""
    for role in ROLES:
        if role == text:
            return role
    raise NotAllowed(f'a role is one of {", ".join(ROLES)}, not "{text}"{did_you_mean(text, ROLES)}')


def may(role: Role, wanted: Role) -> bool:
    """Whether a role may do what is for `wanted`."""
    return ROLES.index(role) >= ROLES.index(wanted)


def hashed(password: str) -> str:
    """Raises NotAllowed for a password that is too easy to guess."""
    if len(password) < SHORTEST or len(set(password)) < SHORTEST // 3:
        raise NotAllowed(f"a password has at least {SHORTEST} characters, and not the same few of them")
    if len(password) > LONGEST:
        raise NotAllowed(f"a password has at most {LONGEST} characters")
    return _HASHER.hash(password)


def fits(account: Account | None, password: str) -> bool:
    """Whether this is the account's password. Takes as long where there is no such account, or it is closed."""
    try:
        right = _HASHER.verify(account.password if account is not None else _NOBODY, password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return False
    return right and account is not None and account.closed_at is None


def session_for(accounts: Accounts, name: str, now: datetime) -> str:
    """Lets a browser in; what it holds from then on."""
    held = secrets.token_urlsafe(32)
    accounts.forget(now)
    accounts.let_in(Pass(digest(held), name, "session", secrets.token_urlsafe(24), "", now, now, now + SESSION))
    return held


def token_for(accounts: Accounts, name: str, label: str, days: int, now: datetime) -> str:
    """Lets a program in; the token, which is shown once and kept nowhere. Raises NotAllowed."""
    account = accounts.get(name)
    if account is None or account.closed_at is not None:
        raise NotAllowed(f"there is no account {name}{did_you_mean(name, [a.name for a in accounts.listed()])}")
    if not 1 <= days <= TOKEN_DAYS:
        raise NotAllowed(f"a token lasts 1 to {TOKEN_DAYS} days, not {days}")
    held = f"instep_{secrets.token_urlsafe(32)}"
    accounts.let_in(Pass(digest(held), name, "token", "", label, now, now, now + timedelta(days=days)))
    return held


def who(accounts: Accounts, held: str, now: datetime) -> tuple[Account, Pass] | None:
    """Whose session or token this is, as long as it lasts and its account is open."""
    found = accounts.passed(digest(held))
    if found is None or found.ends_at <= now:
        return None
    if found.kind == "session" and found.seen_at + IDLE <= now:
        return None
    account = accounts.get(found.account)
    if account is None or account.closed_at is not None:
        return None
    return account, found
