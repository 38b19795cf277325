"""The certificate of a batch: which files it speaks of, and what is in them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from corso.report.certificate import Certificate, HashedFile, certify, hashed
from corso.report.facts import ReportFacts
from corso.settings import Loader
from corso.stages.batch import Batch, Facts

CERTIFICATE = "certificate.json"
SUMMARY = "summary.json"
REPORTS = ("reconciliation.parquet", "results.csv", "quarantine.csv")
"""The files of the batch's folder that are certified, beside SUMMARY."""
TABLES = (
    "accepted_orders",
    "accepted_line_items",
    "accepted_fulfillments",
    "quarantined_orders",
    "upload_plan",
    "fulfillment_outcomes",
    "corso_orders",
    "corso_fulfillments",
    "fulfillments_read",
)
"""The tables from which a second person counts again."""


def certify_batch(batch: Batch, report: ReportFacts) -> Certificate:
    """Write certificate.json and return it; the files of REPORTS must have been written."""
    facts = batch.read_facts()
    certificate = certify(
        report.summary,
        report.findings,
        verdict=report.verdict.sentence,
        program=said_program(report.version),
        versions=dict(report.versions),
        environment=report.environment,
        time_zone=report.time_zone,
        made_at=report.generated_at,
        not_compared=report.ignored,
        inputs=inputs_of(facts),
        outputs=_outputs(batch, report),
    )
    certificate.write(batch.folder / CERTIFICATE)
    return certificate


def said_program(version: str) -> str:
    """Name this program."""
    return f"corso-loader {version}"


def said_environment(loader: Loader) -> str:
    """Name the API's environment and its host, e.g. `staging, api.stg.corso.com`."""
    return f"{loader.corso.environment}, {urlsplit(loader.corso.base_url).hostname}"


def inputs_of(facts: Facts) -> list[HashedFile]:
    """Return the export files and the corrections, as they were read."""
    inputs = [HashedFile(name=name, sha256=digest) for name, digest, _ in facts.files]
    return inputs + [HashedFile(name=file.name, sha256=file.sha256) for file in facts.corrections.files]


def certified_tables(batch: Batch) -> Iterator[tuple[str, Path]]:
    """Yield name and place of every file of the tables that the batch's certificate has to name."""
    for name in TABLES:
        table = batch.table(name)
        whole = f"tables/{table.name}"
        # A large table is a folder of parts.
        if table.is_dir():
            for path in sorted(table.glob("**/*.parquet")):
                yield f"{whole}/{path.relative_to(table).as_posix()}", path
        elif table.exists():
            yield whole, table


def _outputs(batch: Batch, report: ReportFacts) -> Iterator[HashedFile]:
    # It is written last, after everything that speaks of it.
    text = report.summary.as_text().encode()
    yield HashedFile(name=SUMMARY, sha256=hashlib.sha256(text).hexdigest())
    for name in REPORTS:
        yield hashed(batch.folder / name, name)
    for name, path in certified_tables(batch):
        yield hashed(path, name)
