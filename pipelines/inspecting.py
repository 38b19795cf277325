"""inspect: what some export files are, before anything is set up."""

import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydantic
from rich.console import Console

from corso.errors import SettingsError, UsageError
from corso.settings import Store
from corso.stages.inspection.facts import FileFacts, Inspection
from corso.stages.inspection.inspecting import inspect_files
from corso.stages.inspection.loader_draft import PROFILE_FILE, loader_yaml
from corso.stages.inspection.profile_draft import profile_yaml, unknown_roles
from pipelines.inspection_text import inspection_lines
from pipelines.output import as_typed, command_line, is_quiet, program, say, say_json, say_next


def inspect(
    paths: list[Path], write: Path | None, profile: str | None, time_zone: str | None, *, as_json: bool
) -> int:
    """Print what the files are; exit code 0 where every order would be accepted, else 1."""
    _check_time_zone(time_zone)
    if write is not None:
        _refuse_to_overwrite(write)
    with tempfile.TemporaryDirectory() as scratch, _waiting():
        inspection = inspect_files(paths, Path(scratch), profile, time_zone)
    if as_json:
        say_json(inspection.as_dict())
    else:
        for line in inspection_lines(inspection):
            say(line)
    if write is not None:
        for path, text in _drafts(inspection, write).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if not is_quiet():
                sys.stderr.write(f"Wrote {path}\n")
    if not as_json:
        say_next(*_next_steps(paths, write, profile, inspection))
    return 0 if inspection.everything_is_accepted else 1


def _next_steps(
    paths: list[Path], write: Path | None, profile: str | None, inspection: Inspection
) -> Iterator[str]:
    """Yield what to do with what was found, or written."""
    if write is None:
        typed = shlex.join([*map(str, paths), *(["--profile", profile] if profile else [])])
        yield f"{program()} inspect {typed} --write loader.yaml   (a loader.yaml for these files, to fill in)"
    elif inspection.profile:
        yield f"edit {as_typed(write)}: what says TODO, and which fallbacks you want"
        yield f"{command_line('plan', write)}   (everything but sending; needs no credentials)"
    else:
        draft = write.parent / PROFILE_FILE
        yield f"edit {as_typed(draft)}: put a header, or nothing, where it says TODO (docs/writing_a_profile.md)"
        yield f"{program()} inspect {shlex.join(map(str, paths))} --profile {as_typed(draft)}"


@contextmanager
def _waiting() -> Iterator[None]:
    """Show on a terminal that the files are being read: large ones take a minute."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal or is_quiet():
        yield
        return
    with console.status("Reading the files and trying to load them"):
        yield


def _check_time_zone(time_zone: str | None) -> None:
    try:
        Store(id=0, time_zone=time_zone or "UTC")
    except pydantic.ValidationError as error:
        message = f"--time-zone: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        raise SettingsError(message) from None


def _drafts(inspection: Inspection, loader: Path) -> dict[Path, str]:
    """Return path -> text of the files to go on with."""
    if inspection.profile:
        roles: dict[str, list[FileFacts]] = {}
        for file in inspection.files:
            if file.role and not file.left_out:
                roles.setdefault(file.role, []).append(file)
        return {loader: loader_yaml(inspection, loader, roles)}
    roles = unknown_roles(inspection.files)
    draft = loader.parent / PROFILE_FILE
    _refuse_to_overwrite(draft)
    return {draft: profile_yaml(roles), loader: loader_yaml(inspection, loader, roles)}


def _refuse_to_overwrite(path: Path) -> None:
    if path.exists():
        message = f"{path} exists; it is not overwritten"
        raise UsageError(message)
