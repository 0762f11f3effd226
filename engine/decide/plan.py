"""From granted proposals to effects: keys, amounts, and which of what is in the outbox keeps its place."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from engine.decide.memory import Memory, Occurrence, RuleItem
from engine.decide.propose import Claim
from engine.decide.resolve import Granted
from engine.facts.effects import UNSENT, EffectState
from engine.facts.refunds import payload
from engine.facts.units import time_of
from engine.facts.values import Rec
from engine.language.compiled import AtMost, Mode
from engine.language.ruleset import RuleSet

FLAPPING_WINDOW = timedelta(hours=24)
FLAPPING_COUNT = 3  # a repeatable subject may come this often in the window, then a person is told
SHADOW = "shadow:"  # what effects, occurrences and exceptions of shadow rules are named by, so that they meet no live one
TOOK_PLACE = frozenset({"performing", "unsure", "settled"})


@dataclass(frozen=True, slots=True)
class Plan:
    """The outbox after this pass: all `effects`, the `planned` ones to be sent, keys `withdrawn` as no longer asked for."""

    effects: tuple[EffectState, ...]
    planned: tuple[EffectState, ...]
    withdrawn: tuple[str, ...]
    occurrences: Mapping[str, Occurrence]
    flapping: tuple[Granted, ...]
    wake_at: datetime | None


def plan(rule_set: RuleSet, live: Sequence[Granted], shadow: Sequence[Granted], memory: Memory, now: datetime) -> Plan:
    """Plan what is granted and not yet under way or done. What shadow rules plan stands apart, and is never sent."""
    both = [_Outbox.filled(rule_set, "live", memory, now, live)]
    if shadow or _has_shadows(memory):
        both.append(_Outbox.filled(rule_set, "shadow", memory, now, shadow))
    effects = {key: effect for outbox in both for key, effect in outbox.kept().items()}
    wakes = [wake for outbox in both for wake in outbox.wakes]
    return Plan(
        effects=tuple(effects[k] for k in sorted(effects)),
        planned=tuple(outbox.wanted[k] for outbox in both for k in sorted(outbox.wanted)),
        withdrawn=tuple(sorted(key for outbox in both for key in outbox.withdrawn())),
        occurrences={key: each for outbox in both for key, each in outbox.occurrences.items()},
        flapping=tuple(one for outbox in both for one in outbox.flapping),
        wake_at=min(wakes, default=None),
    )


def free_claims(claims: Sequence[Claim], memory: Memory, unit_actions: frozenset[str]) -> tuple[Claim, ...]:
    """The claims whose unit nothing has settled and nothing we sent names: sent, unsure, settled or refused."""
    named = {u for e in memory.effects if e.status not in UNSENT and e.action in unit_actions for u in e.units}
    return tuple(
        c for c in claims if c.unit["settled"] is not True and c.unit["in_flight"] is not True and c.unit.key not in named
    )


def _has_shadows(memory: Memory) -> bool:
    return any(e.mode == "shadow" for e in memory.effects) or any(key.startswith(SHADOW) for key in memory.occurrences)


@dataclass(slots=True)
class _Outbox:
    """What is under way or done (`fixed`), what was planned `before` and what is `wanted` now, of live rules or of shadow ones.

    `done` are the keys of what is never sent again: what really was, for shadow rules too.
    """

    rule_set: RuleSet
    mode: Mode
    now: datetime
    fixed: Mapping[str, EffectState]
    done: frozenset[str]
    before: Mapping[str, EffectState]
    occurrences: dict[str, Occurrence]
    wanted: dict[str, EffectState] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    flapping: list[Granted] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)

    @classmethod
    def filled(cls, rule_set: RuleSet, mode: Mode, memory: Memory, now: datetime, granted: Sequence[Granted]) -> _Outbox:
        mine = [e for e in memory.effects if e.mode == mode]
        shadow = mode == "shadow"
        sent = (e.key for e in memory.effects if e.mode == "live" and e.status not in UNSENT)
        outbox = cls(
            rule_set,
            mode,
            now,
            {e.key: e for e in mine if e.status not in UNSENT},
            frozenset(f"{SHADOW}{key}" for key in sent) if shadow else frozenset(sent),
            {e.key: e for e in mine if e.status in UNSENT},
            {key: each for key, each in memory.occurrences.items() if key.startswith(SHADOW) is shadow},
        )
        outbox._fill(granted)
        return outbox

    def _fill(self, granted: Iterable[Granted]) -> None:
        for one in granted:
            if one.proposal.claims:
                self._units(one)
                continue
            base = self._subject_key(one)
            self.asked.add(base)
            if not one.proposal.use.spec.once:
                self._repeatable(one, base)
            elif base not in self.done:
                self._want(one, base, (), dict(one.proposal.params))
        for base, occurrence in self.occurrences.items():
            if occurrence.asked and base not in self.asked:
                self.occurrences[base] = replace(occurrence, asked=False)
        self._space_out()

    def kept(self) -> dict[str, EffectState]:
        """All effects of this outbox; what was ever sent is remembered even when nobody asks for it any more."""
        remembered = {k: replace(e, status="withdrawn") for k, e in self._unasked().items() if e.ever_sent}
        return {**self.fixed, **remembered, **self.wanted}

    def withdrawn(self) -> list[str]:
        return [k for k, e in self._unasked().items() if e.status == "planned"]

    def _unasked(self) -> dict[str, EffectState]:
        return {k: e for k, e in self.before.items() if k not in self.wanted}

    def _units(self, one: Granted) -> None:
        """One effect per order line and reason: it is the line that money is counted on. What was once sent stays together."""
        by_line: dict[tuple[str, str, str], list[Claim]] = defaultdict(list)
        together = self._sent_together(one)
        for claim in one.claims:
            reason = _reason(self.rule_set, one, claim)
            by_line[claim.unit["line"].key, reason, together.get(claim.unit.key, "")].append(claim)
        for (_line, reason, _sent), claims in by_line.items():
            ordered = sorted(claims, key=lambda c: c.unit["number"])
            line: Rec = ordered[0].unit["line"]
            params = {
                **payload(line, [c.unit for c in ordered], reason=reason),
                **{k: v for k, v in one.proposal.values.items() if k != "reason"},
            }
            key = self._key(one, "+".join(c.unit.key for c in ordered))
            if key not in self.done:
                self._want(one, key, tuple(ordered), params)

    def _sent_together(self, one: Granted) -> dict[str, str]:
        asked = {c.unit.key for c in one.claims}
        of_action = (e for e in self.before.values() if e.ever_sent and e.action == one.proposal.use.action)
        return {unit: effect.key for effect in of_action if asked.issuperset(effect.units) for unit in effect.units}

    def _key(self, one: Granted, subject: str) -> str:
        prefix = SHADOW if self.mode == "shadow" else ""
        return f"{prefix}{one.proposal.use.action.partition('.')[2]}:{subject}"

    def _subject_key(self, one: Granted) -> str:
        spec, proposal = one.proposal.use.spec, one.proposal
        wanted = f"={proposal.value}" if spec.sets else ""
        return self._key(one, f"{proposal.subject}{wanted}")

    def _repeatable(self, one: Granted, base: str) -> None:
        """Once for as long as it is asked for without a break; too often is somebody's."""
        known = self.occurrences.get(base, Occurrence(0, asked=False, times=()))
        if not known.asked:
            recent = tuple(t for t in known.times if self.now - t < FLAPPING_WINDOW)
            if len(recent) >= FLAPPING_COUNT:
                self.flapping.append(one)
                self.wakes.append(recent[0] + FLAPPING_WINDOW)
                return
            known = Occurrence(known.count + 1, asked=True, times=(*recent, self.now))
            self.occurrences[base] = known
        key = f"{base}@{known.count}"
        if key not in self.fixed:
            self._want(one, key, (), dict(one.proposal.params))

    def _want(self, one: Granted, key: str, claims: tuple[Claim, ...], params: dict[str, Any]) -> None:
        """Put it in the outbox; one that is there unchanged keeps its place, and its history of attempts in any case."""
        standing = one.proposal.standing
        fresh = EffectState(
            key=key,
            action=one.proposal.use.action,
            subject=one.proposal.subject or "+".join(c.unit.key for c in claims),
            units=tuple(c.unit.key for c in claims),
            claims=tuple((c.unit.key, item) for c in claims for item in _meant_by(c)),
            params=params,
            rule=standing.rule.id,
            item=standing.item,
            group=standing.rule.group,
            status="planned",
            planned_at=self.now,
            mode="shadow" if self.mode == "shadow" else "live",
        )
        old = self.before.get(key)
        if old is not None:
            same = old.params == fresh.params
            fresh = replace(
                fresh,
                planned_at=old.planned_at if same else self.now,
                not_before=old.not_before,
                attempts=old.attempts,
                cut_off=old.cut_off,
                ever_sent=old.ever_sent,
                sent_at=old.sent_at,
                reason=old.reason if old.status == "planned" else "",
                detail=old.detail,
                claims=old.claims if old.ever_sent else fresh.claims,
            )
        self.wanted[key] = fresh

    def _space_out(self) -> None:
        """What is over a rule's `at_most` waits its turn: first planned, first sent, counted from what really went out."""
        waiting: dict[RuleItem, list[EffectState]] = defaultdict(list)
        for effect in self.wanted.values():
            if self._limit(effect) is not None:
                waiting[effect.rule, effect.item].append(effect)
        for (rule, item), effects in waiting.items():
            limit = self._limit(effects[0])
            if limit is None:
                continue
            of_rule = (e for e in self.fixed.values() if (e.rule, e.item) == (rule, item) and self._limit(e) is not None)
            times = sorted(e.sent_at for e in of_rule if e.status in TOOK_PLACE and e.sent_at is not None)
            for effect in sorted(effects, key=lambda e: e.planned_at):
                free = times[-limit.count] + limit.per if len(times) >= limit.count else effect.planned_at
                turn = max(free, effect.planned_at)
                if turn > effect.planned_at:
                    self.wanted[effect.key] = replace(effect, turn_at=turn)
                    self.wakes.extend([turn] if turn > self.now else [])
                insort(times, max(turn, effect.not_before or turn))

    def _limit(self, effect: EffectState) -> AtMost | None:
        """`at_most` of the effect's rule, where the effect is of the kind it is for."""
        rule, spec = self.rule_set.rule(effect.rule), self.rule_set.actions.get(effect.action)
        return None if rule is None or spec is None or spec.once else rule.at_most


def _meant_by(claim: Claim) -> tuple[str, ...]:
    """Who is refunded with a unit: who asked for it, and where that was not an RMA, the RMA the piece is in."""
    rma_units = claim.unit["rma_units"]
    if claim.claimant.kind == "rma_unit" or not rma_units:
        return (claim.claimant.item,)
    first = min(rma_units, key=lambda u: (time_of(u["rma"]["requested_at"]), u["rma"].key, u.key))
    return claim.claimant.item, first.item


def _reason(rule_set: RuleSet, one: Granted, claim: Claim) -> str:
    """The rule's reason, else the one the customer gave if the outside has a code for it, else none."""
    stated = one.proposal.values.get("reason")
    if isinstance(stated, str):
        return stated
    given = claim.claimant.get("reason")
    codes = rule_set.codes.get(f"{one.proposal.use.action}.reason", {})
    return given if isinstance(given, str) and given in codes else ""
