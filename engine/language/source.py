"""YAML text to nodes: YAML 1.2 core scalars, exact numbers, and a located problem for everything that could surprise.

Read from the parser's events, not from its constructed values, so that nothing is guessed: no YAML 1.1 booleans, no
sexagesimals, no floats, no aliases, no tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from engine.language.node import Entry, Node, Scalar, Style
from engine.problems import Place, Problems

LARGEST_FILE = 2_000_000  # characters; a rule file has a few thousand
DEEPEST = 40

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?", re.ASCII)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_STYLES: dict[str | None, Style] = {"'": "single", '"': "double", "|": "block", ">": "block"}
_IN_OUR_WORDS = (  # the parser's sentences, and what they come from
    ("cannot start any token", "text that starts with this character has to be quoted"),
    ("mapping values are not allowed", 'a ": " inside text begins another key: quote the text'),
    ("unexpected end of stream", "a quote is opened before here and never closed"),
    ("did not find expected ',' or ']'", "a [ is opened before here and not closed, or a comma is missing in the list"),
    ("did not find expected ',' or '}'", "a { is opened before here and not closed, or a comma is missing in it"),
    ("did not find expected key", "this is not indented like the keys above it"),
    (
        "did not find expected '-' indicator",
        "this is not indented like the list above it, or text that starts with a quote goes on after it",
    ),
    ("could not find expected ':'", 'a key needs ": " and a value behind it'),
)
_NOT_YAML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")  # text that is shown in another order than it stands in (CVE-2021-42574)
_RANGE = re.compile(r"[\[(\]][^\[\](){},\"']+\.\.[^\[\](){},\"']+[\])\[]")  # of a table's cell, as in [10..20)
_TAB = re.compile(r"^[ ]*\t[ \t]*(?=[^\s#])", re.MULTILINE)


def read_source(data: bytes | str, file: str, problems: Problems) -> Node | None:
    """The tree of one YAML document. Faults go to `problems`; None if there is no tree to go on with. Never raises.

    An empty file is a scalar with value None.
    """
    text = _decode(data, file, problems)
    if text is None:
        return None
    for match in _TAB.finditer(text):
        problems.add(_place(file, text, match.end() - 1), "yaml-tab", "a tab in the indentation: indent with spaces")
    try:
        return _Builder(file, text, problems).read()
    except yaml.YAMLError as fault:
        _report(fault, file, text, problems)
    return None


def scalar_value(text: str) -> Scalar:
    """What a plain scalar stands for in the YAML 1.2 core schema. Numbers are exact."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) < 1000:
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text


def _decode(data: bytes | str, file: str, problems: Problems) -> str | None:
    if isinstance(data, bytes):
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            before = data[: fault.start].decode("utf-8", "replace")
            problems.add(_place(file, before, len(before)), "not-utf8", f"byte {data[fault.start]:#04x} is not UTF-8")
            return None
    else:
        text = data.removeprefix("\ufeff")
    if len(text) > LARGEST_FILE:
        problems.add(Place(file), "too-large", f"the file has {len(text)} characters; at most {LARGEST_FILE} are read")
        return None
    strange = _NOT_YAML.search(text) or _TURNS.search(text)
    if strange is not None:
        message = f"the character U+{ord(strange[0]):04X} cannot stand in YAML"
        problems.add(_place(file, text, strange.start()), "yaml-character", message)
        return None
    return text


