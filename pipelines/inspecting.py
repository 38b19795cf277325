"""inspect: what some export files are, before anything is set up."""

import os
import tempfile
from pathlib import Path

from corso.errors import UsageError
from corso.stages.inspection import Inspection, inspect_files, roles_of
from pipelines.screen import say, say_json

_LOADER = """\
# Written by `corso-loader inspect`. Say whose orders these are and where they go, then: corso-loader plan -c {name}
store: {{id: 0, time_zone: UTC, fulfillment_locations: {{}}}}
exports:
  profile: {profile}
{files}
corso: {{environment: sandbox}}
fallbacks: {{}}
"""


def inspect(paths: list[Path], write: Path | None, *, as_json: bool) -> int:
    """Print what the files are; exit code 0 where every order would be accepted, else 1."""
    with tempfile.TemporaryDirectory() as scratch:
        inspection = inspect_files(paths, Path(scratch))
    if as_json:
        say_json(inspection.as_dict())
    else:
        _print(inspection)
    if write is not None:
        _write(inspection, write)
        say(f"Wrote {write}: fill in store.id and the fallbacks, then run corso-loader plan -c {write}")
    return 0 if inspection.orders and inspection.accepted == inspection.orders else 1


def _print(inspection: Inspection) -> None:
    say(f"Profile: {inspection.profile or 'none'} ({inspection.why})")
    for file in inspection.files:
        faulty = f", {file.faulty_rows:,} of them faulty" if file.faulty_rows else ""
        say(f"  {file.path.name}: {file.rows:,} rows{faulty}, read as {file.role or 'nothing known'}")
        if inspection.profile:
            say(f"    understood: {', '.join(file.understood) or 'none'}")
            say(f"    ignored: {', '.join(file.ignored) or 'none'}")
        else:
            say(f"    columns: {', '.join(file.ignored)}")
    for column, forms in inspection.dates.items():
        say(f"  dates in {column}: {', '.join(forms)}")
    if inspection.empty_columns:
        say(f"  needed by Corso and nowhere filled: {', '.join(inspection.empty_columns)}")
    if inspection.orders:
        say(f"As the files stand, {inspection.accepted:,} of {inspection.orders:,} orders would be accepted.")
    for problem in inspection.problems:
        say(
            f"  {problem['rows']:,} rows: {problem['table']}.{problem['column']} {problem['sentence']}: {problem['remedy']}"
        )


def _write(inspection: Inspection, path: Path) -> None:
    if path.exists():
        message = f"{path} exists; it is not overwritten"
        raise UsageError(message)
    files = "\n".join(
        f"  {role}: [{', '.join(_quoted(file, path) for file in files)}]"
        for role, files in roles_of(inspection).items()
    )
    text = _LOADER.format(name=path, profile=inspection.profile or "profile.yaml", files=files)
    path.write_text(text, encoding="utf-8")


def _quoted(file: Path, loader: Path) -> str:
    relative = os.path.relpath(file.resolve(), loader.resolve().parent)
    return f'"{relative}"'
