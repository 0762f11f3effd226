"""What changed in meaning between two sets of files is told, part by part; what only looks otherwise is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.language.difference import Change, Side, difference
from engine.language.files import Files, own_files
from engine.language.pack import load, load_client
from tests.language.small_world import ACTIONS, SMALL

BASE = "rules/base/more.yaml"
CLIENT = "rules/clients/acme/client.yaml"
MORE = """
params: {limit: {type: number, default: 3}}
facts: {rma.late: exists(rma.status)}
tables:
  policy: {hit: first, given: {s: rma.status}, rows: [{s: any, then: {wait: 4h}}]}
rules:
  told:
    title: Tell it
    group: refund
    each: rma
    when: [rma.late, exists(rma.status)]
    for: 2h
    after: rma.seen_at
    then:
      - returns.comment: {rma: rma, text: Hello}
promises:
  once: {each: rma, never: missing(rma.id)}
"""


def side(**changed: str) -> Side:
    files = own_files(SMALL)
    texts = {name: data.decode() for name, data in files.contents.items()} | {BASE: MORE}
    names = {"more": BASE, "client": CLIENT}
    made = Files.of(texts | {names[key]: text for key, text in changed.items()})
    return Side(load(made, "acme", ACTIONS), load_client(made, "acme"))


def told(more: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(c.what, c.name, c.how, tuple(p.name for p in c.parts)) for c in difference(side(), side(more=more))]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title: Tell it", "title: Say it", ("rule", "told", "changed", ("title",))),
        ("group: refund", "group: hold", ("rule", "told", "changed", ("group",))),
        ("when: [rma.late, exists", "when: [not rma.late, exists", ("rule", "told", "changed", ("when",))),
        ("for: 2h", "for: 3h", ("rule", "told", "changed", ("for",))),
        ("    for: 2h\n", "", ("rule", "told", "changed", ("for",))),
        ("after: rma.seen_at", "after: rma.seen_at + hours(1)", ("rule", "told", "changed", ("after",))),
        ("text: Hello", "text: Bye", ("rule", "told", "changed", ("then",))),
        ("    title: Tell it\n", "    title: Tell it\n    mode: shadow\n", ("rule", "told", "changed", ("mode",))),
        ("    title: Tell it\n", "    title: Tell it\n    at_most: 1 per 24h\n", ("rule", "told", "changed", ("at_most",))),
        ("default: 3", "default: 4", ("parameter", "limit", "changed", ("value",))),
        ("rma.late: exists(rma.status)", "rma.late: missing(rma.status)", ("fact", "rma.late", "changed", ("value",))),
        ("wait: 4h", "wait: 5h", ("table", "policy", "changed", ("meaning",))),
        ("never: missing(rma.id)", "never: missing(rma.status)", ("promise", "once", "changed", ("never",))),
        ("  told:", "  said:\n    was: told", ("rule", "said", "renamed", ("id",))),
        ("  told:", "  said:", ("rule", "said", "added", ())),
        ("  told:", "  said:", ("rule", "told", "removed", ())),
    ],
)
def test_each_part_that_means_something_else_is_named(
    old: str, new: str, expected: tuple[str, str, str, tuple[str, ...]]
) -> None:
    assert old in MORE
    assert expected in told(MORE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("for: 2h", "for: 120m"),
        (
            "when: [rma.late, exists(rma.status)]",
            "when:\n      - ( rma.late )\n      - {if: exists( rma.status ), label: Has one}",
        ),
        ("title: Tell it", "# a comment\n    title: 'Tell it'"),
    ],
)
def test_what_only_looks_otherwise_is_not_told(old: str, new: str) -> None:
    assert old in MORE
    assert told(MORE.replace(old, new)) == []


def test_the_settings_of_a_client_are_told_by_their_key() -> None:
    text = (SMALL / CLIENT).read_text(encoding="utf-8")
    assert "client: acme" in text
    changed = side(client=text.replace("client: acme", "client: acme\nmax_new_effects: 7"))
    [change] = difference(side(), changed)
    assert change == Change("setting", "max_new_effects", "changed", None, change.parts)
    assert (change.parts[0].before, change.parts[0].after) == ("20", "7")


def test_the_same_files_differ_in_nothing() -> None:
    assert difference(side(), side()) == ()


def test_places_are_those_of_the_newer_set(tmp_path: Path) -> None:
    [change] = difference(side(), side(more=MORE.replace("for: 2h", "for: 3h")))
    assert str(change.place) == f"{BASE}:7:3"
