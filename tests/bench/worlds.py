"""How fast a world is played, and where the time goes.

    python tests/bench/worlds.py [--world peak] [--days 3]

Processor time of one process: on a busy machine elapsed time says little about the program.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from engine.language.files import read_files
from engine.language.worlds.files import world_named
from engine.simulate import play as playing
from engine.simulate.worlds.season import Season, simulate_season

ROOT = Path(__file__).parents[2]
ROUNDS = 3


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--world", default="peak")
    asked.add_argument("--days", type=int, default=3)
    given = asked.parse_args()
    files = read_files(ROOT)
    season = Season("demo", world_named(files, given.world), files.contents, days=given.days)
    deciding = [0.0]
    decide = playing.decide

    def timed(*arguments: object) -> object:
        begun = time.process_time()
        try:
            return decide(*arguments)  # type: ignore[arg-type]
        finally:
            deciding[0] += time.process_time() - begun

    playing.decide = timed  # type: ignore[assignment]
    spent, shares = [], []
    for _ in range(ROUNDS):
        deciding[0], begun = 0.0, time.process_time()
        outcome = simulate_season(season)
        spent.append(time.process_time() - begun)
        shares.append(deciding[0] / spent[-1])
    cpu, share = statistics.median(spent), statistics.median(shares)
    orders, decisions = outcome.after.orders, outcome.after.seen.counts["decisions"]
    print(f"{given.world}, {given.days} days: {orders:,} orders, {outcome.after.returns:,} returns, {decisions:,} decisions")
    rate = f"{orders / cpu:,.0f} orders/s, {decisions / cpu:,.0f} decisions/s"
    print(f"{cpu:.1f} s of one processor: {rate}, {share:.0%} of it in decide")


if __name__ == "__main__":
    main()
