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
            problems.add(place, "unknown-code", f'"{name}" is no parameter of an action{did_you_mean(name, valid)}')
        elif table.expect_map(problems, f"the codes of {name}"):
            codes = {word: code.expect_text(problems, f'the code of "{word}"') for word, _, code in table.items()}
            found[name] = {word: code for word, code in codes.items() if code is not None}
    return found


def mappable(actions: Mapping[str, Action]) -> frozenset[str]:
    """Every parameter that may have codes: `marketplace.refund.reason`."""
    return frozenset(
        f"{name}.{param}"
        for name, action in actions.items()
        for param, spec in action.params.items()
        if spec.type.name in ("text", "enum")
    )


def merged(base: Codes, over: Codes) -> dict[str, dict[str, str]]:
    """Both, word by word; `over` wins."""
    return {name: {**base.get(name, {}), **over.get(name, {})} for name in sorted({*base, *over})}


def places_of(node: Node) -> Iterator[tuple[tuple[str, str], Place]]:
    """Where the code of each parameter and word stands under `codes`."""
    for name, _, table in node.items():
        for word, _, code in table.items():
            yield (name, word), code.place
