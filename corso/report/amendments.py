"""Amendments: what an erasure or a purge changed of a batch's files after they were certified.

The certificate stays as it was signed. amendments.json, beside it, has for each file that personal data was taken out of
the hash before and after, so that a second person can tell this from tampering: the chain leads from the certified hash to
the file that is there. It names no customer.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from corso.report.atomic import replacing

AMENDMENTS = "amendments.json"


class Amendment(BaseModel):
    """One file that was rewritten, or taken away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    what: Literal["erasure", "purge"]
    id: str
    """Of the erasure or the purge."""
    name: str
    """Of the file, below the batch's folder."""
    before: str
    """Its SHA-256 until then."""
    after: str | None
    """Its SHA-256 from then on; None where it is gone."""


def said_of(one: Amendment) -> str:
    """Name what a file was amended for, e.g. `erasure of 2026-11-27`."""
    return f"{one.what} of {one.at:%Y-%m-%d}"


def read_amendments(folder: Path) -> list[Amendment]:
    """Return a batch's amendments, the oldest first; none where there is no file."""
    path = folder / AMENDMENTS
    rows = json.loads(path.read_bytes()) if path.exists() else []
    return [Amendment.model_validate(row) for row in rows]


def add_amendment(folder: Path, one: Amendment) -> None:
    """Write down an amendment, before the file is put in place.

    One of the same file from the same state is the same try: the run was killed between this and putting it in place.
    """
    so_far = read_amendments(folder)
    earlier = [each for each in so_far if (each.name, each.before) != (one.name, one.before)]
    rows = [each.model_dump(mode="json") for each in (*earlier, one)]
    with replacing(folder / AMENDMENTS) as draft:
        draft.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def chain_of(amendments: Iterable[Amendment], name: str, certified: str) -> Sequence[Amendment]:
    """Return those amendments of a file that lead on from its certified hash, the oldest first."""
    chain: list[Amendment] = []
    stands: str | None = certified
    for each in amendments:
        if each.name == name and each.before == stands:
            chain.append(each)
            stands = each.after
    return chain
