"""What the command prints about the API's quota: while it runs, and at its end."""

import io
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from corso.report.summary import QuotaUse, Requests, Summary
from corso.stages.batch import Pace
from pipelines import output, screen
from schemas.filled_values import FallbackUse, RuleUse

PROJECT = Path(__file__).resolve().parents[2]
QUOTA = QuotaUse(limit=100, length_s=10.0, quota=1000.0, used=780, foreign=110.0)


def test_the_summary_tells_how_the_quota_was_used(capsys: pytest.CaptureFixture[str]) -> None:
    """By this loader and by others."""
    asked = Requests(sent=3535, throttled=0, seconds=44.24, quota_share=0.78)
    screen.say_summary(Summary(store_id=1, batch="b", requests=asked), QUOTA)
    said = "3,535 requests in 44.2 s, 0 throttled, 78 % of the quota used, others used 11 %"
    assert said in capsys.readouterr().out


def test_without_a_quota_the_summary_tells_only_the_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows what part that was."""
    screen.say_summary(
        Summary(store_id=1, batch="b", requests=Requests(sent=5, seconds=1.0, throttled=2)), QuotaUse()
    )
    assert "5 requests in 1.0 s, 2 throttled\n" in capsys.readouterr().out


def test_each_fallback_is_told_also_one_that_filled_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A rule that is never used may be a mistake."""
    screen.say_fallbacks(
        [
            FallbackUse("line_items.sku", 35, (RuleUse("{source_line_item_id}", 38, 38),)),
            FallbackUse("orders.notes", 0, (RuleUse("x", 0, 0),)),
        ]
    )
    assert capsys.readouterr().out.splitlines() == [
        "  fallback line_items.sku filled 38 line items of 35 orders",
        "  fallback orders.notes filled nothing",
    ]


def test_plain_lines_tell_the_pace_the_quota_the_refusals_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line each ten seconds, and one at the end."""
    times = iter(range(0, 1000, 2))
    monkeypatch.setattr(screen.time, "monotonic", lambda: float(next(times)))
    out = io.StringIO()
    lines = screen._Lines(Console(file=out, width=200))
    for done in range(16, 200, 16):
        lines.watch("create_order", done, 176, Pace(8.0, 0.0, 0.781, 2))
    lines.watch("read back", 50, 0)
    assert out.getvalue().splitlines() == [
        "orders: 96 of 176 (8.0/s of 8.0/s, 78 % of quota, 2 throttled), 0:10 left",
        "orders: 176 of 176 (8.0/s of 8.0/s, 78 % of quota, 2 throttled)",
    ]


def test_bars_fit_a_terminal_of_80_columns() -> None:
    """Nothing of what is told is cut off, and there is a bar left."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    with screen._bars_on(console) as bars:
        watch = screen._Bars(bars).watch
        watch("create_fulfillment", 8000, 9000, Pace(16.4, 0.0, 0.64, 0))
        bars._tasks[next(iter(bars._tasks))].fields["pace"] = "13/s of 16/s, 64 % of quota, 0 throttled"
        bars.refresh()
    said = [line for line in out.getvalue().splitlines() if "fulfillments" in line][-1]
    assert "8000/9000" in said
    assert re.search(r"13/s of 16/s, 64 % of quota, 0 throttled 1:0[01] left", said)
    assert "━━━" in said


def test_a_pause_is_said_instead_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the time that is left of it."""
    monkeypatch.setattr(screen, "_SAID_EVERY_S", 0.0)
    out = io.StringIO()
    lines = screen._Lines(Console(file=out, width=200))
    lines.watch("create_order", 10, 100, Pace(0.0, 95.0, None, 1))
    assert out.getvalue() == "orders: 10 of 100 (pause of 1:35, 1 throttled)\n"


def test_a_bar_is_there_from_the_start_and_goes_when_something_is_told() -> None:
    """Reading a large export takes its time before anything can be counted."""
    out = io.StringIO()
    with screen._bars_on(Console(file=out, width=80, force_terminal=True, color_system=None)) as bars:
        shown = screen._Bars(bars, "preparing")
        bars.refresh()
        assert "preparing" in out.getvalue()
        assert "0/?" not in out.getvalue()
        shown.watch("check", 10, 20)
        assert [task.description for task in bars.tasks] == ["order rows checked"]


def test_who_wants_nothing_sees_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither bars nor lines."""
    output.speak(quiet=True)
    try:
        with screen.progress() as watch:
            watch("create_order", 1, 1)
    finally:
        output.speak(quiet=False)
    assert capsys.readouterr().err == ""


_IN_A_STEP = """
import os, sys, tempfile
from pipelines.screen import progress
with progress() as watch, tempfile.TemporaryFile() as captured:
    before = os.dup(2)
    os.dup2(captured.fileno(), 2)
    watch("read", 0, 0)
    for done in range(11):
        watch("plan", done, 10)
    os.dup2(before, 2)
    captured.seek(0)
    assert captured.read() == b""
"""


@pytest.mark.slow
def test_bars_go_on_while_dagster_has_a_file_in_the_place_of_standard_error() -> None:
    """As it has in every step: what asked whether that is a terminal showed nothing from the first step on."""
    master, terminal = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", _IN_A_STEP], stderr=terminal, cwd=PROJECT) as process:
        os.close(terminal)
        said = b""
        with suppress(OSError):  # Linux says so where nobody is left who writes.
            while piece := os.read(master, 65_536):
                said += piece
    os.close(master)
    assert process.returncode == 0, said
    assert re.search(rb"orders planned[^\r\n]*10/10", said), said


def test_what_is_done_in_one_piece_has_a_bar_as_long_as_it_goes_on_and_no_line_in_a_log() -> None:
    """Comparing, and writing the report."""
    out = io.StringIO()
    with screen._bars_on(Console(file=out, width=80, force_terminal=True, color_system=None)) as bars:
        shown = screen._Bars(bars)
        for what, counted in (("check", 5), ("compare", 0), ("books", 0), ("plan", 5)):
            shown.watch(what, counted, counted)
            names = [task.description for task in bars.tasks]
            assert ("comparing" in names, "writing the report" in names) == (
                what == "compare",
                what == "books",
            )
    assert names == ["order rows checked", "orders planned"]
    lines = io.StringIO()
    for what in ("read", "plan", "compare", "books"):
        screen._Lines(Console(file=lines, width=80)).watch(what, 5, 5)
    assert lines.getvalue() == ""
