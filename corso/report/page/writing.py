"""The report laid out as one page; everything that it needs is in it, and nothing else may run.

Everything is escaped by the template engine. The style sheet and the script are the files beside the template, allowed
by their hashes; the script makes no markup out of text (the page demands trusted types and allows none).
"""

import base64
import hashlib
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from corso.report.atomic import replacing
from corso.report.bridge import as_effects, money_bridge
from corso.report.corrected import said_corrections
from corso.report.facts import ReportFacts
from corso.report.masking import masked_text, shown, visible
from corso.report.page.bars import CAUSE_TONES, TONES, stage_bars
from corso.report.page.embedded import (
    FINDINGS_ON_PAGE,
    MONEY_STEPS,
    as_json,
    embedded_findings,
    embedded_orders,
)
from corso.report.page.months import month_pictures
from corso.report.page.waterfall import money_rows, shown_amounts, waterfalls
from corso.report.tables import CAUSE_WORDS, by_cause, by_field, by_owner, healed_rows
from corso.report.tolerances import TOLERANCES
from schemas.money import money_text

PROBLEMS_ON_PAGE = 200
HEALED_ON_PAGE = 200

_TEMPLATES = "corso.report.page"


def render_html(report: ReportFacts, path: Path) -> None:
    """Write the page; a reader sees the old one or the new one."""
    text = page(report)
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", errors="replace")


def compile_templates() -> None:
    """Compile the page's templates now, so that the first page does not have to."""
    environment = _template().environment
    for name in environment.list_templates():
        environment.get_template(name)


def page(report: ReportFacts) -> str:
    """Return the page as text."""
    style, script = _part("page.css"), _part("page.js")
    bridge = money_bridge(report.summary.money, report.findings)
    money = list(money_rows(as_effects(bridge)))
    causes = by_cause(report.findings).to_dicts()
    return _template().render(
        report=report,
        summary=report.summary,
        verdict=report.verdict,
        bars=stage_bars(report),
        months=month_pictures(report.orders_by_month),
        waterfalls=waterfalls(bridge, is_compared=report.stage == "reconcile"),
        amounts=shown_amounts(money, is_compared=report.stage == "reconcile"),
        money=money,
        money_steps=MONEY_STEPS,
        causes=causes,
        most_orders=max((row["orders"] for row in causes), default=0),
        tones=TONES | CAUSE_TONES,
        cause_words=CAUSE_WORDS,
        fields=by_field(report.findings).to_dicts(),
        owners=by_owner(report.findings).to_dicts(),
        signed_off=report.findings["signed_off_by"].count(),
        unowned=report.findings["owner"].null_count(),
        embedded=min(report.findings.height, FINDINGS_ON_PAGE),
        findings_data=Markup(embedded_findings(report.findings, personal=report.personal)),  # noqa: S704 - as_json leaves no markup in it
        orders_data=Markup(embedded_orders(report.opened)),  # noqa: S704 - the same
        words_data=Markup(as_json(CAUSE_WORDS)),  # noqa: S704 - the same
        healed=healed_rows(report.healed.head(HEALED_ON_PAGE), personal=report.personal),
        problems=report.problems.head(PROBLEMS_ON_PAGE).to_dicts(),
        # A plan has sent nothing, and of every order that is its reason.
        reasons=[] if report.stage == "plan" else report.reasons.head(PROBLEMS_ON_PAGE).to_dicts(),
        corrections=list(said_corrections(report.corrections)),
        tolerances=TOLERANCES,
        style=Markup(style),  # noqa: S704 - our own file, allowed by its hash
        style_hash=_hash(style),
        script=Markup(script),  # noqa: S704 - our own file, allowed by its hash
        script_hash=_hash(script),
    )


def _part(name: str) -> str:
    return resources.files(_TEMPLATES).joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "counted": _counted,
        "money": _grouped,
        "signed": _signed,
        "words": lambda name: name.replace("_", " ").replace("corso", "Corso"),
        "masked_text": masked_text,
        "shown": shown,
        "visible": visible,
        "duration": _duration,
    }
    return environment.get_template("reconciliation.html.j2")


def _counted(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _grouped(amount: Decimal) -> str:
    return money_text(amount, grouped=True).replace("-", "\u2212")


def _signed(amount: Decimal) -> str:
    return f"+{_grouped(amount)}" if amount > 0 else _grouped(amount)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
