"""The search for a sequence of faults, deaths and changes that breaks the promise, for as long as one likes.

scripts/bench promise [EXAMPLES] [STEPS]

The tests play the same few sequences every time; this plays other ones with every call, and prints one that breaks.
"""

import logging
import sys

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.corso.stages.test_promise import Promise


def main(examples: int, steps: int) -> None:
    """Search."""
    # It tells of each task of a process that was killed.
    logging.getLogger("asyncio").disabled = True
    search = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Promise, settings=search)
    print(
        f"{examples:,} sequences of up to {steps} steps: none lost, none doubled, every order in one end state"
    )


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [1_000, 30][len(given) :]))
