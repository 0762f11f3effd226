"""Whatever a file holds, it becomes nodes that know their place, or problems that do."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language.durations import parse_duration, show_duration
from engine.language.source import read_source, scalar_value
from engine.problems import Problems

YAMLISH = st.text(alphabet="ab:-[]{}#&*!|>'\"%@`,? \n\t01.~", max_size=80)


def problems_of(text: str | bytes) -> list[str]:
    problems = Problems()
    read_source(text, "a.yaml", problems)
    return [f"{p.place.line}:{p.place.column} {p.message}" for p in problems]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=120), st.text(max_size=80), YAMLISH))
def test_no_bytes_crash_the_reader(data: bytes | str) -> None:
    problems = Problems()
    node = read_source(data, "a.yaml", problems)
    assert node is not None or problems
    if node is not None:
        node.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [("NO", "NO"), ("on", "on"), ("12:30", "12:30"), ("yes", "yes"), ("true", True), ("~", None), ("null", None), ("12", 12)],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert scalar_value(text) == value
    problems = Problems()
    node = read_source(f"a: {text}\n", "a.yaml", problems)
    assert not problems
    assert node is not None
    assert node.plain() == {"a": value}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1"),
        ("a:\n\tb: 1\n", "2:1"),
        ("a: &x 1\nb: *x\n", "1:4"),
        ("a: {<<: {b: 1}}\n", "1:5"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: !!python/object x\n", "1:4"),
        ("a: [1, 2\nb: 3\n", "2:"),
        ("[a, b]: 1\n", "1:1"),
    ],
)
def test_what_is_refused_is_refused_at_its_place(text: str, place: str) -> None:
    found = problems_of(text)
    assert found
    assert found[0].startswith(place), found


def test_a_bomb_of_references_is_refused_before_it_goes_off() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    assert problems_of(f"l0: &l0 [x]\n{levels}\n")


def test_text_that_is_not_utf_8_is_named() -> None:
    assert any("UTF-8" in one for one in problems_of(b"a: \xff\xfe\xfa\n"))


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet="ab'\"é\\ \n{}.=()🙂", min_size=1, max_size=40),
    style=st.sampled_from([None, "'", '"', "|", ">"]),
    width=st.sampled_from([8, 20, 80]),
    ascii_only=st.booleans(),
)
def test_every_character_of_a_scalar_knows_its_place(text: str, style: str | None, width: int, *, ascii_only: bool) -> None:
    """Through quotes, escapes, folded lines and indentation: a fault inside an expression points at it."""
    written = yaml.safe_dump({"key": {"inner": text}}, default_style=style, width=width, allow_unicode=not ascii_only)
    problems = Problems()
    node = read_source(written, "a.yaml", problems)
    assert node is not None, str(problems)
    scalar = node.entries[0].node.entries[0].node
    assert scalar.text == text
    lines = written.split("\n")
    for offset, character in enumerate(text):
        place = scalar.at(offset)
        if not character.isspace():
            there = lines[place.line - 1][place.column - 1]
            assert there == character or (there == "\\" and scalar.style == "double")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1: x\n", '"1"'),
        ('a: [c, default(b, "") != "x"]\n', "comma ends the entry"),
        ("a: \x07\n", "U+0007"),
        ("a: " + "[" * 100 + "]" * 100, "deep"),
    ],
)
def test_what_is_refused_is_explained(text: str, said: str) -> None:
    assert any(said in one for one in problems_of(text)), problems_of(text)


def test_numbers_are_exact() -> None:
    problems = Problems()
    node = read_source("a: [0.1, 1e3, 0x1F, 0o17, 007, -.5, 1_000, .inf]\n", "a.yaml", problems)
    assert node is not None
    assert node.plain() == {"a": [Decimal("0.1"), Decimal("1e3"), 31, 15, 7, Decimal("-0.5"), "1_000", ".inf"]}
    assert not any(isinstance(value, float) for value in node.plain()["a"])


def test_a_reader_is_told_what_a_map_lacks_and_what_it_has_too_much_of() -> None:
    problems = Problems()
    node = read_source("titel: x\nfor: 3\n", "a.yaml", problems)
    assert node is not None
    assert not node.expect_keys(problems, "a rule", ["group"], ["title", "for"])
    held = node.get("for")
    assert held is not None
    assert held.expect_duration(problems, '"for"') is None
    assert [str(p) for p in problems] == [
        'a.yaml:1:1: error missing-key: a rule needs the key "group"',
        'a.yaml:1:1: error unknown-key: a rule has no key "titel" (did you mean "title"?)',
        'a.yaml:2:6: error bad-duration: "for": "3" has no unit: write it with a unit: 30m, 4h, 2d, 90s or PT4H',
    ]


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("4h", timedelta(hours=4)), ("30m", timedelta(minutes=30)), ("2d", timedelta(days=2)), ("90s", timedelta(seconds=90)),
        ("PT4H", timedelta(hours=4)), ("P2D", timedelta(days=2)), ("1d 4h", timedelta(hours=28)),
        ("P1DT2H30M", timedelta(days=1, hours=2, minutes=30)),
    ],
)  # fmt: skip
def test_durations_are_written_with_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(show_duration(duration)) == duration


@pytest.mark.parametrize(
    "text", ["4", "1.5h", "2 months", "1y", "P1M", "P1Y", "P", "PT", "", "h", "-4h", "4 h 3", "1h 2h", "９h"]
)
def test_what_has_no_fixed_length_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write it with a unit"):
        parse_duration(text)
