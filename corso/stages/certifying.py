"""The certificate of a batch: which files it speaks of, and what is in them."""

import hashlib
from collections.abc import Iterator

from corso.report.certificate import Certificate, HashedFile, certify, hashed
from corso.report.facts import ReportFacts
from corso.stages.batch import Batch

CERTIFICATE = "certificate.json"
REPORTS = ("reconciliation.parquet", "results.csv", "quarantine.csv")
"""The files of the batch's folder that are certified, beside summary.json."""
TABLES = (
    "accepted_orders",
    "accepted_line_items",
    "accepted_fulfillments",
    "quarantined_orders",
    "upload_plan",
    "corso_orders",
    "corso_fulfillments",
    "fulfillments_read",
)
"""The tables from which a second person counts again."""


def certify_batch(batch: Batch, report: ReportFacts) -> Certificate:
    """Write certificate.json and return it; the files of REPORTS must have been written."""
    facts = batch.read_facts()
    inputs = [HashedFile(name=name, sha256=digest) for name, digest, _ in facts.files]
    inputs += [HashedFile(name=file.name, sha256=file.sha256) for file in facts.corrections.files]
    certificate = certify(
        report.summary,
        report.findings,
        verdict=report.verdict.sentence,
        program=f"corso-loader {report.version}",
        versions=dict(report.versions),
        environment=report.environment,
        time_zone=report.time_zone,
        made_at=report.generated_at,
        not_compared=report.ignored,
        inputs=inputs,
        outputs=_outputs(batch, report),
    )
    certificate.write(batch.folder / CERTIFICATE)
    return certificate


def _outputs(batch: Batch, report: ReportFacts) -> Iterator[HashedFile]:
    # It is written last, after everything that speaks of it.
    text = report.summary.as_text().encode()
    yield HashedFile(name="summary.json", sha256=hashlib.sha256(text).hexdigest())
    for name in REPORTS:
        yield hashed(batch.folder / name, name)
    for name in TABLES:
        table = batch.table(name)
        # A large table is a folder of parts.
        for path in sorted(table.glob("**/*.parquet")) if table.is_dir() else [table]:
            if path.exists():
                yield hashed(path, path.relative_to(batch.folder).as_posix())
