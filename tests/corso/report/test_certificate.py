"""The certificate: what was found, sealed by its own hash."""

from pathlib import Path

from factories import NOW, summary_of
from report_factories import finding, findings_frame

from corso.report.certificate import Certificate, certify, digest_of


def test_a_certificate_is_the_same_text_and_hash_once_it_was_written(tmp_path: Path) -> None:
    """Reading and writing change nothing, and any change is seen."""
    summary = summary_of(accepted=4)
    findings = findings_frame([finding(1), finding(2, signed_off_by="Ann", signed_off_at=NOW)])
    certificate = certify(
        summary, findings, verdict="v", program="p", versions={}, environment="e", time_zone="UTC", made_at=NOW,
        not_compared=["notes"], inputs=(), outputs=(),
    )  # fmt: skip
    certificate.write(tmp_path / "certificate.json")
    again = Certificate.read(tmp_path / "certificate.json")
    assert again == certificate
    assert digest_of(again.model_dump(mode="json")) == again.sha256
    assert [(each.findings, each.signed_off) for each in again.findings] == [(2, 1)]
    other = again.model_copy(update={"exit_code": 0})
    assert digest_of(other.model_dump(mode="json")) != again.sha256