def _place(file: str, text: str, index: int) -> Place:
    return Place(file, text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _report(fault: yaml.YAMLError, file: str, text: str, problems: Problems) -> None:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    place = Place(file) if mark is None else Place(file, mark.line + 1, mark.column + 1)
    if any(p.code == "yaml-tab" and p.place.line == place.line for p in problems):
        return
    said = ", ".join(s for s in (getattr(fault, "context", None), getattr(fault, "problem", None)) if s)
    plain = next((words for theirs, words in _IN_OUR_WORDS if theirs in said), said or str(fault))
    line = text.split("\n")[place.line - 1] if place.line <= text.count("\n") + 1 else ""
    hint = ""
    if "flow" in said and (span := _RANGE.search(line)) is not None:
        hint = f'; a range is written in quotes: "{span[0]}"'
    elif "flow" in said and "(" in line:
        hint = "; inside [...] and {...} a comma ends the entry: quote the expression or give it a line of its own"
    problems.add(place, "yaml-syntax", f"{plain}{hint}")


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not been read."""

    start: Any
    entries: list[Entry] = field(default_factory=list)
    elements: list[Node] = field(default_factory=list)
    seen: dict[str, Place] = field(default_factory=dict)
    key: tuple[str, Place] | None = None
    waiting: bool = False  # a key has been read, its value not

    @property
    def is_map(self) -> bool:
        return isinstance(self.start, yaml.MappingStartEvent)


class _Builder:
    """Builds the tree from parser events, without recursion."""

    def __init__(self, file: str, text: str, problems: Problems) -> None:
        self.file = file
        self.text = text
        self.problems = problems
        self.stack: list[_Open] = []
        self.root: Node | None = None
        self.documents = 0

    def read(self) -> Node | None:
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    self._fault(event, "yaml-documents", "a second document starts here: one file holds one document")
                    return self.root
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._check(event)
                if len(self.stack) >= DEEPEST:
                    self._fault(event, "yaml-depth", f"nested more than {DEEPEST} deep")
                    return None
                self.stack.append(_Open(event))
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close()
            elif isinstance(event, yaml.ScalarEvent):
                self._check(event)
                self._add(self._scalar(event), event)
            elif isinstance(event, yaml.AliasEvent):
                self._fault(event, "yaml-alias", f"*{event.anchor}: aliases are not used here; write it out")
                self._add(Node("scalar", self._at(event)), event)
        return self.root or Node("scalar", Place(self.file))

    def _events(self) -> Iterator[Any]:
        loader = _Loader(self.text)
        try:
            while loader.check_event():
                yield loader.get_event()
        finally:
            loader.dispose()

    def _at(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _fault(self, event: Any, code: str, message: str) -> None:
        self.problems.add(self._at(event), code, message)

    def _check(self, event: Any) -> None:
        if event.anchor is not None:
            self._fault(event, "yaml-anchor", f"&{event.anchor}: anchors are not used here; write it out")
        if event.tag is not None:
            self._fault(
                event,
                "yaml-tag",
                f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')} is not used here: the type follows from the field",
            )

    def _scalar(self, event: Any) -> Node:
        style = _STYLES.get(event.style, "plain")
        value = scalar_value(event.value) if style == "plain" else event.value
        raw = self.text[event.start_mark.index : event.end_mark.index]
        return Node("scalar", self._at(event), event.value, value, style, raw)

    def _close(self) -> None:
        closed = self.stack.pop()
        place = self._at(closed.start)
        if closed.is_map:
            self._add(Node("map", place, entries=tuple(closed.entries)), closed.start)
        else:
            self._add(Node("list", place, elements=tuple(closed.elements)), closed.start)

    def _add(self, node: Node, event: Any) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if not top.is_map:
            top.elements.append(node)
        elif not top.waiting:
            top.waiting = True
            top.key = self._key(node, event, top.seen)
        else:
            top.waiting = False
            if top.key is not None:
                top.entries.append(Entry(*top.key, node))

    def _key(self, node: Node, event: Any, seen: dict[str, Place]) -> tuple[str, Place] | None:
        """The key `node` is, or None with a problem, so that its value is read and left out."""
        if node.kind == "scalar" and node.style == "plain" and node.text == "<<":
            self._fault(event, "yaml-merge", "<<: merge keys are not used here; write the keys out")
        elif not node.is_text:
            quoted = f': quote it, "{node.text}"' if node.kind == "scalar" and node.text else ""
            self._fault(event, "yaml-key", f"a key must be text, not {node.described()}{quoted}")
        elif node.text in seen:
            first = seen[node.text]
            self._fault(event, "duplicate-key", f'"{node.text}" stands here twice, first in line {first.line}')
        else:
            seen[node.text] = node.place
            return node.text, node.place
        return None
