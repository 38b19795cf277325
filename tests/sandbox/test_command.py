"""The command: its options, its one line, its exit codes."""

import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.__main__ import main
from sandbox.arguments import build_parser, read_options
from sandbox.faults import Faults
from sandbox.filters import FilterModes
from sandbox.limits import LimitChange
from sandbox.options import SandboxOptions
from tests.sandbox.bodies import an_order
from tests.sandbox_process import running_sandbox


def test_the_defaults_of_the_command_are_those_of_the_options():
    """Nobody has to keep two lists in mind."""
    assert read_options(build_parser().parse_args([])) == SandboxOptions()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "none"],
        ["--limit", "-1"],
        ["--window", "-1"],
        ["--window", "0"],
        ["--latency", "nan"],
        ["--token-lifetime", "0"],
        ["--max-page", "0"],
        ["--store", "mine"],
        ["--headers", "sometimes"],
        ["--header-form", "modern"],
        ["--window-model", "open"],
        ["--limit-change", "60"],
        ["--limit-change", "60:0"],
        ["--limit-change", "-1:5"],
        ["--foreign", "-1"],
        ["--foreign", "1e9"],
        ["--early-grace", "nan"],
        ["--duplicates", "maybe"],
        ["--dup", "accept"],
        ["--drop-answer", "1.1"],
        ["--garble", "-0.1"],
        ["--stall", "nan"],
        ["--token-errors", "often"],
        ["--revoke-after", "0"],
        ["--fault-limit", "-1"],
        ["--faults-on", "reads"],
        ["--source-filter", "sometimes"],
        ["--surprise"],
    ],
)
def test_wrong_options_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    """And say which option it is."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_page_cannot_be_larger_than_the_largest(capsys: pytest.CaptureFixture[str]):
    """Two options that do not fit."""
    assert main(["--page-size", "10", "--max-page", "5"]) == 2
    assert "--page-size" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--limit-change", "60:50"], ["--foreign", "1"]])
def test_what_is_about_a_limit_needs_one(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    """Two options that do not fit."""
    assert main(["--limit", "0", *arguments]) == 2
    assert f"{arguments[0]} needs a --limit" in capsys.readouterr().err


def test_the_rate_limit_is_all_options():
    """And ends in the field of its name."""
    counted = ["--window-model", "sliding", "--limit-change", "60:50", "--limit-change", "90.5:20"]
    told = ["--headers", "429", "--header-form", "epoch", "--foreign", "2.5", "--early-grace", "0.2"]
    assert read_options(build_parser().parse_args([*counted, *told])) == SandboxOptions(
        window_model="sliding",
        limit_changes=(LimitChange(60, 50), LimitChange(90.5, 20)),
        headers="429",
        header_form="epoch",
        foreign_per_s=2.5,
        early_grace_s=0.2,
    )


def test_a_request_cannot_meet_more_than_one_fault(capsys: pytest.CaptureFixture[str]):
    """The probabilities that share one draw, and do not fit into it, are named."""
    assert main(["--slow", "0.6", "--garble", "0.5", "--token-errors", "1"]) == 2
    said = capsys.readouterr().err
    assert "--slow, --garble may not add up to more than 1: 1.1" in said


def test_every_fault_is_an_option():
    """And ends in the field of its name."""
    given = [
        argument for kind, share in Faults().shares().items() for argument in (f"--{kind}", str(share + 0.05))
    ]
    steering = ["--seed", "7", "--faults-on", "writes", "--fault-limit", "9", "--slow-for", "2.5"]
    options = read_options(build_parser().parse_args([*given, *steering, "--token-errors", "0.2"]))
    assert set(options.faults.shares().values()) == {0.05}
    rest = {"seed": 7, "on": "writes", "limit": 9, "slow_for_s": 2.5, "token_errors": 0.2}
    assert {name: getattr(options.faults, name) for name in rest} == rest


def test_every_other_mode_is_an_option():
    """None of them is read and then forgotten."""
    flags = [
        "--revoke-after",
        "3",
        "--forbid-after",
        "4",
        "--listing-lag",
        "0.5",
        "--order-by",
        "ignored",
        "--cursor-lifetime",
        "60",
        "--normalise",
        "--extra-fields",
    ]
    filters = ["--refuse-unfiltered", "--source-filter", "ignored", "--email-filter", "refused"]
    assert read_options(build_parser().parse_args([*flags, *filters])) == SandboxOptions(
        revoke_after=3,
        forbid_after=4,
        listing_lag_s=0.5,
        order_by="ignored",
        cursor_lifetime_s=60.0,
        normalise=True,
        extra_fields=True,
        filters=FilterModes(refuse_unfiltered=True, source="ignored", email="refused"),
    )


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """One sentence, exit code 2, and the file as it was."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but a text of some length, longer than the header of one. " * 3)
    before = file.read_text()
    assert main(["--db", str(file)]) == 2
    assert "notes.txt cannot be used" in capsys.readouterr().err
    assert file.read_text() == before


def test_a_database_of_another_program_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing is added to it, be it somebody's ledger."""
    file = tmp_path / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE operations (id)")
    before = file.read_bytes()
    assert main(["--db", str(file)]) == 2
    assert "not a sandbox's database" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """No traceback."""
    assert main(["--db", str(tmp_path / "nowhere" / "x.sqlite")]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]):
    """No traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
    assert main(["--port", "70000"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(stop: signal.Signals):
    """Exit code 0, nothing on stdout but the promised line, also while a client keeps its connection."""
    with running_sandbox() as sandbox, sandbox.client() as client:
        client.get("/orders")
        sandbox.process.send_signal(stop)
        assert sandbox.process.wait(10) == 0
        assert sandbox.process.stdout is not None
        assert sandbox.process.stdout.read() == ""


@pytest.mark.slow
def test_a_database_serves_one_sandbox_at_a_time(tmp_path: Path):
    """The second one says so and ends with 2."""
    db = tmp_path / "sandbox.sqlite"
    with running_sandbox(db=db):
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--db", str(db)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 2
    assert "locked" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.slow
def test_latency_lets_every_request_wait():
    """But not tokens, and not one request for another."""
    with running_sandbox("--latency", "0.3") as sandbox, sandbox.client() as client:
        started = time.monotonic()
        assert client.post("/orders", json=an_order()).status_code == 201
        assert 0.3 <= time.monotonic() - started < 5


@pytest.mark.slow
def test_the_help_names_every_option():
    """`python -m sandbox --help` ends with 0."""
    shown = subprocess.run(
        [sys.executable, "-m", "sandbox", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    for action in build_parser()._actions:
        assert action.option_strings[-1] in shown.stdout
        assert action.help
    assert "/_sandbox/counts" in shown.stdout
