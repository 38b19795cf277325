"""reconcile --verify: a certificate checked again, line by line; changes nothing, asks the API nothing."""

from pathlib import Path

from corso.errors import UsageError
from corso.report.certificate import Certificate
from corso.settings import read_settings
from corso.stages.verifying import VERDICT, Line, read_certificate, verify
from corso.storage.bucket import fetched
from pipelines.output import command_line, say, say_json, say_next

_LONGEST = 16
"""So many characters of a hash are shown; all of them with --json."""


def verify_certificate(config: Path, path: Path, *, as_json: bool) -> int:
    """Say of every statement of a certificate whether it is right; return 0 if all are, else 1."""
    settings = read_settings(config)
    local = fetched(path)
    if not local.exists():
        message = f"{path} is not there; certificate.json lies in the batch's folder"
        raise UsageError(message)
    certificate = read_certificate(local, settings)
    lines = list(verify(certificate, settings))
    wrong = [line for line in lines if not line.is_right]
    if as_json:
        rows = [vars(line) | {"right": line.is_right if line.is_checked else None} for line in lines]
        say_json({"batch": certificate.batch, "right": not wrong, "lines": rows})
        return int(bool(wrong))
    say(
        f"Certificate of batch {certificate.batch}, store {certificate.store_id}, {certificate.made_at:%Y-%m-%d %H:%M} UTC"
    )
    say(f"  {_headline(certificate, lines)}")
    say()
    for line in lines:
        say(_said(line))
    say()
    if wrong:
        say(f"Wrong: {len(wrong):,} of {len(lines):,} statements do not hold any more.")
        say_next(
            f"{command_line('reconcile', config, '--batch', certificate.batch)}   (compares anew, writes a new one)"
        )
    else:
        say(_all_hold(lines))
    return int(bool(wrong))


def _headline(certificate: Certificate, lines: list[Line]) -> str:
    """Return the verdict: the one that was concluded anew, or, where something is wrong, that it is only stated."""
    if any(not line.is_right for line in lines):
        return f"It says, and that does not hold as it stands: {certificate.verdict}"
    return next((line.found for line in lines if line.what == VERDICT), certificate.verdict)


def _all_hold(lines: list[Line]) -> str:
    gone, stated = sum(bool(line.gone) for line in lines), sum(bool(line.stated) for line in lines)
    checked = len(lines) - gone - stated
    apart = f"; {stated:,} are only stated, nothing here confirms them" if stated else ""
    if not gone:
        return f"Right: all {checked:,} statements that can be checked hold{apart}."
    return f"Right: {checked:,} of {checked + gone:,} statements hold; {gone:,} cannot be checked any more{apart}."


def _said(line: Line) -> str:
    if line.gone:
        return f"  gone   {line.what}: {line.gone}"
    if line.stated:
        return f"  stated {line.what}: {line.certified} ({line.stated})"
    if line.is_right:
        return f"  right  {line.what}: {_short(line.certified)}"
    return f"  WRONG  {line.what}: certified {_short(line.certified)}, found {_short(line.found)}"


def _short(text: str) -> str:
    is_hash = len(text) == 64 and all(each in "0123456789abcdef" for each in text)
    return f"{text[:_LONGEST]}…" if is_hash else text
