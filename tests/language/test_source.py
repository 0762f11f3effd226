"""Whatever a file holds, it becomes nodes that know their place, or problems that do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
