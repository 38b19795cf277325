"""Errors in Dagster's history: classes and places, of texts only those that were written for people."""

import subprocess
import sys
import traceback

import pytest
from dagster_shared.error import SerializableErrorInfo

from corso.errors import Stopped
from corso.unexpected import places_of
from pipelines.private_errors import keep_errors_private, private_message

PLANTED = "Ann Lee, 1 Main St"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("ValueError: Ann Lee", "ValueError (its text may"),
        (
            "polars.exceptions.ComputeError: `Ann Lee` is no number",
            "polars.exceptions.ComputeError (its text may",
        ),
        (
            "sqlalchemy.exc.IntegrityError: (sqlite3) [parameters: Ann Lee]",
            "sqlalchemy.exc.IntegrityError (its",
        ),
        ("corso.errors.Stopped: 3 of 20 rejected", "corso.errors.Stopped: 3 of 20 rejected"),
        ("corso.errors.Stopped: ann@example.com", "corso.errors.Stopped: \u2022\u2022\u2022"),
        ("dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred", "dagster._core"),
        ("FileNotFoundError: [Errno 2] No such file: 'orders.csv'", "FileNotFoundError: [Errno 2]"),
        ("MemoryError", "MemoryError"),
        ("Ann Lee", "an error (its text may"),
        ("", ""),
    ],
)
def test_a_text_is_told_where_it_was_written_for_people(message: str, told: str) -> None:
    """Everything else may quote the data."""
    assert private_message(message).startswith(told)
    assert "Ann Lee" not in private_message(message)


def test_dagster_makes_all_errors_in_the_one_place_that_is_guarded() -> None:
    """Held against the pinned version: texts of an error, its cause and its context are withheld, and places stay."""
    keep_errors_private()
    keep_errors_private()
    try:
        try:
            try:
                {}[PLANTED]
            except KeyError as error:
                raise ValueError(PLANTED) from error
        except ValueError:
            message = "the canary: 1 of 1 rejected"
            raise Stopped(message)  # noqa: B904  (a context)
    except Stopped as error:
        told = SerializableErrorInfo.from_traceback(traceback.TracebackException.from_exception(error))
        places = places_of(error)
    assert "1 of 1 rejected" in told.message
    assert told.context is not None
    assert told.context.cause is not None
    assert "Ann" not in told.to_string()
    assert "Ann" not in places
    assert told.context.cls_name == "ValueError"
    assert "builtins.KeyError" in places
    assert "test_private_errors.py" in "".join(told.context.cause.stack)


@pytest.mark.slow
def test_the_code_location_dumps_no_memory() -> None:
    """A process that Dagster starts has not been through the command."""
    code = "import resource, pipelines.definitions; print(resource.getrlimit(resource.RLIMIT_CORE))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 1)"
