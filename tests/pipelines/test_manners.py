"""How the command speaks: to people, to programs, to nobody; what each verb says to do next.

The command as a process: what it writes to which stream, and what it takes for a terminal, is only true there.
"""

import json
import os
import pty
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from corso.report.summary import OutcomeCounts, ReconciliationCounts, Summary, TableCounts
from pipelines import cli, output
from pipelines.cli import app
from pipelines.next_steps import after_batch, after_guard
from tests.export_factories import line_text, order_text
from tests.loader_process import Shop, environment, loader

ESCAPE = "\x1b["


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A merchant with one good order and one that is quarantined; nothing listens where it would send."""
    shop = Shop(tmp_path)
    shop.configure("validation: {max_quarantined: 0.5}")
    shop.export(
        [order_text(1), order_text(2) | {"total_money": "no money"}],
        [line_text(source_order_id=o["source_order_id"]) for o in (order_text(1), order_text(2))],
    )
    return shop


def verbs(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Yield every verb of the command with its words."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from verbs(command, (*path, name))
        elif isinstance(command, TyperCommand):
            yield (*path, name), command


def face() -> TyperGroup:
    """Return the whole command."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def in_a_terminal(*arguments: str, **changes: str | None) -> str:
    """Run the command in a terminal of its own; return everything that it wrote there."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(TERM="xterm", **changes),
    ):
        os.close(slave)
        written = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:
                break
            if not part:
                break
            written += part
    os.close(master)
    return written.decode()


@pytest.mark.slow
def test_a_plan_says_why_what_next_and_is_silent_or_json_on_request(shop: Shop) -> None:
    """One export, planned for people, for a program, and for nobody."""
    said = shop.run("plan", "--offline")
    assert said.code == 1
    assert "because         1 order: orders.total_money" in said.out
    assert f"Next: read {shop.reports() / 'quarantine.csv'}" in said.out
    assert ESCAPE not in said.said

    told = shop.run("plan", "--offline", "--json")
    assert json.loads(told.out)["quarantined"]["orders"] == 1
    assert told.code == 1

    quiet = shop.run("plan", "--offline", "--quiet")
    assert (quiet.code, quiet.said) == (1, "")


@pytest.mark.slow
def test_what_stops_a_run_is_one_json_document_too(shop: Shop) -> None:
    """The batch's numbers, the exit code and the sentence; on standard error the sentence, and with --quiet nothing else."""
    shop.configure("validation: {max_quarantined: 0.1}")
    told = shop.run("plan", "--offline", "--json")
    facts = json.loads(told.out)
    assert (told.code, facts["exit_code"], facts["quarantined"]["orders"]) == (3, 3, 1)
    sentence = f"corso-loader: {facts['error']}"
    # Progress goes there, too.
    assert told.err.splitlines()[-1] == sentence

    quiet = shop.run("plan", "--offline", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (3, "", f"{sentence}\n")


@pytest.mark.slow
def test_a_mistake_is_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    """Never a usage text that has to be read, never a traceback."""
    assert (
        loader("ruun").sentence
        == "corso-loader: no such command 'ruun'. Did you mean 'run'? See `corso-loader --help`"
    )
    missing = loader("status", "--json", "-c", str(tmp_path / "none.yaml"))
    assert "make one: corso-loader inspect EXPORTS --write loader.yaml" in missing.sentence
    assert json.loads(missing.out) == {
        "exit_code": 2,
        "error": missing.sentence.removeprefix("corso-loader: "),
    }
    unknown = loader("plan", "--ofline", "--json")
    assert json.loads(unknown.out)["exit_code"] == unknown.code == 2


@pytest.mark.slow
def test_a_working_directory_that_was_deleted_is_named(tmp_path: Path) -> None:
    """The system's own sentence names no file."""
    gone = tmp_path / "gone"
    gone.mkdir()
    command = [sys.executable, "-m", "pipelines.cli", "status"]
    ended = subprocess.run(
        ["sh", "-c", f'cd {shlex.quote(str(gone))} && rmdir "$PWD" && exec {shlex.join(command)}'],
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stderr.startswith("corso-loader: the working directory is not there any more;")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_memory_that_ran_out_is_no_mistake_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to report, and something to set."""

    def load() -> int:
        raise MemoryError

    with pytest.raises(typer.Exit) as left:
        cli._leave(load)
    assert left.value.exit_code == 3
    err = capsys.readouterr().err
    assert "memory ran out" in err
    assert "limits.memory" in err
    assert len(err.splitlines()) == 1


def test_an_order_by_bytes_that_are_no_letters_is_in_no_batch(shop: Shop) -> None:
    """A terminal of another encoding gives them."""
    answer = shop.run("trace", "#\udcfc1")
    assert (answer.code, "is in no batch" in answer.sentence) == (2, True)


def test_colours_are_for_terminals_that_want_them(shop: Shop) -> None:
    """Not where the output is piped, not with NO_COLOR, not on a dumb terminal."""
    words = ("status", "-c", str(shop.config))
    assert ESCAPE in in_a_terminal(*words)
    assert ESCAPE not in in_a_terminal(*words, NO_COLOR="1")
    assert ESCAPE not in loader(*words, TERM="xterm").said


def test_a_dumb_terminal_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb says so: editors and CI logs set it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.painted("x", "red") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("TERM", "dumb")
    assert output.painted("x", "red") == "x"


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_the_shell(shell: str) -> None:
    """To be put where the shell looks for it."""
    printed = loader("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert printed.code == 0
    assert "corso-loader" in printed.out


@pytest.mark.slow
def test_completion_knows_the_verbs() -> None:
    """As the shell asks for it."""
    asked = {"_CORSO_LOADER_COMPLETE": "complete_bash", "COMP_WORDS": "corso-loader re", "COMP_CWORD": "1"}
    assert loader(**asked).out.split() == ["reconcile", "retry"]


def test_every_verb_has_a_whole_sentence_and_examples_that_are_right() -> None:
    """Each example is read by the verb's own options; a word that is not there any more is seen."""
    wrong = []
    for path, command in verbs(face()):
        if command.ignore_unknown_options:
            continue
        assert command.get_short_help_str(1_000).endswith((".", "!", "?")), path
        shown = [
            line.split("corso-loader ", 1)[1]
            for line in (command.epilog or "").splitlines()
            if "corso-loader " in line
        ]
        for example in shown:
            words = shlex.split(example.partition(" > ")[0])
            if words[: len(path)] != list(path):
                wrong.append(example)
                continue
            command.make_context(" ".join(path), words[len(path) :])
    output.speak(quiet=False, as_json=False)
    assert wrong == []


def test_every_verb_of_ours_shows_an_example() -> None:
    """Help teaches; what has no example says so here."""
    without = [" ".join(path) for path, command in verbs(face()) if "Examples:" not in (command.epilog or "")]
    assert without == ["sandbox"]


SUMMARY = Summary(store_id=1, batch="b")
ALL_GOOD: dict[str, Any] = {"exit_code": 0, "accepted": TableCounts(orders=2)}
NEXT = {
    "plan": (ALL_GOOD, "plan", ["run"]),
    "nothing accepted": (
        {"quarantined": TableCounts(orders=2), "exit_code": 1},
        "plan",
        ["quarantine.csv", "plan"],
    ),
    "uploaded": (ALL_GOOD, "upload", ["reconcile"]),
    "in doubt": ({"outcome": OutcomeCounts(unknown=1), "exit_code": 1}, "upload", ["retry", "reconcile"]),
    "all good": (ALL_GOOD, "reconcile", ["--verify"]),
    "different": (
        {"reconciliation": ReconciliationCounts(different=1), "exit_code": 1},
        "reconcile",
        ["reconciliation.html"],
    ),
}
"""Case -> what the books say, how far the batch is, and a word of each step."""


@pytest.mark.parametrize("case", NEXT)
def test_the_next_step_follows_from_the_books(case: str, tmp_path: Path) -> None:
    """Nearest first."""
    facts, stage, words = NEXT[case]
    steps = list(after_batch(SUMMARY.model_copy(update=facts), stage, tmp_path / "loader.yaml", tmp_path))  # type: ignore[arg-type]
    assert len(steps) == len(words)
    for step, word in zip(steps, words, strict=True):
        assert word in step


def test_after_a_guard_the_rows_come_first(tmp_path: Path) -> None:
    """Then the plan again."""
    summary = SUMMARY.model_copy(update={"quarantined": TableCounts(orders=2)})
    steps = list(after_guard(summary, tmp_path / "loader.yaml", tmp_path))
    assert "quarantine.csv" in steps[0]
    assert steps[1].startswith("corso-loader plan -c ")
