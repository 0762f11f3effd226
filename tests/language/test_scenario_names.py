"""Which rules scenarios name is told without understanding the scenarios."""

from pathlib import Path

from engine.facts.outside import installed_actions
from engine.language.files import Files, read_files
from engine.language.pack import load
from engine.language.scenario_names import rules_with_scenarios

ROOT = Path(__file__).parents[2]
TEXT = """
# one is only told of in a comment
scenarios:
  Two asks, three raises and four is answered:
    given: {rma 1: {status: done}}
    when: {answer: {four: keep}}
    then: {marketplace.refund: {rule: two}, raise: {three: {owner: five}}}
"""


def test_a_rule_is_named_by_what_it_asks_raises_or_is_answered() -> None:
    files = Files.of(
        {"rules/base/some.test.yaml": TEXT, "rules/clients/acme/own.test.yaml": "scenarios: {it: {then: {raise: six}}}"}
    )
    rules = ["one", "two", "three", "four", "six", "seven"]
    assert rules_with_scenarios(files, ["rules/base"], rules) == {"two", "three", "four"}
    assert rules_with_scenarios(files, ["rules/base", "rules/clients/acme"], rules) == {"two", "three", "four", "six"}


def test_a_file_that_is_no_yaml_names_nothing() -> None:
    assert rules_with_scenarios(Files.of({"rules/base/some.test.yaml": "}: one"}), ["rules/base"], ["one"]) == set()


def test_every_rule_of_the_base_pack_is_named() -> None:
    rules = [rule.id for rule in load(ROOT, "demo", installed_actions()).rules]
    assert set(rules) == rules_with_scenarios(read_files(ROOT), ["rules/base"], rules)
