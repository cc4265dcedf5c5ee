"""Plays many schedules and says which seeds break a rule: ``python -m tests.simulation``.

A seed that breaks one is made smaller and told in full; ``--seed N --schedules 1`` plays it again.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.plan import draw
from tests.simulation.shrink import shrink
from tests.simulation.simulation import Played, play


def one(runs: int, seed: int) -> tuple[int, str, str, tuple[str, ...]]:
    played = play(draw(seed, runs))
    return seed, played.broken, played.digest, played.points


def explain(seed: int, runs: int) -> None:
    """Tell the smallest part of a seed's schedule that breaks a rule, and what happened in it."""
    schedule = draw(seed, runs)
    small: Played = play(shrink(schedule, lambda smaller: bool(play(smaller).broken)))
    print(f"\nseed {seed} breaks a rule: {small.broken}\n{small.schedule.told()}")
    print("\n".join(small.trace[-60:]))
    print(f"again: python -m tests.simulation --seed {seed} --schedules 1 --runs {runs}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, help="how many (count)")
    parser.add_argument("--runs", type=int, default=50, help="submissions in each (count)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes (count)")
    asked = parser.parse_args()
    begun, broken, points = time.monotonic(), [], set[str]()
    seeds = range(asked.seed, asked.seed + asked.schedules)
    print(f"seeds {seeds[0]} to {seeds[-1]}, {asked.runs} runs each", flush=True)
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = pool.map(partial(one, asked.runs), seeds, chunksize=4)
        for done, (seed, why, digest, passed) in enumerate(results, 1):
            points.update(passed)
            if why:
                broken.append(seed)
                print(f"\nseed {seed} ({digest}): {why}", flush=True)
            if sys.stderr.isatty() or done % 100 == 0 or done == asked.schedules:
                rate = done / (time.monotonic() - begun)
                rest_s = (asked.schedules - done) / rate
                print(
                    f"\r{done}/{asked.schedules} schedules, {len(broken)} broken, "
                    f"{rate:.1f}/s, {rest_s:.0f} s left",
                    end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True,
                )  # fmt: skip
    print(
        f"\n{len(broken)} of {asked.schedules} schedules break a rule, {len(points)} places reached"
    )
    if broken:
        explain(broken[0], asked.runs)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
