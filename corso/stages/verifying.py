"""A certificate checked again, as a second person would: by the files themselves, not by what the report says of them.

Hashes are taken anew; rows are counted in the tables, in results.csv and in reconciliation.parquet; the batch's orders are
compared with the listing once more; and what follows from all that, the verdict and the exit code, is concluded anew
(`recounting`). Nothing is read from summary.json or from the ledger, which has moved on since. A file that cannot be read
is a statement that does not hold, and the others are still checked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from corso.errors import UsageError
from corso.extract.files import ExportFile, bring
from corso.report.amendments import AMENDMENTS, Amendment, chain_of, read_amendments, said_of
from corso.report.bridge import money_bridge
from corso.report.certificate import FORMAT, Certificate, HashedFile, digest_of, hashed
from corso.report.compare import CLASSES
from corso.report.summary import TableCounts, exit_code_of, fulfillments_apart
from corso.report.verdict import verdict
from corso.settings import Settings
from corso.stages.batch import Batch
from corso.stages.certifying import (
    REPORTS,
    SUMMARY,
    certified_tables,
    inputs_of,
    said_environment,
    said_program,
)
from corso.stages.recounting import UNREADABLE, Recount
from schemas.money import money_text

VERDICT = "verdict"
"""The statement that the others lead to."""
_NOWHERE = "nothing else in the batch says it"


@dataclass(frozen=True)
class Line:
    """One statement of the certificate, and what was found."""

    what: str
    certified: str
    found: str
    gone: str = ""
    """Why it cannot be checked any more; empty where it can."""
    stated: str = ""
    """Why it is stated and cannot be checked; empty where it can."""

    @property
    def is_checked(self) -> bool:
        """Whether it can be checked at all."""
        return not (self.gone or self.stated)

    @property
    def is_right(self) -> bool:
        """Whether it still holds, as far as it can be checked."""
        return not self.is_checked or self.certified == self.found


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
    recount = Recount(batch, certificate.not_compared)
    yield Line(
        "the certificate's own SHA-256", certificate.sha256, digest_of(certificate.model_dump(mode="json"))
    )
    yield from _sums(certificate)
    yield from _stated(certificate, settings)
    parts = {
        "tables/facts.json": _inputs(certificate, batch),
        AMENDMENTS: _outputs(certificate, batch),
        **{
            f"the table accepted_{name}": _accepted(certificate, recount, name)
            for name in TableCounts.model_fields
        },
        "the table quarantined_orders": _quarantined(certificate, recount),
        "the table upload_plan": _planned(certificate, recount),
        "results.csv": _ended(certificate, recount),
        "the table fulfillment_outcomes": _fulfillments(certificate, recount),
        "reconciliation.parquet": _findings(certificate, recount),
        "the tables, to compare again": _compared_again(certificate, recount),
        "all of these, to conclude from": _concluded(certificate, recount),
    }
    for read, lines in parts.items():
        yield from _as_far_as_readable(read, lines)


def _as_far_as_readable(read: str, lines: Iterator[Line]) -> Iterator[Line]:
    """Yield lines; where what they are read from is damaged, say so in place of the rest of them."""
    try:
        yield from lines
    except UNREADABLE as error:
        yield Line(read, "readable", _why(error))


def _why(error: BaseException) -> str:
    """Say why a file cannot be read; what a library says of it may quote the file."""
    return str(getattr(error, "strerror", None) or f"not readable ({type(error).__name__})")


def _stated(certificate: Certificate, settings: Settings) -> Iterator[Line]:
    """What no table of the batch can confirm; loader.yaml may, where it was not changed since."""
    loader = settings.loader
    made_at = f"{certificate.made_at:%Y-%m-%d %H:%M:%S} UTC"
    made_by = [certificate.program, *(f"{name} {version}" for name, version in certificate.versions.items())]
    ignored = [", ".join(names) or "nothing" for names in (certificate.not_compared, loader.reconcile.ignore)]
    yield Line("made", made_at, "", stated=_NOWHERE)
    yield Line("made by", ", ".join(made_by), "", stated=_NOWHERE)
    yield _as_configured("environment", certificate.environment, said_environment(loader))
    yield _as_configured("not compared", *ignored)
    yield Line("the store's time zone", certificate.time_zone, loader.store.time_zone)


def _as_configured(what: str, certified: str, now: str) -> Line:
    """State what a batch does not tell, and loader.yaml may say otherwise of by now."""
    return Line(what, certified, now, stated="" if certified == now else f"loader.yaml now says {now}")


def _inputs(certificate: Certificate, batch: Batch) -> Iterator[Line]:
    inputs = {file: ExportFile(batch.settings.home / file.name, file.name) for file in certificate.inputs}
    bring(given for given in inputs.values() if given.path.exists())
    for file, given in inputs.items():
        yield _file("input", file, given.path)
    read = {file.name: file.sha256 for file in inputs_of(batch.read_facts())}
    certified = {file.name: file.sha256 for file in certificate.inputs}
    yield _complete("inputs", read, certified, certified.keys() - read.keys())


def _outputs(certificate: Certificate, batch: Batch) -> Iterator[Line]:
    there = (SUMMARY, *REPORTS, *(name for name, _ in certified_tables(batch)))
    certified = dict.fromkeys((file.name for file in certificate.outputs), "")
    yield _complete("outputs", dict.fromkeys(there, ""), certified)
    amendments = read_amendments(batch.file(AMENDMENTS).parent)
    for file in certificate.outputs:
        yield _output(file, batch, amendments)


def _complete(
    what: str, there: Mapping[str, str], certified: Mapping[str, str], more: Iterable[str] = ()
) -> Line:
    """Hold a list of the certificate (name -> hash, or nothing) against what has to be in it; `more` must not be."""
    parts = {
        "without": sorted(name for name, sha256 in there.items() if certified.get(name) != sha256),
        "with": sorted(more),
    }
    said = "; ".join(f"{word} {', '.join(names)}" for word, names in parts.items() if names)
    return Line(f"list of {what}", "complete", said or "complete")


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


def _accepted(certificate: Certificate, recount: Recount, name: str) -> Iterator[Line]:
    yield _number(f"accepted {name}", getattr(certificate.accepted, name), recount.accepted(name))


def _quarantined(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    for name in TableCounts.model_fields:
        certified, found = (
            getattr(counts, name) for counts in (certificate.quarantined, recount.quarantined)
        )
        yield _number(f"quarantined {name}", certified, found)


def _planned(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    yield from _each("plan", dict(certificate.plan), recount.plan)
    yield _number(
        "planned fulfillments = the sum of fulfillments",
        certificate.fulfillments.total,
        recount.planned_fulfillments,
    )


def _ended(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    yield from _each("outcome", dict(certificate.outcome), recount.outcome)
    yield _number(
        "quarantined orders in results.csv", certificate.quarantined.orders, recount.quarantined_results
    )


def _fulfillments(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    if recount.fulfillments is not None:
        yield from _each("fulfillments", dict(certificate.fulfillments), recount.fulfillments)
        return
    said = ", ".join(f"{count:,} {name}" for name, count in certificate.fulfillments if count)
    yield Line("fulfillments", said or "none", "", stated="the batch has no table fulfillment_outcomes")


def _findings(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    counted = recount.findings.group_by("kind", "cause").agg(
        findings=pl.len(), signed_off=pl.col("signed_off_at").is_not_null().sum()
    )
    found = {(kind, cause): (count, signed) for kind, cause, count, signed in counted.iter_rows()}
    certified = {(each.kind, each.cause): (each.findings, each.signed_off) for each in certificate.findings}
    for key in sorted(certified | found):
        words = ["{:,}, {:,} signed off".format(*counts.get(key, (0, 0))) for counts in (certified, found)]
        yield Line(f"findings {key[0]}, {key[1]}", *words)
    yield _number("unexplained findings", certificate.reconciliation.unexplained, recount.unexplained)
    yield _number("foreign records", certificate.reconciliation.foreign, recount.foreign)


def _compared_again(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    counts, money = recount.compared
    for name in CLASSES:
        yield _number(
            f"orders {name}, compared again", getattr(certificate.reconciliation, name), counts[name]
        )
    certified = {(row.currency, row.month): dict(row) for row in certificate.money}
    bridge = money_bridge(money, recount.findings).iter_rows(named=True)
    again = {(row["currency"], row["month"]): row for row in bridge}
    for key in sorted(certified | again):
        amounts = [_amounts(rows.get(key, {})) for rows in (certified, again)]
        yield Line(f"money {key[0]} {key[1]}", *amounts)


def _concluded(certificate: Certificate, recount: Recount) -> Iterator[Line]:
    """The exit code and the verdict, as they follow from what was counted; each version has its own words."""
    summary, findings = recount.summary(certificate.fulfillments), recount.findings
    exit_code = exit_code_of(summary, fulfillments=fulfillments_apart(findings))
    yield _number("exit code", certificate.exit_code, exit_code)
    sentence = verdict(summary, findings)
    other = (
        ""
        if certificate.program == said_program(metadata.version("corso-loader"))
        else f"in the words of {certificate.program}; now: {sentence}"
    )
    yield Line(VERDICT, certificate.verdict, sentence, stated=other)


def _each(what: str, certified: Mapping[str, int], found: Mapping[str, int]) -> Iterator[Line]:
    for name in dict.fromkeys((*certified, *found)):
        yield _number(f"{what} {name}", certified.get(name, 0), found.get(name, 0))


def _amounts(row: Mapping[str, Any]) -> str:
    names: Sequence[str] = [name for name in row if name not in {"currency", "month"}]
    said = ", ".join(f"{name} {money_text(row[name])}" for name in names if row[name] != 0)
    return said or "nothing"


def _number(what: str, certified: int, found: int) -> Line:
    return Line(what, f"{certified:,}", f"{found:,}")
