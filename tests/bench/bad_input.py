"""Bad input of every kind by the million: seeded, in parts, on all cores there are, and to be gone on with.

    PYTHONPATH=. python tests/bench/bad_input.py --inputs 1000000 --state bad_input.jsonl
    PYTHONPATH=. python tests/bench/bad_input.py --replay webhooks:0.17:42

With `--state` each finished part is a line of that file, and parts that stand there are not run again. A crash is anything but
our own verdict: located problems, a refusal, a reason to set aside. Exit code 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bad_input.targets import TARGETS, begun, tried

PART = 10_000  # inputs


def parts(inputs: int, seed: int, only: str) -> Iterator[tuple[str, str, int]]:
    """Target, seed and number of inputs of every part, the targets in turn."""
    whole = sum(target.share for name, target in TARGETS.items() if only in ("", name))
    left = {name: -(-inputs * target.share // whole) for name, target in TARGETS.items() if only in ("", name)}
    number = 0
    while any(left.values()):
        for name, still in left.items():
            size = min(PART, still)
            if size:
                yield name, f"{seed}.{number}", size
                left[name] -= size
        number += 1


def run_part(name: str, seed: str, size: int) -> dict[str, Any]:
    os.nice(5)
    began = time.process_time()
    with tempfile.TemporaryDirectory(dir=_memory()) as folder, begun(name, Path(folder)) as one:
        found = tried(name, one, seed, size)
    told = {"target": name, "seed": seed, **asdict(found)}
    return told | {"cpu": round(time.process_time() - began, 2)}


def replay(which: str) -> None:
    name, seed, number = which.split(":")
    with tempfile.TemporaryDirectory() as folder, begun(name, Path(folder)) as one:
        found = tried(name, one, seed, 1, int(number))
    print(found.crashes[0].said if found.crashes else "fine")
    raise SystemExit(bool(found.crashes))


def _memory() -> str | None:
    """A folder that is no disk, where there is one: what is tried here is not the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--inputs", type=int, default=20_000)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--only", choices=sorted(TARGETS), default="")
    asked.add_argument("--state", type=Path)
    asked.add_argument("--replay", metavar="TARGET:SEED:NUMBER")
    given = asked.parse_args()
    if given.replay:
        replay(given.replay)
    done: dict[tuple[str, str], dict[str, Any]] = {}
    if given.state is not None and given.state.exists():
        lines = map(json.loads, given.state.read_text(encoding="utf-8").splitlines())
        done = {(line["target"], line["seed"]): line for line in lines}
    wanted = [part for part in parts(given.inputs, given.seed, given.only) if part[:2] not in done]
    results = list(done.values())
    with ProcessPoolExecutor(given.jobs) as pool:
        for future in as_completed([pool.submit(run_part, *part) for part in wanted]):
            results.append(told := future.result())
            if given.state is not None:
                with given.state.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(told) + "\n")
    raise SystemExit(report(results))


def report(results: list[dict[str, Any]]) -> int:
    """What came of it, by target; 1 if there was a crash."""
    print(f"{'target':<14}{'inputs':>9}{'crashes':>9}{'CPU s':>9}{'longest s':>11}")
    for name in TARGETS:
        of = [one for one in results if one["target"] == name]
        sums = [sum(value) for value in zip(*((one["inputs"], len(one["crashes"]), one["cpu"]) for one in of), strict=True)]
        if of:
            print(f"{name:<14}{sums[0]:>9}{sums[1]:>9}{sums[2]:>9.2f}{max(one['longest'] for one in of):>11.2f}")
    crashes = [crash for one in results for crash in one["crashes"]]
    print(f"{sum(one['inputs'] for one in results)} inputs, {len(crashes)} crashes")
    for crash in crashes[:20]:
        print(f"\n--replay {crash['target']}:{crash['seed']}:{crash['number']}\n{crash['said']}", file=sys.stderr)
    return int(bool(crashes))


if __name__ == "__main__":
    main()
