"""What an editor is told of a file agrees with what the checker says of it."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from engine.facts.outside import installed_actions, installed_connectors
from engine.language import durations, forms
from engine.language.client import ClientConfig
from engine.language.files import Files, own_files, read_files
from engine.language.json_schema import kind_of, schemas
from engine.language.known import known_in
from engine.language.node import Entry, Node
from engine.language.pack import check
from engine.language.scenario_forms import SCENARIO_FORMS
from engine.language.source import read_source
from engine.problems import Place, Problems
from tests.language.small_world import ACTIONS, SMALL, project

MAIN = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "problems"
SHIPPED = own_files(MAIN)


@cache
def shipped() -> Mapping[str, Draft7Validator]:
    return validators(schemas(known_in(SHIPPED, installed_actions(), installed_connectors())))


@cache
def small() -> Mapping[str, Draft7Validator]:
    return validators(schemas(known_in(own_files(SMALL), ACTIONS, {})))


def validators(made: Mapping[str, Any]) -> dict[str, Draft7Validator]:
    for schema in made.values():
        Draft7Validator.check_schema(schema)
    return {kind: Draft7Validator(schema) for kind, schema in made.items()}


def tree(files: Files, name: str) -> Node:
    problems = Problems()
    node = read_source(files.contents[name], name, problems)
    assert node is not None, str(problems)
    return node


def faults(validator: Draft7Validator, node: Node) -> list[str]:
    return [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:300]}" for fault in validator.iter_errors(node.plain())]


@pytest.mark.parametrize("name", SHIPPED.names)
def test_every_shipped_file_fits_its_schema(name: str) -> None:
    kind = kind_of(name)
    assert kind is not None
    assert faults(shipped()[kind], tree(SHIPPED, name)) == []


@pytest.mark.parametrize("name", own_files(SMALL).names)
def test_schemas_are_filled_with_what_a_project_knows(name: str) -> None:
    assert faults(small()[kind_of(name) or ""], tree(own_files(SMALL), name)) == []


def written_keys(node: Node) -> Iterator[Entry]:
    """Every key of a file as it is written, without quotes."""
    for entry in node.entries:
        yield entry
        yield from written_keys(entry.node)
    for element in node.elements:
        yield from written_keys(element)


def words(node: Node) -> Iterator[Node]:
    """Every single word that stands as a value."""
    if node.is_text and node.style == "plain" and re.fullmatch(r"[a-z_.]+", node.text):
        yield node
    for below in (*(entry.node for entry in node.entries), *node.elements):
        yield from words(below)


def misspelt(text: str, place: Place, word: str) -> str | None:
    """The text with a letter too many at the end of the word at a place; None where it does not stand there so."""
    lines = text.splitlines(keepends=True)
    line, at = lines[place.line - 1], place.column - 1
    if line[at : at + len(word)] != word:
        return None
    lines[place.line - 1] = f"{line[: at + len(word)]}q{line[at + len(word) :]}"
    return "".join(lines)


def disagreements(files: Files, name: str, place: Place, word: str) -> Iterator[str]:
    """What checker and schema say differently of a misspelt word: what one of them refuses the other does too, where it can."""
    text = misspelt(files.contents[name].decode(), place, word)
    if text is None:
        return
    mutant = Files({**files.contents, name: text.encode()})
    told = [p for p in check(mutant, ACTIONS).errors if p.place.file == name]
    wrong = faults(small()[kind_of(name) or ""], tree(mutant, name))
    if wrong and not told:
        yield f"{name}:{place.line}: {word}q is refused by the schema alone: {wrong}"
    for problem in told:
        word_itself = problem.code == "unknown-word" and problem.place == place and not problem.message.startswith("the default")
        if (word_itself or problem.code in {"unknown-key", "missing-key"}) and not wrong:
            yield f"the schema takes what is wrong: {problem}"


@pytest.mark.parametrize("name", own_files(SMALL).names)
def test_a_misspelt_key_or_word_is_refused_by_both_or_by_neither(name: str) -> None:
    files = own_files(SMALL)
    node = tree(files, name)
    said = [(entry.place, entry.key) for entry in written_keys(node)] + [(each.place, each.text) for each in words(node)]
    assert len(said) > 5
    assert [fault for place, word in said for fault in disagreements(files, name, place, word)] == []


@pytest.mark.parametrize("case", sorted(path.name for path in CORPUS.iterdir()))
def test_what_the_checker_says_of_keys_an_editor_says_too(case: str, tmp_path: Path) -> None:
    root = project(tmp_path)
    shutil.copytree(CORPUS / case, root, dirs_exist_ok=True)
    files = own_files(root)
    for problem in check(files, ACTIONS).errors:
        if problem.message.startswith("no file says"):
            continue  # no one file is at fault
        if problem.code in {"unknown-key", "missing-key"} and problem.place.file in files.contents:
            kind = kind_of(problem.place.file)
            assert kind is not None, problem
            assert faults(small()[kind], tree(files, problem.place.file)), f"the schema takes what is wrong: {problem}"


def test_every_key_the_checker_knows_is_in_a_schema_with_its_one_line_of_doc() -> None:
    shown = [each["properties"] for each in objects(dict_of_schemas())]
    beside_actions = {"forbid": {"raise"}, "matched": set[str](), "expected": set[str]()}
    for form in (*forms.FORMS, *SCENARIO_FORMS):
        keys = {*form.keys}
        if form.name in beside_actions:
            keys |= {*installed_actions(), *beside_actions[form.name]}
        if form.name == "effect":  # beside the parameters of each action
            keys |= {*installed_actions()["returns.comment"].params}
        found = [each for each in shown if {*each} - {forms.OVERRIDE} == keys]
        assert found, f"no schema has the keys of {form.name}"
        assert form.doc
        for name, key in form.keys.items():
            assert any(each[name]["description"] == key.doc for each in found)
            assert key.doc
            assert not key.doc.endswith(".")
            assert "\n" not in key.doc


def test_every_definition_a_schema_refers_to_is_there() -> None:
    for kind, schema in dict_of_schemas().items():
        for name in re.findall(r'"#/definitions/([^"]+)"', json.dumps(schema)):
            assert name in schema["definitions"], f"{kind}: {name}"


def test_no_reader_lists_the_keys_of_the_language_in_place() -> None:
    """Keys an author chose, such as the inputs of a table, are the only ones read without a form."""
    for path in sorted((MAIN / "engine").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "expect_keys":
                literal = [each for each in ast.walk(call) if isinstance(each, ast.List | ast.Tuple) and len(each.elts) > 1]
                assert not literal, f"{path}:{call.lineno}: make it a Form"


def dict_of_schemas() -> dict[str, Any]:
    return schemas(known_in(SHIPPED, installed_actions(), installed_connectors()))


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("properties"), Mapping) and schema.get("additionalProperties") is False:
            yield dict(schema)
        for below in schema.values():
            yield from objects(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from objects(below)


def test_a_client_schema_has_the_keys_of_the_model_each_with_its_doc() -> None:
    properties = dict_of_schemas()["client"]["properties"]
    assert set(properties) == set(ClientConfig.model_fields)
    assert all(properties[name]["description"] for name in properties)


def test_every_action_parameter_setting_and_field_is_told_what_it_is() -> None:
    made = dict_of_schemas()
    actions = installed_actions()
    for name, action in actions.items():
        shape = made["rules"]["definitions"][f"action {name}"]
        assert {param: each["description"] for param, each in shape["properties"].items()} == {
            param: spec.doc for param, spec in action.params.items()
        }
    for use, connector in installed_connectors().items():
        settings = made["client"]["definitions"][f"settings {use}"]["properties"]
        assert set(settings) >= set(connector.Settings.model_fields)
        assert [name for name, each in settings.items() if not each.get("description")] == [], use


@pytest.mark.parametrize(
    ("marketplace", "fine"),
    [
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}}", True),
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}, budget: {per_day: 5}}", True),
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}, budget: {OR11: 1 per 15m, all: [60 per 1h, 5 per 1s]}}", True),
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}, budget: {all: {bucket: 40, refill: 2 per 1s}}}", True),
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}, budget: {OR12: 1 per 15m}}", False),
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}, budget: {OR11: often}}", False),
        ("{use: mirakl, url: https://x}", False),
        ("{use: mirakl, url: https://x, api_key: {secret: KEY}, shop: 1}", False),
        ("{use: shopify, url: https://x, api_key: {secret: KEY}}", False),
        ("{use: mirakle}", False),
    ],
)
def test_the_settings_of_a_role_are_those_of_its_connector(marketplace: str, fine: bool) -> None:
    text = f"client: acme\nconnectors:\n  marketplace: {marketplace}\n"
    node = tree(Files.of({"rules/clients/acme/client.yaml": text}), "rules/clients/acme/client.yaml")
    assert (not faults(shipped()["client"], node)) is fine


@settings(max_examples=300, deadline=None)
@given(st.from_regex(r"[ ]?(P?[0-9]{0,3}[ ]?[dhmsyWDTHMS]{0,2}[ ]?){1,3}", fullmatch=True))
def test_an_editor_takes_the_durations_the_language_takes(text: str) -> None:
    shown = re.search(durations.PATTERN, text) is not None
    try:
        read: timedelta | None = durations.parse_duration(text)
    except ValueError as fault:
        read = None
        shown = shown and "twice" not in str(fault)  # a pattern cannot count units
    assert shown == (read is not None)


@pytest.mark.parametrize(
    "text", ["2 working days", "1 working hour", "30 working minutes", "2 days", "working days", "2 working weeks"]
)
def test_an_editor_takes_the_working_durations_the_language_takes(text: str) -> None:
    try:
        durations.parse_working(text)
        fine = True
    except ValueError:
        fine = False
    assert (re.search(durations.WORKING_PATTERN, text) is not None) is fine


def test_a_folder_of_ones_own_has_schemas_of_what_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    known = known_in(read_files(tmp_path), installed_actions(), installed_connectors())
    assert "sla" in known.groups
    assert "refund_on" in known.params


@pytest.mark.parametrize("case", sorted(path.name for path in CORPUS.iterdir()))
def test_a_project_with_mistakes_has_schemas_all_the_same(case: str, tmp_path: Path) -> None:
    root = project(tmp_path)
    shutil.copytree(CORPUS / case, root, dirs_exist_ok=True)
    validators(schemas(known_in(own_files(root), ACTIONS, {})))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("scenarios:", "scenario:"),
        ("    given:", "    giving:"),
        ("      +1h: scanned", "      1 hour later: scanned"),
        ("marketplace.refund: {units", "marketplace.refnud: {units"),
        ("{units: L1#1", "{unit: L1#1"),
        ("exact: true", "exactly: true"),
        ("settled: everything", "settle: everything"),
        ("rma 1001: {status", "rna 1001: {status"),
        ("rma 1001: {status", "rma 1001: {state"),
        ("{status: requested", "{status: requestd"),
    ],
)
def test_a_misspelt_word_of_a_scenario_is_underlined(right: str, wrong: str) -> None:
    text = """scenarios:
  It is refunded:
    given: [return, {rma 1001: {status: requested}}]
    when:
      +1h: scanned
      +2h: {settled: everything}
    then:
      +1h: {marketplace.refund: {units: L1#1}, exact: true}
"""
    name = "rules/clients/acme/it.test.yaml"
    assert right in text
    assert faults(shipped()["scenario"], tree(Files.of({name: text}), name)) == []
    assert faults(shipped()["scenario"], tree(Files.of({name: text.replace(right, wrong)}), name))
