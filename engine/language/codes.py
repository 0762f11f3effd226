"""Outbound codes: what our words are called at the other side, from `mappings/<connector>/codes.yaml` and `client.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.facts.outside import Action, Codes
from engine.language.forms import CODES_FILE
from engine.language.node import Node
from engine.problems import Place, Problems, did_you_mean


def read_codes_file(node: Node, connector: str, actions: Mapping[str, Action], problems: Problems) -> Codes:
    """The codes in `mappings/<connector>/codes.yaml`; faults go to `problems`."""
    if not node.expect_form(problems, "codes.yaml", CODES_FILE):
        return {}
    to, codes = node.get("to"), node.get("codes")
    if to is not None:
        to.expect_one_of(problems, '"to"', [connector])
    return {} if codes is None else read_codes(codes, actions, problems)


def read_codes(node: Node, actions: Mapping[str, Action], problems: Problems) -> Codes:
    """`{marketplace.refund.reason: {default: "17"}}`: for each parameter of an action, our word and theirs."""
    found: dict[str, Mapping[str, str]] = {}
    if not node.expect_map(problems, '"codes"'):
        return found
    valid = mappable(actions)
    for name, place, table in node.items():
        if name not in valid:
            problems.add(place, "unknown-code", f'"{name}" is nothing an action sends in codes{did_you_mean(name, valid)}')
        elif table.expect_map(problems, f"the codes of {name}"):
            _check_words(name, table, actions, problems)
            codes = {word: code.expect_text(problems, f'the code of "{word}"') for word, _, code in table.items()}
            found[name] = {word: code for word, code in codes.items() if code is not None}
    return found


def _check_words(name: str, table: Node, actions: Mapping[str, Action], problems: Problems) -> None:
    """Where the parameter is an enum, our words are its members."""
    action, _, param = name.rpartition(".")
    spec = actions[action].params.get(param)
    words = spec.type.values if spec is not None else ()
    for word, place, _ in table.items() if words else ():
        if word not in words and word != "default":
            problems.add(place, "unknown-word", f'{name} is never "{word}"{did_you_mean(word, words)}')


def mappable(actions: Mapping[str, Action]) -> frozenset[str]:
    """Everything that is sent in the outside's own codes: `marketplace.refund.reason`, `warehouse.create_asn.sku`."""
    return frozenset(f"{name}.{coded}" for name, action in actions.items() for coded in action.coded)


def merged(base: Codes, over: Codes) -> dict[str, dict[str, str]]:
    """Both, word by word; `over` wins."""
    return {name: {**base.get(name, {}), **over.get(name, {})} for name in sorted({*base, *over})}


def places_of(node: Node) -> Iterator[tuple[tuple[str, str], Place]]:
    """Where the code of each parameter and word stands under `codes`."""
    for name, _, table in node.items():
        for word, _, code in table.items():
            yield (name, word), code.place
