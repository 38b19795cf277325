"""reference/command.md: every verb of the command, from the declarations that read its words."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer.main
from typer.core import TyperGroup

from handbook.markdown import fenced, table
from pipelines.cli import app
from sandbox.arguments import build_parser

_INTRODUCTION = """\
# The command

`corso-loader VERB --help` says the same as this page, which is made from the same declarations. After `scripts/setup` the
command is `.venv/bin/corso-loader`; `corso-loader --install-completion` teaches your shell its verbs and options.
"""


def command_page() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    face = typer.main.get_command(app)
    if not isinstance(face, TyperGroup):
        message = "the command has no verbs"
        raise TypeError(message)
    yield _INTRODUCTION
    yield "## Options before the verb\n"
    yield from _options(face)
    yield ""
    yield "## Exit codes\n"
    yield "[The runbook](../runbook.md) says what to do after each.\n"
    yield from fenced("text", _block(face.epilog, "Exit codes:"))
    yield ""
    for words, verb in verbs(face):
        yield f"## {' '.join(words)}\n"
        yield from _verb(words, verb)


def verbs(group: TyperGroup, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (its words, the verb) for each verb of a group, groups within it opened."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, TyperGroup):
            yield from verbs(command, (*before, name))
        else:
            yield (*before, name), command


def _verb(words: tuple[str, ...], verb: Any) -> Iterator[str]:
    yield f"{' '.join(inspect.cleandoc(verb.help or '').split())}\n"
    if words == ("sandbox",):
        yield from fenced("text", build_parser().format_help())
        yield ""
        return
    context = typer.Context(verb, info_name=f"corso-loader {' '.join(words)}")
    pieces = " ".join(verb.collect_usage_pieces(context))
    yield from fenced("text", f"corso-loader {' '.join(words)} {pieces}")
    yield ""
    yield from _options(verb)
    yield ""
    if shown := _block(verb.epilog, "Examples:"):
        yield from fenced("text", shown)
        yield ""


def _options(command: Any) -> Iterator[str]:
    context = typer.Context(command)
    rows = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    yield from table(("option or argument", "meaning"), [(f"`{name}`", meaning) for name, meaning in rows])


def _block(epilog: str | None, title: str) -> str:
    """Return the lines below a title in an epilog, without their indent."""
    _, found, below = (epilog or "").partition(f"{title}\n")
    return inspect.cleandoc("\n" + below.partition("\n\n")[0]) if found else ""
