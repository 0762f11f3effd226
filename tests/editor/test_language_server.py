"""What a consultant's editor shows, from a real YAML language server that reads the schemas `instep schema` writes.

Needs the npm package `yaml-language-server`, on the path or named by INSTEP_YAML_SERVER; `.ci/run` installs it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from engine.cli.scaffolds import new_client
from engine.cli.schemas import first_line
from engine.facts.outside import installed_connectors
from engine.language.json_schema import kind_of
from tests.editor.server import Server, found

RULES = "rules/clients/northwind/own.yaml"
BEGUN = """rules:
  mine:
    title: Refund it
    group: refund
    each: rma
    when: [exists(rma.scanned_at)]
    for: 2h
    then:
      - marketplace.refund:
"""
TEXT = f"{BEGUN}          \n      - \n"  # with a place for a parameter, and one for another entry
SOUND = f"{BEGUN}          units: rma.units_to_refund\n"


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = found()
    if command is None:
        said = "there is no yaml-language-server: npm install yaml-language-server, and name it in INSTEP_YAML_SERVER"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    folder = tmp_path_factory.mktemp("editor")
    new_client(folder, "northwind")
    with Server(command, folder) as server:
        yield server


def opened(editor: Server, name: str, text: str) -> list[str]:
    """Opens a file under the line that names its schema; what the editor says is wrong with it."""
    kind = kind_of(name)
    assert kind is not None
    faults = editor.open(name, f"{first_line(name, kind)}\n{text}")
    return [f"{told['range']['start']['line']}: {told['message']}" for told in faults]


def test_the_actions_of_every_role_are_offered_where_a_rule_says_what_to_do(editor: Server) -> None:
    opened(editor, RULES, TEXT)
    offered = editor.completion(RULES, 11, 8)
    roles = {connector.role: connector.actions for connector in installed_connectors().values()}
    assert {f"marketplace.{name}" for name in roles["marketplace"]} <= offered.keys()
    assert {"forbid", "raise"} <= offered.keys()
    refund = offered["marketplace.refund"]
    assert refund["documentation"] == roles["marketplace"]["refund"].doc
    assert "units:" in refund["insertText"]


def test_the_parameters_of_an_action_are_offered_below_it_and_nowhere_else(editor: Server) -> None:
    opened(editor, "rules/clients/northwind/params.yaml", TEXT)
    assert {"units", "reason"} <= editor.completion("rules/clients/northwind/params.yaml", 10, 10).keys()
    assert "units" not in editor.completion("rules/clients/northwind/params.yaml", 11, 8)


def test_the_groups_of_the_project_are_offered(editor: Server) -> None:
    opened(editor, "rules/clients/northwind/groups.yaml", TEXT)
    offered = editor.completion("rules/clients/northwind/groups.yaml", 4, 11)
    assert {"cancellation", "sla", "hold", "refund"} <= offered.keys()


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("    group:", "    groop:", 4, "Property groop is not allowed."),
        ("group: refund", "group: refunds", 4, "Value is not accepted."),
        ("for: 2h", "for: 2h\n    mode: lives", 8, "Value is not accepted."),
        ("marketplace.refund", "marketplace.refnud", 9, "Property marketplace.refnud is not allowed."),
    ],
)
def test_a_wrong_key_or_word_is_underlined_where_it_stands(editor: Server, right: str, wrong: str, line: int, said: str) -> None:
    name = f"rules/clients/northwind/{line}_{len(wrong)}.yaml"
    assert right in SOUND
    assert any(told.startswith(f"{line}: {said}") for told in opened(editor, name, SOUND.replace(right, wrong)))
    assert opened(editor, f"{name}.sound.yaml", SOUND) == []


def test_a_key_and_an_action_say_what_they_mean_when_pointed_at(editor: Server) -> None:
    name = "rules/clients/northwind/hover.yaml"
    opened(editor, name, SOUND)
    assert "a veto binds the groups below it" in editor.hover(name, 4, 6)
    assert "without a break" in editor.hover(name, 7, 5)
    assert "Refund units of an order line" in editor.hover(name, 9, 12)


def test_the_settings_of_the_connector_chosen_are_offered_and_checked(editor: Server) -> None:
    name = "rules/clients/northwind/client.yaml"
    role = "    use: mirakl\n    url: https://x\n    api_key: {secret: KEY}\n    shopid: 3\n    \n"
    text = f"client: northwind\nconnectors:\n  marketplace:\n{role}"
    assert "7: Property shopid is not allowed." in opened(editor, name, text)
    assert {"shop_id", "history_days"} <= editor.completion(name, 8, 4).keys()


def test_what_a_scenario_can_show_and_expect_is_offered(editor: Server) -> None:
    name = "rules/clients/northwind/mine.test.yaml"
    text = "scenarios:\n  It is refunded:\n    given: return\n    then:\n      +1h:\n        \n"
    opened(editor, name, text)
    assert {"marketplace.refund", "raise", "not", "exact"} <= editor.completion(name, 6, 8).keys()
