"""The tree a YAML file is read into: every node and every key knows its place in the file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar

from engine.facts.values import WorkingDuration
from engine.language.durations import parse_duration, parse_period, parse_working
from engine.language.forms import Form
from engine.problems import Place, Problems, did_you_mean

T = TypeVar("T")
Scalar = str | int | Decimal | bool | None
Style = Literal["plain", "single", "double", "block"]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One key of a mapping and what stands under it."""

    key: str
    place: Place
    node: Node


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A scalar, a list or a map.

    `text` is a scalar's text and `value` what it stands for: text, int, Decimal, boolean or None. `raw` is the scalar as it
    is written in the file, from which places inside it are worked out. `elements` are those of a list, `entries` of a map.
    """

    kind: Literal["scalar", "list", "map"]
    place: Place
    text: str = ""
    value: Scalar = None
    style: Style = "plain"
    raw: str = ""
    elements: tuple[Node, ...] = ()
    entries: tuple[Entry, ...] = ()

    def at(self, offset: int) -> Place:
        """The place of the character `offset` of `text`, through quotes, escapes and folded lines."""
        if self.style == "plain" and self.raw == self.text:
            return self.place.moved(offset)
        return _place_in(self.place, self.raw, raw_offset(self.raw, self.text, self.style, offset))

    @property
    def is_text(self) -> bool:
        return self.kind == "scalar" and isinstance(self.value, str)

    @property
    def is_null(self) -> bool:
        return self.kind == "scalar" and self.value is None

    def items(self) -> Iterator[tuple[str, Place, Node]]:
        """Key, place of the key and value of each entry of a map, in file order; nothing for other nodes."""
        for entry in self.entries:
            yield entry.key, entry.place, entry.node

    def get(self, key: str) -> Node | None:
        return next((entry.node for entry in self.entries if entry.key == key), None)

    def key_place(self, key: str) -> Place:
        """Where `key` stands, or the place of the map if it has no such key."""
        return next((entry.place for entry in self.entries if entry.key == key), self.place)

    def overlaid(self, over: Node) -> Node:
        """This map with the entries of another in place of its own, map by map; anything else is replaced whole."""
        if self.kind != "map" or over.kind != "map":
            return over
        entries = {entry.key: entry for entry in self.entries}
        for entry in over.entries:
            below = entries.get(entry.key)
            entries[entry.key] = entry if below is None else Entry(entry.key, entry.place, below.node.overlaid(entry.node))
        return Node("map", self.place, entries=tuple(entries.values()))

    def plain(self) -> Any:
        """The same as dicts, lists and scalars, for hashing and for models that check settings."""
        if self.kind == "map":
            return {entry.key: entry.node.plain() for entry in self.entries}
        if self.kind == "list":
            return [element.plain() for element in self.elements]
        return self.value

    def described(self) -> str:
        """What it is, for a message: `a list`, `nothing`, `the number 3`."""
        if self.kind != "scalar":
            return "a list" if self.kind == "list" else "a mapping"
        if self.value is None:
            return "nothing"
        if isinstance(self.value, bool):
            return self.text
        return f"the number {self.text}" if isinstance(self.value, int | Decimal) else f'"{self.text}"'

    def expect_map(self, problems: Problems, what: str) -> bool:
        """True for a map; else a problem saying that `what` must be one."""
        return self._expect(problems, what, "a mapping", self.kind == "map")

    def expect_list(self, problems: Problems, what: str) -> bool:
        return self._expect(problems, what, "a list", self.kind == "list")

    def expect_text(self, problems: Problems, what: str) -> str | None:
        """The text of a scalar that is text, else None and a problem."""
        fits = self._expect(problems, what, "text", self.is_text)
        return self.text if fits else None

    def expect_boolean(self, problems: Problems, what: str) -> bool | None:
        fits = self._expect(problems, what, "true or false", isinstance(self.value, bool))
        return bool(self.value) if fits else None

    def expect_duration(self, problems: Problems, what: str) -> timedelta | None:
        """The duration a scalar names, such as `4h`."""
        return self._spelled(problems, what, "a duration such as 4h", parse_duration)

    def expect_working(self, problems: Problems, what: str) -> WorkingDuration | None:
        """The working duration a scalar names, such as `5 working days`."""
        return self._spelled(problems, what, "a working duration such as 5 working days", parse_working)

    def expect_period(self, problems: Problems, what: str) -> timedelta | WorkingDuration | None:
        """The duration of either type a scalar names."""
        return self._spelled(problems, what, "a duration such as 48h or 5 working days", parse_period)

    def _spelled(self, problems: Problems, what: str, wanted: str, parse: Callable[[str], T]) -> T | None:
        if not self._expect(problems, what, wanted, self.kind == "scalar" and self.value is not None):
            return None
        try:
            return parse(self.text)
        except ValueError as fault:
            problems.add(self.place, "bad-duration", f"{what}: {fault}")
            return None

    def expect_one_of(self, problems: Problems, what: str, valid: Iterable[str]) -> str | None:
        """The text if it is one of `valid`, else None and a problem with the nearest."""
        text = self.expect_text(problems, what)
        if text is None:
            return None
        names = tuple(valid)
        if text in names:
            return text
        problems.add(self.place, "unknown-word", f'{what} cannot be "{text}"{did_you_mean(text, names)}')
        return None

    def expect_form(self, problems: Problems, what: str, form: Form, excused: Collection[str] = ()) -> bool:
        """True for a map with a form's keys and no others, all required ones but the `excused` among them; else problems."""
        required = [key for key in form.required if key not in excused]
        return self.expect_keys(problems, what, required, form.keys)

    def expect_keys(self, problems: Problems, what: str, required: Iterable[str] = (), optional: Iterable[str] = ()) -> bool:
        """The same for keys that the author chose elsewhere, such as a table's inputs; those of the language are in a form."""
        if not self.expect_map(problems, what):
            return False
        needed = tuple(required)
        known = {*needed, *optional}
        fine = True
        for key, place, _ in self.items():
            if key not in known:
                problems.add(place, "unknown-key", f'{what} has no key "{key}"{did_you_mean(key, known)}')
                fine = False
        present = {entry.key for entry in self.entries}
        for key in needed:
            if key not in present:
                problems.add(self.place, "missing-key", f'{what} needs the key "{key}"')
                fine = False
        return fine

    def _expect(self, problems: Problems, what: str, wanted: str, fits: bool) -> bool:
        if not fits:
            problems.add(self.place, "wrong-shape", f"{what} must be {wanted}, not {self.described()}")
        return fits


