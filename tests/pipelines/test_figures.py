"""What Dagster plots of a reconciliation: numbers under names that are always the same, and nothing personal."""

from pathlib import Path

from comparing import compared
from factories import NOW, line_row, order_row, record_of, summary_of

from assets.figures import figures_of_findings, figures_of_report
from corso.report.certificate import certify
from corso.report.compare import Reconciliation
from corso.stages.reading_back.reading import BY_LISTING
from corso.stages.reconciling import OF_WHOLE_STORE
from schemas.reconciliation import CAUSES, KINDS


def result(name: str) -> Reconciliation:
    """Compare one order with its record, which has a name of its own."""
    order, line = order_row(), line_row()
    found = compared([order], [line], [record_of(order, [line], orderName=name)])
    return Reconciliation(
        found.findings.lazy(), found.healed.lazy(), found.unseen.lazy(), found.money, found.counts
    )


def test_all_figures_of_findings_are_numbers_and_their_names_do_not_depend_on_what_was_found() -> None:
    """A plot needs its zeros."""
    well, badly = figures_of_findings(result("#1001")), figures_of_findings(result("Ann's secret"))
    assert list(well) == list(badly)
    assert all(type(value) in {int, float} for value in badly.values())
    assert {f"findings, {cause}" for cause in CAUSES} < set(badly)
    assert {f"findings, kind {kind}" for kind in KINDS} < set(badly)
    assert (badly["findings"], badly["different"], badly["findings, unexplained"]) == (1, 1, 1)
    assert (badly["USD accepted"], badly["USD in Corso"], badly["USD apart"]) == (27.0, 27.0, 0.0)
    assert (well["findings"], well["matched"]) == (0, 1)


def test_the_report_is_linked_and_the_certificate_named(tmp_path: Path) -> None:
    """The link opens the page; the numbers that it begins with are plotted."""
    summary = summary_of(accepted=4)
    certificate = certify(
        summary,
        result("#1001").findings.collect(),
        verdict="All good.",
        program="corso-loader",
        versions={},
        environment="sandbox",
        time_zone="UTC",
        made_at=NOW,
        not_compared=(),
        inputs=(),
        outputs=(),
    )
    figures = figures_of_report(lambda name: str(tmp_path / name), summary, certificate)
    assert figures["report"].value == (tmp_path / "reconciliation.html").as_uri()
    assert (figures["matched, percent of accepted"], figures["exit code"]) == (100.0, 1)
    assert figures["certificate's SHA-256"] == certificate.sha256


def test_the_note_on_reading_back_says_whether_the_whole_store_was_read() -> None:
    """Foreign findings heal only then."""
    assert BY_LISTING.startswith(OF_WHOLE_STORE)
