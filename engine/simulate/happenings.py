"""Reads what a scenario says is known and what happens: records seen, payloads, people's decisions, what became of effects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from engine.language.mapping import milestones
from engine.language.node import Node
from engine.language.scenario_forms import ANSWERED, GIVEN, HAPPENING
from engine.problems import Place, Problems, did_you_mean
from engine.simulate.given import Reader, RecordChange, record_kinds
from engine.simulate.matches import MatchReader
from engine.simulate.scenario import Answered, Became, Corrected, Deed, Happening, Payload, Resolved

ReadBeside = Callable[[str, Place, Problems], tuple[bytes, Node | None]]  # a file beside the scenario: its bytes and its tree
DEEDS: Mapping[str, Deed] = {
    "settled": "settled",
    "settled elsewhere": "settled_elsewhere",
    "refused": "refused",
    "unsure": "unsure",
    "retry": "retried",
}
EVERYTHING = "everything"
_WORDS = tuple(HAPPENING.keys)
_GIVEN_WORDS = tuple(GIVEN.keys)


class HappeningReader:
    """Reads `given`, samples and `when`, collecting problems."""

    def __init__(self, matches: MatchReader, samples: Mapping[str, Node], beside: ReadBeside) -> None:
        self.matches = matches
        self.reader: Reader = matches.reader
        self.problems: Problems = matches.problems
        self.samples = samples
        self.beside = beside

    def given(self, node: Node, within: tuple[str, ...] = ()) -> Iterator[RecordChange | Payload]:
        """Layers of what is known: names of samples, and records; each later one changes what the ones before said."""
        if node.kind == "list":
            for element in node.elements:
                yield from self.given(element, within)
        elif node.kind == "map":
            for key, place, below in node.items():
                yield from self._given(key, place, below)
        else:
            name = node.expect_text(self.problems, "what is given")
            if name is not None:
                yield from self._sample(name, node.place, within)

    def _sample(self, name: str, place: Place, within: tuple[str, ...]) -> Iterator[RecordChange | Payload]:
        if name not in self.samples:
            kinds = record_kinds(self.reader.vocabulary)
            hint = f"; a record is given as {name}: {{...}}" if name.partition(" ")[0] in kinds else ""
            said = f'there is no sample "{name}"{did_you_mean(name, self.samples)}{hint}'
            self.problems.add(place, "unknown-sample", said)
        elif name in within:
            self.problems.add(place, "circular-sample", f'the sample "{name}" is made of itself')
        else:
            yield from self.given(self.samples[name], (*within, name))

    def _given(self, key: str, place: Place, node: Node) -> Iterator[RecordChange | Payload]:
        if key == "payload":
            yield from self._payloads(node)
        elif key == "file":
            yield from self._file(node)
        elif key in _WORDS:
            self.problems.add(place, "unknown-key", f'"{key}" is something that happens: it belongs under when')
        else:
            change = self._record(key, place, node, _GIVEN_WORDS)
            if change is not None:
                yield change

    def _record(self, heading: str, place: Place, node: Node, words: tuple[str, ...]) -> RecordChange | None:
        kinds = record_kinds(self.reader.vocabulary)
        if heading.partition(" ")[0] not in kinds:
            said = f'"{heading}" is no record and nothing that happens{did_you_mean(heading, (*kinds, *words))}'
            self.problems.add(place, "unknown-key", said)
            return None
        return self.reader.record(heading, place, node)

    def _file(self, node: Node) -> Iterator[RecordChange | Payload]:
        """Records by heading, or as `instep decide` reads them: `records`, by kind."""
        name = node.expect_text(self.problems, '"file"')
        tree = None if name is None else self.beside(name, node.place, self.problems)[1]
        if tree is None or not tree.expect_map(self.problems, f"the file {name}"):
            return
        by_kind = tree.get("records")
        if by_kind is None:
            yield from self.given(tree)
            return
        for kind, place, listed in by_kind.items():
            for record in listed.elements or (listed,):
                if kind not in record_kinds(self.reader.vocabulary):
                    said = f'there is no kind of record "{kind}"{did_you_mean(kind, record_kinds(self.reader.vocabulary))}'
                    self.problems.add(place, "unknown-kind", said)
                    break
                key = record.get(self.reader.vocabulary[kind].key)
                change = self._record(f"{kind} {key.text if key else ''}", record.place, record, ())
                if change is not None:
                    yield change

    def _payloads(self, node: Node) -> Iterator[Payload]:
        mappings = self.matches.rule_set.mappings
        if not node.expect_map(self.problems, '"payload"'):
            return
        for heading, place, below in node.items():
            event, _, about = heading.partition(" ")
            if event not in mappings:
                said = f'no mapping reads "{event}"{did_you_mean(event, mappings)}'
                self.problems.add(place, "unknown-payload", said)
            elif below.is_text:
                content, _ = self.beside(below.text, below.place, self.problems)
                yield Payload(event, about.strip(), content, place)
            else:
                yield Payload(event, about.strip(), _json(below.plain()).encode(), place)

    def happenings(self, node: Node) -> Iterator[Happening]:
        """One block of `when`, in the order it is written."""
        if node.kind == "list":
            for element in node.elements:
                yield from self.happenings(element)
        elif node.is_text:  # a sample that is seen now
            yield from self.given(node)
        elif node.expect_map(self.problems, "what happens"):
            for key, place, below in node.items():
                yield from self._happening(key, place, below)

    def _happening(self, key: str, place: Place, node: Node) -> Iterator[Happening]:
        match key:
            case "payload":
                yield from self._payloads(node)
            case "answer" if node.expect_map(self.problems, '"answer"'):
                for _, at, below in node.items():
                    yield from self._answer(at, below, _)
            case "resolve":
                for rule, item in self._rules(node):
                    yield Resolved(rule, item, place)
            case "correct" if node.expect_map(self.problems, '"correct"'):
                for heading, at, below in node.items():
                    change = self.reader.record(heading, at, below)
                    if change is not None:
                        yield from self._corrected(change, at)
            case "answer" | "correct":
                return
            case _ if key in DEEDS:
                yield from self._became(DEEDS[key], place, node)
            case _:
                change = self._record(key, place, node, _WORDS)
                if change is not None:
                    yield change

    def _corrected(self, change: RecordChange, place: Place) -> Iterator[Corrected]:
        kept = milestones(self.matches.rule_set.mappings, change.kind)
        for field, value in change.fields.items():
            if field in kept:
                yield Corrected(change.kind, change.key, field, value, place)
            elif field != self.reader.vocabulary[change.kind].key:
                said = f"{change.kind}.{field} is no milestone, and only those are corrected by hand{did_you_mean(field, kept)}"
                self.problems.add(place, "unknown-field", said)

    def _answer(self, place: Place, node: Node, rule_id: str) -> Iterator[Answered]:
        rule = self.matches.rule(Node("scalar", place, rule_id, rule_id))
        found = None if rule is None else self.matches.rule_set.rule(rule)
        if found is None:
            return
        answers = [answer for raising in found.raises for answer in raising.answers]
        if not answers:
            self.problems.add(place, "unknown-answer", f'"{rule_id}" asks nothing: resolve it instead')
            return
        said, item, by = node, "", "Kim"
        if node.kind == "map":
            if not node.expect_form(self.problems, f"the answer to {rule_id}", ANSWERED):
                return
            said = node.get("answer") or node
            texts = {k: n.expect_text(self.problems, f'"{k}"') or "" for k, _, n in node.items() if k != "answer"}
            item, by = texts.get("for", ""), texts.get("by", "Kim")
        answer = said.expect_one_of(self.problems, f"the answer to {rule_id}", answers)
        if answer is not None:
            yield Answered(rule_id, answer, item, by, place)

    def _rules(self, node: Node) -> Iterator[tuple[str, str]]:
        if node.kind == "map":
            for rule, _, below in node.items():
                yield rule, below.expect_text(self.problems, "whose it is") or ""
        else:
            for rule in sorted(self.matches.texts(node, '"resolve"')):
                yield rule, ""

    def _became(self, deed: Deed, place: Place, node: Node) -> Iterator[Became]:
        if node.is_text and node.text == EVERYTHING:
            yield Became(deed, None, place)
        elif deed == "refused" and node.kind == "map":
            for action, at, below in node.items():
                yield from self._refused(action, at, below)
        elif deed == "refused":
            self.problems.add(node.place, "wrong-shape", "say why, as in refused: {marketplace.refund: balance_too_low}")
        else:
            for match in self.matches.effects(node):
                yield Became(deed, match, match.place)

    def _refused(self, action: str, place: Place, node: Node) -> Iterator[Became]:
        if node.kind != "map":
            reason, detail, rest = node, None, None
        else:
            found = node.get("reason")
            if found is None:
                self.problems.add(node.place, "missing-key", f'the refusal of {action} needs the key "reason"')
                return
            reason, detail = found, node.get("detail")
            left = tuple(e for e in node.entries if e.key not in {"reason", "detail"})
            rest = Node("map", node.place, entries=left)
        match = self.matches.effect(action, place, rest)
        why = reason.expect_text(self.problems, "the reason of a refusal")
        words = "they said no" if detail is None else detail.expect_text(self.problems, '"detail"') or ""
        if match is not None and why is not None:
            yield Became("refused", match, place, why, words)


def _json(value: Any) -> str:
    """JSON with exact numbers."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(k))}:{_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)
