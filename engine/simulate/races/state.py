"""One moment of a race: what the engine knows, what is on its way to it, what it is sending, and what is still to happen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.facts.codec import dumps
from engine.facts.effects import EffectState
from engine.facts.links import Node
from engine.facts.record import Observation
from engine.simulate.play import Play
from engine.simulate.races.outside import Outside
from engine.simulate.scenario import Answered, Became, Corrected, Resolved


@dataclass(frozen=True, slots=True)
class Act:
    """Something the scenario lets happen at an instant: a change of a record, or what a person does about the case."""

    at: datetime
    number: int
    node: Node | None = None
    change: Mapping[str, Any] | None = None
    deed: Answered | Resolved | Corrected | Became | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A snapshot on its way to the engine. One that is `late` may arrive at any time, any other before time passes."""

    observation: Observation
    late: bool = False
    again: bool = False

    @property
    def name(self) -> str:
        of = self.observation
        return f"{of.kind} {of.key} v{int(of.version)}{' late' if self.late else ''}{' again' if self.again else ''}"


@dataclass(frozen=True, slots=True)
class Round:
    """The dispatcher's round of what is about order lines: looked up, `waiting` to be sent one after another.

    `seen` is how many payouts the outside showed when it was asked, None where it was not. Of lines that were `touched` since,
    nothing more is sent in this round. `begun` is the effect whose intent is committed and that was not sent yet.
    """

    asked_at: datetime
    seen: int | None
    waiting: tuple[EffectState, ...]
    touched: frozenset[str] = frozenset()
    begun: EffectState | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A moment. `play` holds the engine's side and is never changed in place; `text` is its memory, as it is persisted."""

    play: Play
    text: str
    wake_at: datetime | None
    outside: Outside
    network: tuple[Letter, ...] = ()
    acts: tuple[Act, ...] = ()
    used: frozenset[str] = frozenset()
    round: Round | None = None

    @property
    def now(self) -> datetime:
        return self.play.now

    def digest(self) -> bytes:
        """Equal for moments from which the same can happen."""
        r = self.round
        sending = r and (
            r.asked_at,
            r.seen,
            [(e.key, dumps(e.params)) for e in r.waiting],
            sorted(r.touched),
            r.begun and r.begun.key,
        )
        parts = (
            self.now,
            self.text,
            seen_key(self.play),
            self.outside.key(),
            sorted((letter.name, letter.observation.digest) for letter in self.network),
            [act.number for act in self.acts],
            sorted(self.used),
            sending,
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def seen_key(play: Play) -> list[tuple[Node, datetime, list[tuple[str, str, str]]]]:
    """What the engine knows, by the versions that won."""
    return sorted(
        (node, state.seen_at, sorted((name, s.version, s.digest) for name, s in state.snapshots.items()))
        for node, state in play.records.items()
    )