Locate = Callable[[int], Place]


def locator(at: Place | Node | Locate, start: int = 0) -> Locate:
    """From an offset into a text, counted from `start`, to its place in the file."""
    if isinstance(at, Place):
        place = at
        return lambda offset: place.moved(start + offset)
    find = at.at if isinstance(at, Node) else at
    return lambda offset: find(start + offset)


_HEX = {"x": 2, "u": 4, "U": 8}  # digits after an escape that names a character
_BLANK_ESCAPES = frozenset("ntrvf NLP_\t\r\n")  # what they stand for, like a line end escaped, is blank


def raw_offset(raw: str, text: str, style: Style, offset: int) -> int:
    """Where in `raw` the character `offset` of `text` is written.

    Whatever folding and indentation do, they only touch blanks: what is not blank stands in both in the same order.
    """
    position = _start(raw, style)
    for character in text[:offset]:
        if not character.isspace():
            position = _past_blanks(raw, position, style)
            position += _width(raw, position, style)
    after = text[offset : offset + 1]
    return position if not after or after.isspace() else _past_blanks(raw, position, style)


def _start(raw: str, style: Style) -> int:
    if style == "block":  # the header line `|` or `>-` comes first
        return raw.find("\n") + 1
    return 0 if style == "plain" else 1


def _past_blanks(raw: str, position: int, style: Style) -> int:
    while position < len(raw):
        written = raw[position : position + 2]
        if not written[0].isspace() and not (style == "double" and _is_blank_escape(raw, position)):
            break
        position += 1 if written[0].isspace() else _width(raw, position, style)
    return position


def _is_blank_escape(raw: str, position: int) -> bool:
    if raw[position] != "\\":
        return False
    kind = raw[position + 1 : position + 2]
    if kind in _HEX:
        return chr(int(raw[position + 2 : position + 2 + _HEX[kind]], 16)).isspace()
    return kind in _BLANK_ESCAPES


def _width(raw: str, position: int, style: Style) -> int:
    """How many characters one character of the text takes, as it is written."""
    if style == "single" and raw[position : position + 2] == "''":
        return 2
    if style == "double" and raw[position : position + 1] == "\\":
        return 2 + _HEX.get(raw[position + 1 : position + 2], 0)
    return 1


def _place_in(start: Place, raw: str, position: int) -> Place:
    before = raw[:position]
    lines = before.count("\n")
    if not lines:
        return start.moved(position)
    return Place(start.file, start.line + lines, position - before.rindex("\n"))
