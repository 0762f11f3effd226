"""Overrides: what a client, or a pack read later, changes of what an earlier pack says under an id.

`rules: {hold_for_inspection: {override: true, mode: off}}` replaces the named keys and keeps all others. A key that is given
as `null` is taken away. Every node keeps its own place, so that a fault points to the file that is at fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

from engine.language.forms import OVERRIDE
from engine.language.node import Entry, Node
from engine.language.written import same_meaning
from engine.problems import Place, Problems, did_you_mean

_NULLS = ("null", "Null", "NULL", "~")
_LEFT_OUT: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("rules", "mode"): "live",
        ("rules", "undecided_after"): "24h",
        ("tables", "hit"): "unique",
    }  # what a key that is not there stands for
)


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """What all files together say under one id. `origins` is where it is defined, then each override of it."""

    key: str
    place: Place
    node: Node
    origins: tuple[Place, ...]

    @property
    def latest(self) -> Place:
        """Where a fault of the whole is told: who spoke last found it sound."""
        return self.origins[-1]


def settled(section: str, what: str, said: Sequence[Entry], known: Collection[str], problems: Problems) -> Definition | None:
    """The definition and its overrides as one. `said` are all entries of one id, in the order their folders are read.

    Two definitions, an override of nothing or of the same folder, a second override from one folder and one that changes
    nothing are problems. The order of files within a folder makes no difference.
    """
    found: Definition | None = None
    for folder, entries in groupby(said, key=lambda entry: _folder(entry.place)):
        here = list(entries)
        for entry in here:
            if not is_override(entry.node):
                found = _defined(what, entry, found, problems)
        overriding = [entry for entry in here if is_override(entry.node)]
        for number, entry in enumerate(overriding):
            _check_word(entry.node, problems)
            if found is None:
                said_so = f"there is no {what.removeprefix('the ')} {_quoted(entry)} to override{did_you_mean(entry.key, known)}"
                problems.add(entry.place, "overrides-nothing", said_so)
            elif _folder(found.place) == folder:
                said_so = f"{what} {_quoted(entry)} is defined in this very folder, at {_line(found.place)}: change it there"
                problems.add(entry.place, "overrides-own", said_so)
            elif number:
                said_so = f"{what} {_quoted(entry)} is already overridden in this folder, at {_line(overriding[0].place)}"
                problems.add(entry.place, "already-defined", said_so)
            else:
                found = _merged(section, what, found, entry, problems)
    return found


def is_override(node: Node) -> bool:
    return node.get(OVERRIDE) is not None


def _defined(what: str, entry: Entry, first: Definition | None, problems: Problems) -> Definition:
    if first is None:
        return Definition(entry.key, entry.place, entry.node, (entry.place,))
    said = f"{what} {_quoted(entry)} is already defined at {_line(first.place)}"
    if _folder(first.place) != _folder(entry.place):
        said += ": to change it, write override: true and only the keys that differ"
    problems.add(entry.place, "already-defined", said)
    return first


def _check_word(node: Node, problems: Problems) -> None:
    word = node.get(OVERRIDE)
    if word is not None and word.value is not True:
        problems.add(word.place, "bad-value", f'"override" is true or left out, not {word.described()}')


def _merged(section: str, what: str, base: Definition, over: Entry, problems: Problems) -> Definition:
    """Both in one: the keys the override names in place of those of the base."""
    below = _spelled_out(base.node)
    if below.kind != "map":  # told already where it stands
        return base
    changes = {entry.key: entry for entry in over.node.entries if entry.key != OVERRIDE}
    if all(_same(section, below, entry) for entry in changes.values()):
        said = f"this changes nothing of {what} {_quoted(over)} ({_line(base.origins[-1])})"
        problems.add(over.place, "idle-override", said if changes else f"{said}: name the keys that differ")
        return base
    kept = [changes.get(entry.key, entry) for entry in below.entries]
    added = [entry for key, entry in changes.items() if below.get(key) is None]
    entries = tuple(entry for entry in (*kept, *added) if not _takes_away(entry.node))
    whole = replace(below, place=over.node.place, entries=entries)
    return Definition(base.key, base.place, whole, (*base.origins, over.place))


def _spelled_out(node: Node) -> Node:
    """A derived fact may be written as its bare expression."""
    if node.kind != "scalar" or node.is_null:
        return node
    return Node("map", node.place, entries=(Entry("value", node.place, node),))


def _takes_away(node: Node) -> bool:
    """`after: null` in so many words; a key with nothing behind it is rather a slip, and told as one."""
    return node.is_null and node.text in _NULLS


def _same(section: str, base: Node, change: Entry) -> bool:
    there = base.get(change.key)
    if there is None:
        return _takes_away(change.node) or _LEFT_OUT.get((section, change.key)) == change.node.text
    if _takes_away(change.node):
        return False
    return _meaning(there) == _meaning(change.node)


def _meaning(node: Node) -> object:
    if node.kind == "map":
        return {entry.key: _meaning(entry.node) for entry in node.entries}
    if node.kind == "list":
        return [_meaning(element) for element in node.elements]
    return same_meaning(node.text) if node.is_text else node.value


def _folder(place: Place) -> str:
    return place.file.rpartition("/")[0]


def _line(place: Place) -> str:
    return f"{place.file}:{place.line}"


def _quoted(entry: Entry) -> str:
    return f'"{entry.key}"'
