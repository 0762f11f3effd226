"""Whether the codes we would send are codes the outside takes, asked of the outside itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

import structlog

from engine.facts.outside import Codes, Connector, OffersCodes, TryLater, ValidCode
from engine.run.clock import Clock
from engine.run.limits.budget import Budget
from engine.run.logs import where
from engine.store.base import Store
from engine.store.rows import ExceptionEntry

RULE = "code_not_taken"


@dataclass(frozen=True, slots=True)
class WrongCode:
    """`word` of `parameter` is sent as `code`, which the outside does not take from us; `why` says so in a sentence."""

    parameter: str
    word: str
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking: the `wrong` codes, the parameters that were `checked`, and who could not be asked, and why."""

    wrong: tuple[WrongCode, ...]
    checked: tuple[str, ...]
    unreachable: tuple[tuple[str, str], ...]


async def ask(connectors: Mapping[str, Connector], codes: Codes, budget: Budget | None = None) -> Asked:
    """Asks every connector that can tell, by role. One that cannot be reached is named, and is no fault of the codes."""
    wrong: list[WrongCode] = []
    checked: list[str] = []
    unreachable: list[tuple[str, str]] = []
    for role, connector in sorted(connectors.items()):
        if not isinstance(connector, OffersCodes):
            continue
        try:
            with budget.spending(connector, "fetch") if budget is not None else nullcontext():
                valid = await connector.valid_codes()
        except TryLater as no:
            unreachable.append((role, no.reason))
            continue
        for name, listed in sorted(valid.items()):
            parameter = f"{role}.{name}"
            wrong.extend(wrong_codes(parameter, codes.get(parameter, {}), listed))
            checked.append(parameter)
    return Asked(tuple(wrong), tuple(checked), tuple(unreachable))


def wrong_codes(parameter: str, table: Mapping[str, str], valid: Sequence[ValidCode]) -> Iterator[WrongCode]:
    """Each word whose code is not in the list, or is there for others only."""
    by_code = {each.code: each for each in valid}
    usable = [each for each in valid if each.ours]
    for word, code in sorted(table.items()):
        known = by_code.get(code)
        if known is not None and known.ours:
            continue
        what, why = f'"{code}"', "is not a code there"
        if known is not None:
            what, why = f'"{code}" ({known.label})' if known.label else what, "is not for us to use there"
        offered = ", ".join(f"{each.code} {each.label}".strip() for each in usable) or "none"
        said = f'{parameter}: "{word}" is sent as {what}, which {why}; ours to use: {offered}'
        yield WrongCode(parameter, word, code, said)


class CodeWatch:
    """Asks at the start, and whenever the codes change. What is wrong is an exception of the client, until it is mended."""

    def __init__(self, store: Store, connectors: Mapping[str, Connector], clock: Clock, budget: Budget) -> None:
        self._store = store
        self._connectors = connectors
        self._clock = clock
        self._budget = budget
        self._asked: Codes | None = None
        self._log = structlog.get_logger("instep.codes")

    def wants(self, codes: Codes) -> bool:
        """Whether these were not asked about yet."""
        return self._asked != codes

    async def look(self, codes: Codes) -> None:
        """Nothing that goes wrong here stops anything: what cannot be asked is logged, and asked at the next start."""
        if self._asked == codes:
            return
        self._asked = codes
        try:
            asked = await ask(self._connectors, codes, self._budget)
        except Exception as fault:
            self._log.error("codes_not_checked", **where(fault))
        else:
            for role, why in asked.unreachable:
                self._log.warning("codes_not_checked", role=role, why=why)
            self._tell(asked)

    def _tell(self, asked: Asked) -> None:
        now = self._clock()
        wrong = {f"{RULE}:{each.parameter}.{each.word}": each for each in asked.wrong}
        with self._store.transaction():
            for row in self._store.exceptions.of_client():
                mended = row.entry.rule == RULE and row.entry.key not in wrong and row.entry.about in asked.checked
                if mended:
                    self._store.exceptions.close_one(None, row.entry.key, now, "the outside takes the code now")
            for key, each in wrong.items():
                self._log.warning(RULE, parameter=each.parameter, word=each.word, code=each.code)
                self._store.exceptions.raise_one(None, _entry(key, each, now))


def _entry(key: str, wrong: WrongCode, now: datetime) -> ExceptionEntry:
    return ExceptionEntry(
        key=key,
        rule=RULE,
        item="",
        about=wrong.parameter,
        owner="operations",
        severity="high" if wrong.word == "default" else "medium",
        title=wrong.why,
        runbook="Set another code for the word under codes in client.yaml. Until then what is sent with it is refused.",
        answers="{}",
        state="open",
        opened_at=now,
    )
