"""How `--help` is laid out: verbs in groups, whole sentences, examples; and what every verb takes beside its own options.

A verb that is added needs nothing of this: without a group of its own it is listed under "More", and it takes `--quiet`.
"""

from typing import Annotated, Any

import typer
import typer.main

# typer hands its own copy of click to these, and exports no other names for them.
from typer._click import Context, HelpFormatter, Parameter
from typer.core import TyperCommand, TyperGroup

from pipelines.output import speak

_GROUP_OF_OTHERS = "More"


class Verbs(TyperGroup):
    """The verbs, listed in groups, each with a whole sentence; each takes `--quiet`."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        for command in self.commands.values():
            # One that passes its words on has options of its own.
            if isinstance(command, TyperCommand) and not command.ignore_unknown_options:
                command.params.append(_quiet_option())

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write a list a group (`rich_help_panel`), in the order in which the verbs were declared."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is None or command.hidden:
                continue
            group = getattr(command, "rich_help_panel", None)
            row = (name, command.get_short_help_str(limit=1_000))
            groups.setdefault(group if isinstance(group, str) else _GROUP_OF_OTHERS, []).append(row)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


def examples(*lines: str) -> str:
    """Return a verb's epilog: commands to copy, which help leaves as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  corso-loader {line}" for line in lines)


def _quiet_option() -> Parameter:
    """Return the option, as typer makes it for a function: it has no other way that is its own to give away."""
    maker = typer.Typer(add_completion=False)

    @maker.command()
    def _any_verb(
        quiet: Annotated[
            bool,
            typer.Option(
                "--quiet",
                "-q",
                help="Print nothing but errors; the exit code says how it ended.",
                callback=lambda value: speak(quiet=True) if value else None,
                expose_value=False,
            ),
        ] = False,
    ) -> None:
        """Stand for any verb."""

    return typer.main.get_command(maker).params[0]
