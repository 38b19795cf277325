"""`scripts/audit`: is the program made of what we take, and is any of it known to be vulnerable?

Licences are known here; vulnerabilities are asked of the advisory database, by pip-audit. Where that cannot be reached, what
it said last is used (`advisories.json`, written by `--keep`), with its age, and a package that it did not know is named: that
nobody said anything bad is no answer. pip-audit itself ends well where every package was skipped.

Exit codes: 0 all is well; 1 a vulnerability, or a licence that we do not take; 75 not all could be audited.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handbook.licences import PAGE, PROJECT, packages, page, pinned

SNAPSHOT = PROJECT / "advisories.json"
OLD_DAYS = 14
"""Days after which a kept answer is told as old."""
_NOT_AUDITED = 75
_TIMEOUT_S = 600


@dataclass(frozen=True)
class Answer:
    """What an advisory database said."""

    at: datetime
    found: Mapping[str, Sequence[str]]
    """`name==version` -> its advisories; none where nothing is known against it."""

    def as_json(self) -> str:
        """Write it for the snapshot."""
        return json.dumps({"at": self.at.isoformat(), "found": self.found}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def read(cls, text: str) -> "Answer":
        """Read a snapshot."""
        kept = json.loads(text)
        return cls(datetime.fromisoformat(kept["at"]), kept["found"])


@dataclass(frozen=True)
class Verdict:
    """What there is to say, and the exit code."""

    code: int
    lines: tuple[str, ...]


def answer_of(report: Mapping[str, Any], at: datetime) -> Answer:
    """Return what pip-audit's JSON says; packages that it skipped are not in it."""
    found: dict[str, list[str]] = {}
    for each in report["dependencies"]:
        if "skip_reason" in each:
            continue
        advisories = [
            f"{one['id']} (mended in {', '.join(one['fix_versions']) or 'no version yet'})"
            for one in each["vulns"]
        ]
        found[f"{each['name']}=={each['version']}"] = advisories
    return Answer(at, found)


def judge(lock: Mapping[str, str], asked: Answer | None, kept: Answer | None, now: datetime) -> Verdict:
    """Say how every package of the lock stands: by what was answered now, else by what was kept."""
    answers = [each for each in (asked, kept) if each is not None]
    vulnerable: list[str] = []
    unknown: list[str] = []
    from_kept = 0
    for name, version in sorted(lock.items()):
        key = f"{name}=={version}"
        answer = next((each for each in answers if key in each.found), None)
        if answer is None:
            unknown.append(key)
            continue
        from_kept += answer is not asked
        vulnerable += [f"{key}: {advisory}" for advisory in answer.found[key]]
    lines = [*vulnerable, *_said_of_age(kept, from_kept, now)]
    if unknown:
        shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        lines.append(
            f"NOT AUDITED: {len(unknown)} of {len(lock)} packages ({shown}): no advisory database answers for them"
        )
    if vulnerable:
        return Verdict(1, tuple(lines))
    if unknown:
        return Verdict(_NOT_AUDITED, tuple(lines))
    return Verdict(0, (*lines, f"{len(lock)} packages: nothing is known against them"))


def _said_of_age(kept: Answer | None, used: int, now: datetime) -> list[str]:
    if kept is None or not used:
        return []
    days = (now - kept.at).days
    old = (
        f": older than {OLD_DAYS} days, ask again with a network (scripts/audit --keep)"
        if days > OLD_DAYS
        else ""
    )
    return [
        f"the advisory database cannot be reached: {used} packages by its answer of {kept.at:%Y-%m-%d} ({days} days ago){old}"
    ]


def ask(lock: Path) -> Answer | None:
    """Ask the advisory database; None where it cannot be reached."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        str(lock),
        "--require-hashes",
        "--disable-pip",
        "-f",
        "json",
    ]
    done = subprocess.run(  # noqa: S603  (our own command)
        [*command, "--progress-spinner", "off", "--timeout", "10"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    try:
        return answer_of(json.loads(done.stdout), datetime.now(UTC))
    except (ValueError, KeyError):
        # It ends with a trace where there is no network.
        return None


def licence_problems() -> list[str]:
    """Return which licences we do not take, and whether docs/licences.md is out of date."""
    rows = packages()
    problems = [f"{row.name} {row.version}: we do not take {row.licence}" for row in rows if not row.is_taken]
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(rows):
        problems.append("docs/licences.md is out of date: python -m handbook.licences")
    return problems


def main() -> int:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the answer for machines without a network")
    wanted = parser.parse_args()
    lock = PROJECT / "requirements.lock"
    asked = ask(lock)
    if wanted.keep and asked is not None and asked.found:
        SNAPSHOT.write_text(asked.as_json(), encoding="utf-8")
    kept = Answer.read(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.exists() else None
    verdict = judge(pinned(lock.read_text(encoding="utf-8")), asked, kept, datetime.now(UTC))
    problems = licence_problems()
    sys.stdout.write("".join(f"audit: {line}\n" for line in (*problems, *verdict.lines)))
    return 1 if problems else verdict.code


if __name__ == "__main__":
    sys.exit(main())
