"""What every verb prints with: lines for people, facts as JSON for programs, errors, and what to do next.

Facts go to standard output, errors to standard error. With `--json` standard output is one JSON document and nothing
else, also where the verb ends with an error; with `--quiet` it is empty. Colours are for terminals only, and for none with
NO_COLOR (https://no-color.org) or TERM=dumb.

Nothing but the standard library is imported here: `status` must not wait for frames or progress bars. What is said of a
batch, and how far it is, stands in `screen`.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from corso.storage.address import BucketAddress

Colour = Literal["red", "green", "yellow", "bold"]

NAME = "corso-loader"
DEFAULT_CONFIG = Path("loader.yaml")

_CODES: Mapping[Colour, str] = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


@dataclass
class _Manner:
    """How this command speaks, as its options say."""

    quiet: bool = False
    json: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    """What was found out before the verb ended with an error: part of the one document."""
    steps: tuple[str, ...] = ()
    """What to do after the error."""


_MANNER = _Manner()


def speak(*, quiet: bool | None = None, as_json: bool | None = None) -> None:
    """Set how this command speaks from here on; what is None stays as it is."""
    _MANNER.quiet = _MANNER.quiet if quiet is None else quiet
    _MANNER.json = _MANNER.json if as_json is None else as_json
    _MANNER.facts, _MANNER.steps = {}, ()


def is_quiet() -> bool:
    """Whether nothing but errors is wanted."""
    return _MANNER.quiet


def say(text: str = "") -> None:
    """Print one line for people; nothing where they want none, or a program listens."""
    if not _MANNER.quiet and not _MANNER.json:
        _write(text)


def say_json(facts: Any) -> None:
    """Print facts as JSON: once a command."""
    _write(json.dumps(facts, indent=1, ensure_ascii=False, default=str))


def keep_for_error(facts: dict[str, Any], *steps: str) -> None:
    """Keep what is known, and what to do next, although the verb is about to end with an error."""
    _MANNER.facts, _MANNER.steps = facts, steps


def say_error(sentence: str, code: int) -> None:
    """Print an error: a sentence on standard error, and where JSON is wanted the document that there still is to come."""
    complain(sentence)
    if _MANNER.json:
        say_json({**_MANNER.facts, "exit_code": code, "error": sentence})
    say_next(*_MANNER.steps)


def complain(sentence: str) -> None:
    """Print a sentence on standard error, and nothing else."""
    sys.stderr.write(f"{painted('corso-loader:', 'red', sys.stderr)} {sentence}\n")


def say_next(*steps: str) -> None:
    """Print what to do next, one step a line."""
    for number, step in enumerate(steps):
        say(f"{painted('Next:', 'bold') if number == 0 else ' ' * len('Next:')} {step}")


def command_line(verb: str, config: "Path | BucketAddress | None", *words: str) -> str:
    """Return the command of a verb, as somebody types it where they are."""
    named = [] if config is None or _is_default(config) else ["-c", shortest(config)]
    return f"{program()} {shlex.join([*verb.split(), *named, *words])}"


def program() -> str:
    """Return what somebody types for this program here: its name where the shell finds it, else where it was called from."""
    called = Path(sys.argv[0])
    if called.name != NAME or shutil.which(NAME):
        return NAME
    return as_typed(called)


def painted(text: str, colour: Colour, stream: TextIO | None = None) -> str:
    """Return `text` in a colour where `stream` (standard output) is a terminal that wants any."""
    if not has_colours(stream or sys.stdout):
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def has_colours(stream: TextIO) -> bool:
    """Whether a stream is a terminal that wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_typed(path: "Path | BucketAddress") -> str:
    """Return a path for a command line, as short as it can be typed here."""
    return shlex.quote(shortest(path))


def shortest(path: "Path | BucketAddress") -> str:
    """Return a path relative to here where it lies below, else whole; an address as it is."""
    if not isinstance(path, Path):
        return str(path)
    if path.parts[:1] == ("s3:",):
        # As it was typed: a path has one slash of it.
        return f"s3://{'/'.join(path.parts[1:])}"
    here = Path.cwd()
    return str(path.absolute().relative_to(here)) if path.absolute().is_relative_to(here) else str(path)


def _is_default(config: "Path | BucketAddress") -> bool:
    return isinstance(config, Path) and config.absolute() == DEFAULT_CONFIG.absolute()


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
