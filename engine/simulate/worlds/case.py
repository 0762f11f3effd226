"""One order of a world, played to its end: what happens outside, what the engine hears of it and decides, what it sends, and
what people make of what they are told. Virtual time only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import count
from random import Random
from zoneinfo import ZoneInfo

from engine.decide.decision import Decision
from engine.decide.memory import ExceptionState, Memory
from engine.decide.outcomes import retried
from engine.decide.people import NotPossible, answered, resolved
from engine.facts.effects import EffectState
from engine.facts.links import ORDER
from engine.facts.outside import Receipt
from engine.facts.record import Fields, Observation, RecordState
from engine.language.ruleset import RuleSet
from engine.language.worlds.world import World
from engine.simulate.play import Play
from engine.simulate.replay import Seen
from engine.simulate.seen import CaseSeen, Recorder
from engine.simulate.worlds.books import Owed, Paid
from engine.simulate.worlds.budgets import Call, Calls, Gates, next_poll
from engine.simulate.worlds.outside import ROLE_OF, Outside
from engine.simulate.worlds.plot import ByHand, Order, lasting, stream
from engine.simulate.worlds.ways import Ways

LONGEST = timedelta(days=120)  # from the order: what has not come to rest by then never does
SETTLING = timedelta(days=21)  # after the last thing that happens outside: what nobody sends or receives is asked about by then
PERSON = "somebody"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one order. `heard` are the polls it depends on, `unpaid` articles that were owed while nobody was told."""

    case: CaseSeen
    owed: tuple[Owed, ...]
    paid: tuple[Paid, ...]
    too_much: tuple[str, ...]
    unfounded: tuple[str, ...]
    unpaid: tuple[str, ...]
    raced: bool
    left_alone: tuple[str, ...]  # effects that were still on their way at the end
    calls: tuple[Call, ...]
    heard: tuple[Call, ...]
    ended_at: datetime


def play(rule_set: RuleSet, world: World, seed: int, order: Order, gates: Gates) -> Played:
    """Plays one order under a rule set."""
    return _Case(rule_set, world, seed, order, gates).run()


