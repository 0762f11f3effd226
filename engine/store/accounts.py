"""Who may use the console, and what they are let in with. Passwords and tokens are kept as digests only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Role = Literal["viewer", "operator", "consultant"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "consultant")  # each may do what those before it may
PassKind = Literal["session", "token"]


@dataclass(frozen=True, slots=True)
class Account:
    """A person. `password` is an Argon2 hash; `closed_at` is since when they are not let in any more."""

    name: str
    role: Role
    password: str
    made_at: datetime
    made_by: str
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """What lets somebody in until it ends: a session of a browser, or a token of a program. `digest` is the SHA-256 of what they
    hold, `form` what every form of a session must bring back.
    """

    digest: str
    account: str
    kind: PassKind
    form: str
    label: str
    made_at: datetime
    seen_at: datetime
    ends_at: datetime


class Accounts(Protocol):
    """All of it may be used by a visitor as well."""

    def put(self, account: Account) -> None:
        """By name."""
        ...

    def get(self, name: str) -> Account | None: ...

    def listed(self) -> list[Account]:
        """By name."""
        ...

    def let_in(self, one: Pass) -> None: ...

    def passed(self, digest: str) -> Pass | None: ...

    def seen(self, digest: str, at: datetime) -> None: ...

    def passes(self, account: str) -> list[Pass]: ...

    def end(self, digest: str) -> None: ...

    def end_all(self, account: str, but: str = "") -> None:
        """Every session and token of an account, but for one."""
        ...

    def forget(self, before: datetime) -> None:
        """Those that ended before."""
        ...
