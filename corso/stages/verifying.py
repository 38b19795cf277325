"""A certificate checked again, as a second person would: by the files themselves, not by what the report says of them.

Hashes are taken anew; rows are counted in the tables, in results.csv and in reconciliation.parquet; and the batch's orders
are compared with the listing once more. Nothing is read from summary.json or from the ledger, which has moved on since.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from corso.errors import UsageError
from corso.extract.files import ExportFile, bring
from corso.report.amendments import AMENDMENTS, Amendment, chain_of, read_amendments, said_of
from corso.report.bridge import money_bridge
from corso.report.certificate import FORMAT, Certificate, HashedFile, digest_of, hashed
from corso.report.compare import CLASSES, Reconciliation, Sides, knows_nothing
from corso.report.compare import reconcile as compare
from corso.report.life import Earlier
from corso.report.summary import TableCounts, fulfillments_apart, money_rows
from corso.settings import Settings
from corso.stages.batch import Batch
from corso.stages.counting import count_by, count_quarantined, count_rows
from corso.stages.erasures import source_without_erased
from schemas.fields import empty_frame
from schemas.money import money_text
from schemas.reconciliation import OUTCOME_TABLE


@dataclass(frozen=True)
class Line:
    """One statement of the certificate, and what was found."""

    what: str
    certified: str
    found: str
    gone: str = ""
    """Why it cannot be checked any more; empty where it can."""

    @property
    def is_right(self) -> bool:
        """Whether it still holds, as far as it can be checked."""
        return bool(self.gone) or self.certified == self.found


def read_certificate(path: Path, settings: Settings) -> Certificate:
    """Return a certificate of this store.

    Raises UsageError where there is none, it is another store's, or this program is too old for it.
    """
    try:
        certificate = Certificate.read(path)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(message) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path} is no certificate that this version can check: {place}: {first['msg']}"
        raise UsageError(message) from error
    if certificate.format > FORMAT:
        message = f"{path} has format {certificate.format}, this version checks up to {FORMAT}: use a newer corso-loader"
        raise UsageError(message)
    if certificate.store_id != settings.loader.store.id:
        message = (
            f"{path} is of store {certificate.store_id}, {settings.path} of store {settings.loader.store.id}"
        )
        raise UsageError(message)
    return certificate


def verify(certificate: Certificate, settings: Settings) -> Iterator[Line]:
    """Yield every statement with what is found now; those about the certificate itself and its files come first."""
    batch = Batch(settings, certificate.batch)
    yield Line(
        "the certificate's own SHA-256", certificate.sha256, digest_of(certificate.model_dump(mode="json"))
    )
    yield from _sums(certificate)
    inputs = {file: ExportFile(settings.home / file.name, file.name) for file in certificate.inputs}
    bring(given for given in inputs.values() if given.path.exists())
    for file, given in inputs.items():
        yield _file("input", file, given.path)
    amendments = read_amendments(batch.file(AMENDMENTS).parent)
    for file in certificate.outputs:
        yield _output(file, batch, amendments)
    if missing := _missing_tables(batch):
        yield Line("tables to count in", "all", f"without {', '.join(missing)}")
        return
    yield from _counts(certificate, batch)
    yield from _findings(certificate, batch)
    yield from _compared_again(certificate, batch)


def _output(file: HashedFile, batch: Batch, amendments: Sequence[Amendment]) -> Line:
    """Check a file by its certified hash, or by that to which an erasure or a purge led on from it."""
    chain = chain_of(amendments, file.name, file.sha256)
    path = batch.file(file.name)
    if not chain:
        return _file("output", file, path)
    last = chain[-1]
    if last.after is None and not path.exists():
        return Line(f"output {file.name}", file.sha256, "gone", f"taken away by the {said_of(last)}")
    line = _file("output", file.model_copy(update={"sha256": last.after or "gone"}), path)
    if unreached := next((each for each in chain if each.before == line.found), None):
        # An amendment is written first: whatever did this was killed in between, or somebody put the old file back.
        what = f"{line.what}, which the {said_of(unreached)} has not reached: run that again"
        return replace(line, what=what, certified=line.found)
    return replace(line, what=f"{line.what}, as the {said_of(last)} left it")


def _file(role: str, file: HashedFile, path: Path) -> Line:
    try:
        found = hashed(path, file.name).sha256
    except OSError as error:
        found = error.strerror or "not readable"
    return Line(f"{role} {file.name}", file.sha256, found)


def _missing_tables(batch: Batch) -> list[str]:
    needed = ("accepted_orders", "accepted_line_items", "accepted_fulfillments", "quarantined_orders")
    names = [name for name in (*needed, "upload_plan", "corso_orders") if not batch.table(name).exists()]
    files = ("results.csv", "reconciliation.parquet")
    return names + [name for name in files if not batch.file(name).exists()]


def _sums(certificate: Certificate) -> Iterator[Line]:
    """The certificate against itself."""
    accepted = certificate.accepted
    for name in TableCounts.model_fields:
        total = getattr(accepted, name) + getattr(certificate.quarantined, name)
        yield _number(f"source {name} = accepted + quarantined", getattr(certificate.source, name), total)
    yield _number("accepted orders = the sum of outcome", accepted.orders, certificate.outcome.total)
    yield _number(
        "accepted orders = matched + missing + different + duplicated",
        accepted.orders,
        certificate.reconciliation.orders,
    )


def _counts(certificate: Certificate, batch: Batch) -> Iterator[Line]:
    quarantined = count_quarantined(batch)
    for name in TableCounts.model_fields:
        yield _number(
            f"accepted {name}", getattr(certificate.accepted, name), count_rows(batch, f"accepted_{name}")
        )
        yield _number(
            f"quarantined {name}", getattr(certificate.quarantined, name), getattr(quarantined, name)
        )
    plan = count_by(pl.scan_parquet(batch.table("upload_plan"), glob=False).filter(subject="order"), "action")
    yield from _each("plan", dict(certificate.plan), plan)
    results = count_by(pl.scan_csv(batch.file("results.csv"), infer_schema=False, glob=False), "outcome")
    quarantined_rows = results.pop("quarantined", 0)
    yield from _each("outcome", dict(certificate.outcome), results)
    yield _number("quarantined orders in results.csv", certificate.quarantined.orders, quarantined_rows)


def _findings(certificate: Certificate, batch: Batch) -> Iterator[Line]:
    findings = pl.read_parquet(batch.file("reconciliation.parquet"), glob=False)
    counted = findings.group_by("kind", "cause").agg(
        findings=pl.len(), signed_off=pl.col("signed_off_at").is_not_null().sum()
    )
    found = {(kind, cause): (count, signed) for kind, cause, count, signed in counted.iter_rows()}
    certified = {(each.kind, each.cause): (each.findings, each.signed_off) for each in certificate.findings}
    for key in sorted(certified | found):
        words = ["{:,}, {:,} signed off".format(*counts.get(key, (0, 0))) for counts in (certified, found)]
        yield Line(f"findings {key[0]}, {key[1]}", *words)
    unexplained = findings.filter(cause="unexplained").height
    yield _number("unexplained findings", certificate.reconciliation.unexplained, unexplained)
    foreign = findings.filter(pl.col("kind") == "foreign", pl.col("source_fulfillment_id").is_null()).height
    yield _number("foreign records", certificate.reconciliation.foreign, foreign)
    if fulfillments_apart(findings) and certificate.exit_code == 0:
        yield Line("findings about fulfillments", "0", f"{fulfillments_apart(findings):,}")


def _compared_again(certificate: Certificate, batch: Batch) -> Iterator[Line]:
    findings = pl.read_parquet(batch.file("reconciliation.parquet"), glob=False)
    settings = batch.settings
    yield Line("the store's time zone", certificate.time_zone, settings.loader.store.time_zone)
    with tempfile.TemporaryDirectory() as scratch:
        found = _compare(certificate, batch, Path(scratch))
        counts, money = found.counts, money_rows(found.money)
    for name in CLASSES:
        yield _number(
            f"orders {name}, compared again", getattr(certificate.reconciliation, name), counts[name]
        )
    certified = {(row.currency, row.month): dict(row) for row in certificate.money}
    bridge = money_bridge(money, findings).iter_rows(named=True)
    again = {(row["currency"], row["month"]): row for row in bridge}
    for key in sorted(certified | again):
        amounts = [_amounts(rows.get(key, {})) for rows in (certified, again)]
        yield Line(f"money {key[0]} {key[1]}", *amounts)


def _compare(certificate: Certificate, batch: Batch, scratch: Path) -> Reconciliation:
    """Compare by the certificate's own rule of what is not compared, without the ledger: causes are not asked for."""
    loader = batch.settings.loader
    rules = loader.reconcile.model_copy(update={"ignore": list(certificate.not_compared)})
    settings = replace(batch.settings, loader=loader.model_copy(update={"reconcile": rules}))
    sides = Sides(
        orders=_accepted(batch, "orders"),
        line_items=_accepted(batch, "line_items"),
        quarantine=pl.scan_parquet(batch.table("quarantined_orders"), glob=False),
        listing=pl.scan_parquet(batch.table("corso_orders"), glob=False),
        outcomes=empty_frame(OUTCOME_TABLE).lazy(),
        known=knows_nothing,
    )
    return compare(sides, Earlier(), settings, datetime.now(UTC), scratch)


def _accepted(batch: Batch, name: str) -> pl.LazyFrame:
    table = pl.scan_parquet(batch.table(f"accepted_{name}"), glob=False)
    return source_without_erased(table, batch.settings, only_done=True)


def _each(what: str, certified: Mapping[str, int], found: Mapping[str, int]) -> Iterator[Line]:
    for name in dict.fromkeys((*certified, *found)):
        yield _number(f"{what} {name}", certified.get(name, 0), found.get(name, 0))


def _amounts(row: Mapping[str, Any]) -> str:
    names: Sequence[str] = [name for name in row if name not in {"currency", "month"}]
    said = ", ".join(f"{name} {money_text(row[name])}" for name in names if row[name] != 0)
    return said or "nothing"


def _number(what: str, certified: int, found: int) -> Line:
    return Line(what, f"{certified:,}", f"{found:,}")
