"""The process in which durable-rules runs: rule sets on the first line, then events, a line of JSON each way.

It crashes on input it does not like, keeps what it was given for ever and starts threads of its own; so it lives here.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from durable.engine import Host, MessageNotHandledException


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever it prints is not an answer
    fired: list[str] = []
    host = Host()
    for number, line in enumerate(sys.stdin):
        question = json.loads(line)
        try:
            answer: Any = "ready" if number == 0 else [_opinion(host, names, event, fired) for names, event in question]
            if number == 0:
                host.set_rulesets(_with_actions(question, fired))
        except Exception as fault:
            answer = {"fault": f"{type(fault).__name__}: {fault}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # its threads would go on


def _with_actions(definitions: dict[str, Any], fired: list[str]) -> dict[str, Any]:
    def noting(name: str) -> Any:
        def note(_: Any) -> None:  # one parameter: with two it would be called as asynchronous
            fired.append(name)

        return note

    return {
        ruleset: {name: {**rule, "run": noting(name)} for name, rule in rules.items()} for ruleset, rules in definitions.items()
    }


def _opinion(host: Host, names: list[str], event: dict[str, Any], fired: list[str]) -> list[str]:
    """The rules that hold for one event: asserted as a fact, which all rules see, and retracted again."""
    fired.clear()
    for name in names:
        try:
            host.assert_fact(name, dict(event))
            host.retract_fact(name, dict(event))
        except MessageNotHandledException:
            continue
    return list(dict.fromkeys(fired))


if __name__ == "__main__":
    main()
