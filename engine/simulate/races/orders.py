"""The same observations, with nothing sent in between, end in the same effects: in whatever order, late or twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.facts.codec import dumps
from engine.facts.record import Observation
from engine.simulate.races import protocol
from engine.simulate.races.breaches import Breach
from engine.simulate.races.state import State

PROMISE = "the same observations end in the same effects"
MOST = 4000  # moments; every subset of a dozen observations is 4096


def agree(
    engine: protocol.Engine, first: State, observations: Sequence[Observation]
) -> tuple[Breach | None, int, list[Observation]]:
    """Let these arrive in every order, the last one once more at the end. Gives a breach, the moments looked at, and the order
    that ended otherwise than the one in which they were made.
    """
    wanted = _effects(_after(engine, first, observations)[-1])
    met = {_digest(first)}
    waiting: list[tuple[State, tuple[Observation, ...], list[Observation]]] = [(first, tuple(observations), [])]
    while waiting and len(met) < MOST:
        state, left, path = waiting.pop()
        if not left:
            again = _after(engine, state, observations[:1])[-1]
            for end, order in ((state, path), (again, [*path, *observations[:1]])):
                if _effects(end) != wanted:
                    return Breach(PROMISE, f"{_named(_effects(end))} in one order, {_named(wanted)} in another"), len(met), order
            continue
        for n, one in enumerate(left):
            after = _after(engine, state, [one])[-1]
            rest = (*left[:n], *left[n + 1 :])
            digest = _digest(after) + repr([(o.kind, o.key, o.version) for o in rest]).encode()
            if digest not in met:
                met.add(digest)
                waiting.append((after, rest, [*path, one]))
    return None, len(met), []


def _after(engine: protocol.Engine, state: State, observations: Sequence[Observation]) -> list[State]:
    states = [state]
    for one in observations:
        play = states[-1].play.fork()
        protocol.take_in(play, [one])
        states.append(engine.decided(states[-1], play)[0])
    return states


def _effects(state: State) -> tuple[tuple[str, str], ...]:
    return tuple((e.key, dumps(e.params)) for e in state.play.memory.effects if e.status == "planned" and e.mode == "live")


def _named(effects: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(key for key, _ in effects) or "nothing"


def _digest(state: State) -> bytes:
    return replace(state, network=(), acts=(), used=frozenset(), round=None).digest()
