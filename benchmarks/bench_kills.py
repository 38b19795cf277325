"""Loaders killed with SIGKILL at named points and at random, with faults on, in all four duplicate modes.

scripts/bench kills [KILLS] [SEED] [STORIES AT ONCE]

Prints what is killed where and what became of the orders; ends with 1 where anything of the promise is broken. The
same seed tells the same stories, but for the times at which processes come to a point.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from sandbox.options import DuplicateMode
from tests.kills import DUPLICATE_MODES, Told, table, tell_story

KILLS_A_STORY = 25


def main(kills: int, seed: int, at_once: int) -> int:
    """Tell as many stories as it takes."""
    began = time.perf_counter()
    told = {mode: Told() for mode in DUPLICATE_MODES}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn) as pool:
        stories = [
            (mode, pool.submit(tell_story, number, mode, count))
            for number, mode, count in _stories(kills, seed)
        ]
        for mode, story in stories:
            told[mode] += story.result()
            done = sum(each.kills.total() for each in told.values())
            print(
                f"{done:,} of {kills:,} kills, {time.perf_counter() - began:,.0f} s",
                file=sys.stderr,
                flush=True,
            )
    for line in table(told):
        print(line)
    print(f"seed {seed}, {time.perf_counter() - began:,.0f} s")
    broken = [sentence for each in told.values() for sentence in each.broken]
    print(*broken, sep="\n")
    return bool(broken)


def _stories(kills: int, seed: int) -> Iterator[tuple[int, DuplicateMode, int]]:
    """Yield the seed, the mode and the kills of each story; the modes take turns."""
    for number, left in enumerate(range(kills, 0, -KILLS_A_STORY)):
        yield seed * 1_000 + number, DUPLICATE_MODES[number % len(DUPLICATE_MODES)], min(left, KILLS_A_STORY)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [1_000, 1, 2][len(given) :])))
