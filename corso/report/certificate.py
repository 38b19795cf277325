"""The certificate: what a reconciliation found, in one small file that a second person can check again.

It says which files went in and came out (by their SHA-256), the counts, the money step by step, and the verdict; its
own SHA-256 stands in it, so that a certificate that was edited says so. What is checked, and how, is in
`corso.stages.verifying`.

Two files of a batch are not among the outputs. reconciliation.html shows the certificate, and cannot be made before it;
reconciliation.xlsx is there to be edited. Both say nothing that is not in the files that are named.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl
from pydantic import BaseModel, ConfigDict

from corso.report.atomic import replacing
from corso.report.bridge import money_bridge
from corso.report.summary import (
    FulfillmentCounts,
    Money,
    OutcomeCounts,
    PlanCounts,
    ReconciliationCounts,
    Summary,
    TableCounts,
)

FORMAT = 1
"""Of the file; a later one that older programs cannot check has a higher number."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HashedFile(_Part):
    """One file as it was."""

    name: str
    """An input's: as loader.yaml's patterns found it. An output's: below the batch's folder."""
    sha256: str


class CertifiedMoney(_Part):
    """The money of one currency and month, step by step; what each amount is, is said in `corso.report.bridge`."""

    currency: str
    month: str
    source: Money
    quarantined: Money
    rejected: Money
    unknown: Money
    not_sent: Money
    expected: Money
    changed: Money
    duplicate: Money
    unexplained: Money
    corso: Money
    difference: Money
    foreign: Money
    corso_with_foreign: Money


class FindingCount(_Part):
    """How many open findings have a kind and a cause, and how many of them are signed off."""

    kind: str
    cause: str
    findings: int
    signed_off: int


class Certificate(_Part):
    """One batch, certified."""

    format: int = FORMAT
    program: str
    """This program and its version."""
    versions: dict[str, str]
    """Library -> version."""
    store_id: int
    batch: str
    environment: str
    """Name and host of the API."""
    time_zone: str
    """The store's; months are in it."""
    made_at: datetime
    verdict: str
    exit_code: int
    source: TableCounts
    accepted: TableCounts
    quarantined: TableCounts
    plan: PlanCounts
    outcome: OutcomeCounts
    fulfillments: FulfillmentCounts
    reconciliation: ReconciliationCounts
    findings: tuple[FindingCount, ...]
    """By kind and cause, in alphabetical order."""
    money: tuple[CertifiedMoney, ...]
    not_compared: tuple[str, ...]
    """reconcile.ignore."""
    inputs: tuple[HashedFile, ...]
    """The export files and the corrections."""
    outputs: tuple[HashedFile, ...]
    """The report's files, and the tables that it was made from."""
    sha256: str = ""
    """Of all the rest: `digest_of`."""

    def sealed(self) -> Self:
        """Return it with its own hash."""
        return self.model_copy(update={"sha256": digest_of(self.model_dump(mode="json"))})

    def write(self, path: Path) -> None:
        """Write certificate.json; a reader sees the old file or the new one."""
        with replacing(path) as draft:
            draft.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read certificate.json. Raises OSError, or pydantic's ValidationError (a ValueError)."""
        return cls.model_validate_json(path.read_bytes())


def digest_of(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a certificate as JSON: without its own hash, keys sorted, no spaces, UTF-8."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hashed(path: Path, name: str) -> HashedFile:
    """Return a file as it is now. Raises OSError."""
    with path.open("rb") as stream:
        return HashedFile(name=name, sha256=hashlib.file_digest(stream, "sha256").hexdigest())


def certify(
    summary: Summary,
    findings: pl.DataFrame,
    *,
    verdict: str,
    program: str,
    versions: dict[str, str],
    environment: str,
    time_zone: str,
    made_at: datetime,
    not_compared: Iterable[str],
    inputs: Iterable[HashedFile],
    outputs: Iterable[HashedFile],
) -> Certificate:
    """Return the sealed certificate of a batch; `findings` are its open FINDINGS."""
    counted = findings.group_by("kind", "cause").agg(
        findings=pl.len().cast(pl.Int64),
        signed_off=pl.col("signed_off_at").is_not_null().sum().cast(pl.Int64),
    )
    return Certificate(
        program=program,
        versions=versions,
        store_id=summary.store_id,
        batch=summary.batch,
        environment=environment,
        time_zone=time_zone,
        made_at=made_at,
        verdict=verdict,
        exit_code=summary.exit_code,
        source=summary.source,
        accepted=summary.accepted,
        quarantined=summary.quarantined,
        plan=summary.plan,
        outcome=summary.outcome,
        fulfillments=summary.fulfillments,
        reconciliation=summary.reconciliation,
        findings=tuple(FindingCount(**row) for row in counted.sort("kind", "cause").iter_rows(named=True)),
        money=tuple(
            CertifiedMoney(**row) for row in money_bridge(summary.money, findings).iter_rows(named=True)
        ),
        not_compared=tuple(not_compared),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    ).sealed()
