"""The same conjunctions over the same items, matched here and by durable-rules.

    python tests/bench/oracle.py

Prints medians in microseconds of processor time per item, and their ratio, all of one run; each engine gets Python values, and
looks at every rule anew. durable-rules runs in a process of its own, so that its threads disturb nobody.
"""

from __future__ import annotations

import gc
import json
import random
import statistics
import subprocess
import sys
import time

from engine.decide.document import read_case
from engine.decide.match import match
from engine.decide.view import View, view_of
from engine.facts.derive import derive
from engine.simulate.oracle import SecondOpinion
from tests.simulate.test_oracle import case, random_rules

CASES = 200
CHILD = """
import json, statistics, sys, time
from durable.engine import Host, MessageNotHandledException
definitions, events = json.loads(sys.stdin.readline())
host, fired = Host(), []
def note(_): fired.append(1)
host.set_rulesets({s: {n: {**r, "run": note} for n, r in rules.items()} for s, rules in definitions.items()})
spent = []
for names, event in events:
    began = time.thread_time_ns()
    for name in names:
        try:
            host.assert_fact(name, event)
            host.retract_fact(name, event)
        except MessageNotHandledException:
            pass
    spent.append(time.thread_time_ns() - began)
print(json.dumps([statistics.median(spent) / 1000, len(fired)]))
import os; sys.stdout.flush(); os._exit(0)
"""


def main() -> None:
    if sys.version_info >= (3, 13):
        sys.exit("durable-rules does not import on Python 3.13 or newer")
    for count in (20, 200, 2000):
        drawn = random.Random(count)
        rule_set = random_rules(drawn, count)
        views: list[View] = []
        while len(views) < CASES:
            given, memory, _ = read_case(rule_set, case(drawn))
            views.append(view_of(rule_set, derive(rule_set.vocabulary, given, memory.effects, {})))
        second = SecondOpinion(rule_set)
        definitions = second.definitions()
        events = [asked for view in views for asked in second.asked(view).values()]
        ours = []
        gc.collect()
        gc.disable()  # collecting what was built above is not matching
        for view in views:
            items = len(second.asked(view))
            began = time.thread_time_ns()
            match(rule_set, view, {}, None)
            spent = (time.thread_time_ns() - began) / 1000
            ours.extend([spent / items] if items else [])
        gc.enable()
        asked = json.dumps([definitions, events])
        done = subprocess.run([sys.executable, "-c", CHILD], input=asked, capture_output=True, text=True, check=True)
        theirs, fired = json.loads(done.stdout)
        mine = statistics.median(ours)
        told = f"{mine:8.1f} us here, {theirs:8.1f} us by durable-rules, {theirs / mine:5.1f} times"
        print(f"{count:>5} rules: {told} ({fired} matches)")


if __name__ == "__main__":
    main()