class _Case:
    def __init__(self, rule_set: RuleSet, world: World, seed: int, order: Order, gates: Gates) -> None:
        self.world, self.seed, self.order, self.gates = world, seed, order, gates
        self.begins = datetime.combine(world.starts, time(), UTC)
        self.play = Play(rule_set, order.created_at)
        self.outside = Outside(order, world.currency, rule_set.vocabulary, self._changed)
        self.calls = Calls(gates)
        self.recorder = Recorder()
        self.heard: list[Call] = []
        self.unpaid: list[str] = []
        self.told: set[str] = set()
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._reads = count()
        self._asked: set[tuple[datetime, str, str]] = set()
        self._changes: dict[tuple[str, str], int] = {}
        self._looks_at: datetime | None = None
        self._opened: dict[str, int] = {}
        self.ways = Ways(
            self.play,
            ZoneInfo(rule_set.time_zone),
            self.calls,
            world.platforms.of,
            self._choices,
            looked=self._look,
            done=self.outside.done,
            take=self._take,
            decided=self._decided,
        )
        self._plot()

    def _choices(self, *about: object) -> Random:
        return stream(self.seed, self.order.id, *about)

    @property
    def now(self) -> datetime:
        return self.play.now

    # What happens, whatever the rules do

    def at(self, when: datetime, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._numbers), what))

    def _plot(self) -> None:
        order, outside = self.order, self.outside
        self.at(order.created_at, outside.place)
        if order.shipped_at is not None and order.delivered_at is not None:
            self.at(order.shipped_at, outside.ship)
            self.at(order.delivered_at, outside.deliver)
        for deed in order.by_hand:
            self.at(deed.at, partial(outside.do, deed))
        for one in order.returns:
            self.at(one.requested_at, partial(outside.request, one))
            self.at(one.approved_at, partial(outside.turn, one, "approved"))
            for at, what in (
                (one.called_off_at, partial(outside.turn, one, "cancelled")),
                (one.scanned_at, partial(outside.scan, one)),
                (one.arrived_at, partial(outside.arrive, one)),
                (one.received_at, partial(outside.receive, one)),
                (one.inspected_at, partial(outside.inspect, one)),
                (one.closed_at, partial(outside.turn, one, "done")),
            ):
                if at is not None:
                    self.at(at, what)
            first = one.scanned_at or one.arrived_at
            if first is not None:
                self.at(first + self.world.deadline, self._at_deadline)

    def run(self) -> Played:
        """Until nothing is left to happen but looks that change nothing, or the longest has passed."""
        last = max(when for when, _, _ in self._queue) + SETTLING
        while self._queue and self._queue[0][0] <= self.order.created_at + LONGEST:
            if self._queue[0][0] > last and self._at_rest():
                break
            when, _, what = heapq.heappop(self._queue)
            self.play.now = max(self.play.now, when)
            self.outside.now = self.play.now
            what()
        self._at_deadline()
        books = self.outside.books
        seen = self.recorder.cases()
        name = f"{ORDER}:{self.order.id}"
        return Played(
            case=seen[0] if seen else CaseSeen(name, (), (), (), 0, ""),
            owed=tuple(books.owed()),
            paid=tuple(books.payments),
            too_much=tuple(books.too_much),
            unfounded=tuple(books.unfounded),
            unpaid=tuple(dict.fromkeys(self.unpaid)),
            raced=books.raced,
            left_alone=tuple(e.key for e in self.play.memory.effects if e.status in {"planned", "performing", "unsure"}),
            calls=tuple(self.calls.made),
            heard=tuple(self.heard),
            ended_at=self.now,
        )

    def _at_rest(self) -> bool:
        effects = self.play.memory.effects
        return not any(e.status in {"planned", "performing", "unsure"} for e in effects)

    def _at_deadline(self) -> None:
        """What is owed by now is paid, or somebody is or was told."""
        if not self.play.memory.exceptions and not self.play.memory.answers and not self.outside.books.cancelled:
            self.unpaid += self.outside.books.unpaid(self.now, self.world.deadline)

    # What the engine hears

    def _changed(self, kind: str, key: str) -> None:
        """The system in which a record changed tells of it, is asked about it, or both."""
        role = ROLE_OF[kind]
        platform = self.world.platforms.of(role)
        number = self._changes[kind, key] = self._changes.get((kind, key), 0) + 1
        if platform.tells_after is not None:
            self._tells(role, kind, key, number)
        if platform.polled is not None:
            at = next_poll(role, timedelta(seconds=platform.polled), self.begins, self.outside.now, self.gates)
            if (at, kind, key) not in self._asked:
                self._asked.add((at, kind, key))
                self.heard.append(Call(at, role, "poll"))
                self.at(at, partial(self._see, kind, key))
        if platform.tells_after is None and platform.polled is None:
            self.at(self.outside.now, partial(self._see, kind, key))

    def _tells(self, role: str, kind: str, key: str, number: int) -> None:
        platform = self.world.platforms.of(role)
        assert platform.tells_after is not None
        choices = self._choices("tells", kind, key, number)
        lost, again = choices.random() < platform.loses, choices.random() < platform.repeats
        wait, longer = lasting(platform.tells_after, choices), lasting(platform.tells_after, choices)
        now = self.outside.now
        observation = self.outside.observed(kind, key, next(self._reads))
        if not lost:
            self.at(now + wait, partial(self._hear, observation))
        if again:
            self.at(now + wait + longer, partial(self._hear, observation))

    def _see(self, kind: str, key: str) -> None:
        self._hear(self.outside.observed(kind, key, next(self._reads)))

    def _hear(self, observation: Observation) -> None:
        held = self.play.records.get((observation.kind, observation.key))
        state = self.play.see(observation)
        if held is None or _known(held) != _known(state):  # what says nothing new is not decided on anew
            self.ways.decide()

    def _look(self) -> None:
        """The marketplace is asked for the order, and the case decided with its answer."""
        self._see(ORDER, self.order.id)

    # What the engine decides and sends

    def _decided(self, decision: Decision, memory: Memory) -> None:
        self.recorder(Seen(1, decision.case, decision, memory, memory, ""))
        live = {one.key: one for one in decision.exceptions if one.mode == "live" and one.state == "open"}
        for key, one in live.items():
            if key not in self.told:
                self._tell(one)
        self.told = set(live)
        due = self.ways.next_due(self.order.created_at)
        wanted = min((at for at in (decision.wake_at, due) if at is not None), default=None)
        if wanted is not None and (self._looks_at is None or wanted < self._looks_at or self._looks_at < self.now):
            self._wake_at(max(wanted, self.now))

    def _wake_at(self, when: datetime) -> None:
        self._looks_at = when
        self.at(when, self._wake)

    def _wake(self) -> None:
        """A timer has run out, or an effect is due."""
        if self._looks_at != self.now:
            return
        self._looks_at = None
        decision = self.play.decision
        if decision is not None and decision.wake_at is not None and decision.wake_at <= self.now:
            self.ways.decide()
        self.ways.send_due(self.now, self.order.created_at)
        decision = self.play.decision
        due = self.ways.next_due(self.order.created_at)
        wanted = [at for at in (decision.wake_at if decision is not None else None, due) if at is not None]
        if wanted and (self._looks_at is None or min(wanted) < self._looks_at):
            self._wake_at(max(min(wanted), self.now))

    def _take(self, effect: EffectState) -> Receipt:
        """Done in the world. Once in a while somebody is a moment faster, and no look-up can tell."""
        choices = self._choices("meanwhile", effect.key)
        if effect.action == "marketplace.refund" and choices.random() < self.world.agents.while_we_send:
            self.outside.books.raced = True
            self.outside.do(ByHand("refund", self.now, choices.randrange(len(self.order.lines))))
        return self.outside.take(effect)

    # What people make of it

    def _tell(self, one: ExceptionState) -> None:
        owner = self.world.people.of(one.owner)
        number = self._opened[one.key] = self._opened.get(one.key, 0) + 1
        choices = self._choices("person", one.key, number)
        if choices.random() < owner.answers:
            self.at(self.now + lasting(owner.answers_after, choices), partial(self._see_to, one.key, choices))

    def _see_to(self, key: str, choices: Random) -> None:
        """An answer, if one is asked for; else what was refused is tried again, or the exception put off."""
        one = self.play.memory.exceptions.get(key)
        if one is None or one.state != "open":
            return
        refused = [e.key for e in self.play.memory.effects if e.status == "refused"]
        again = choices.random() < 0.5
        try:
            if one.answers:
                answer = choices.choice(sorted(one.answers))
                self.ways.decide(lambda memory: answered(memory, key, answer, PERSON, self.now))
                self.outside.books.claims.called_off()  # from here on what is paid is a person's word
            elif refused and again:
                self.ways.decide(lambda memory: retried(memory, refused[0]))
            else:
                self.ways.decide(lambda memory: resolved(memory, key, self.now))
        except NotPossible:
            pass


def _known(state: RecordState) -> Mapping[str, Fields]:
    """What a record says, whenever it was read."""
    return {name: snapshot.fields for name, snapshot in state.snapshots.items()}
