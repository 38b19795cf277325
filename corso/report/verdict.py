"""One sentence for a batch, and the promise with the truth of each of its parts."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import polars as pl

from corso.report.bridge import money_bridge, orders_off
from corso.report.summary import Stage, Summary, exit_code_of, fulfillments_apart, identities
from schemas.money import money_text

NOT_COMPARED = "not compared with Corso yet"


@dataclass(frozen=True)
class Part:
    """One part of the promise: whether it is kept, None while nobody can know."""

    sentence: str
    kept: bool | None


@dataclass(frozen=True)
class Verdict:
    """What the report says first."""

    level: Literal["good", "look", "open"]
    """good: nothing to do. look: somebody needs to look. open: not compared yet, nothing wrong so far."""
    sentence: str
    promise: tuple[Part, ...]


def verdict(summary: Summary, findings: pl.DataFrame | None = None, *, stage: Stage = "reconcile") -> str:
    """Return the one sentence that ends the command and heads the report."""
    return judge(summary, findings, stage=stage).sentence


def judge(summary: Summary, findings: pl.DataFrame | None = None, *, stage: Stage = "reconcile") -> Verdict:
    """Judge a batch. With `findings` the money is followed through its causes, without them only its totals."""
    promise = (_named_state(summary, stage), _once(summary, stage), _money(summary, findings, stage))
    source = summary.source.orders
    apart = fulfillments_apart(findings) if findings is not None and stage == "reconcile" else 0
    if broken := identities(summary, stage):
        sentence = f"The counts do not add up: {'; '.join(broken)}."
    elif wrong := _what_is_wrong(summary, stage, apart):
        sentence = f"Needs a look: {wrong}."
    elif exit_code_of(summary, stage, apart):
        sentence = f"Needs a look: {_count(source, 'source order')} in Corso, but {promise[2].sentence}."
    elif stage == "reconcile":
        sentence = (
            f"All good: {_every(source)} in Corso and equal, none twice, and the money ties to the cent."
        )
    elif stage == "upload":
        sentence = f"Uploaded: {_every(source)} accepted by Corso; {NOT_COMPARED}."
    else:
        sentence = f"Planned: {_every(source)} ready to be sent."
    if exit_code_of(summary, stage, apart):
        return Verdict("look", sentence, promise)
    return Verdict("good" if stage == "reconcile" else "open", sentence, promise)


def _named_state(summary: Summary, stage: Stage) -> Part:
    source = summary.source.orders
    if broken := identities(summary, stage):
        return Part(
            f"{_count(source, 'source order')}: not every one ended in exactly one named state ({broken[0]})",
            kept=False,
        )
    return Part(f"{_count(source, 'source order')}: each ended in exactly one named state", kept=True)


def _once(summary: Summary, stage: Stage) -> Part:
    if stage != "reconcile":
        return Part(f"no order is in Corso twice: {NOT_COMPARED}", kept=None)
    twice = summary.reconciliation.duplicated
    if twice:
        return Part(f"{_count(twice, 'order')} in Corso more than once", kept=False)
    return Part("no order is in Corso twice", kept=True)


def _money(summary: Summary, findings: pl.DataFrame | None, stage: Stage) -> Part:
    if stage != "reconcile":
        return Part(f"the money ties to the cent: {NOT_COMPARED}", kept=None)
    if findings is None:
        rows = [(row.currency, row.difference) for row in summary.money]
    else:
        rows = list(money_bridge(summary.money, findings).select("currency", "difference").iter_rows())
    if any(difference for _, difference in rows):
        return Part(f"the money does not tie: it is off by {_amounts(rows)}", kept=False)
    off = None if findings is None else orders_off(findings)
    if off is not None and off.height:
        amounts = _amounts(off.select("currency", "amount").iter_rows())
        by = f": it is off by {amounts} in all" if amounts else ""
        orders = _count(off["source_order_id"].n_unique(), "order")
        return Part(f"the money ties in sum, but not that of {orders}{by}", kept=False)
    explained = any(row.source != row.corso for row in summary.money)
    what = ", once quarantined, rejected, unknown and not sent are taken off" if explained else ""
    return Part(f"the money ties to the cent{what}", kept=True)


def _amounts(differences: Iterable[tuple[str, Decimal]]) -> str:
    """Sum up per currency, without regard to signs: neither months nor orders make up for each other."""
    sums: dict[str, Decimal] = {}
    for currency, difference in differences:
        sums[currency] = sums.get(currency, Decimal(0)) + abs(difference)
    return ", ".join(
        f"{money_text(amount, grouped=True)} {currency}"
        for currency, amount in sorted(sums.items())
        if amount
    )


def _what_is_wrong(summary: Summary, stage: Stage, apart: int) -> str:
    """Name what needs a look, every order once: before comparing by its outcome, then by its class."""
    outcome, found = summary.outcome, summary.reconciliation
    counts = {"quarantined": summary.quarantined.orders}
    if stage == "reconcile":
        counts |= {"missing": found.missing, "different": found.different, "duplicated": found.duplicated}
    else:
        counts |= {"rejected": outcome.rejected, "unknown": outcome.unknown}
        counts |= {"not sent": outcome.not_sent} if stage == "upload" else {}
    end = {"reconcile": "in Corso and equal", "upload": "in Corso", "plan": "ready to be sent"}[stage]
    source, wrong = summary.source.orders, sum(counts.values())
    words = []
    if wrong:
        are = "is" if wrong == 1 else "are"
        named = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
        words.append(f"{wrong:,} of {_count(source, 'source order')} {are} not {end}: {named}")
    if (lines := summary.quarantined.line_items) and not summary.quarantined.orders:
        words.append(f"{_count(lines, 'line item')} quarantined, though no order is")
    if fulfillments := _fulfillments_to_look_at(summary, stage):
        words.append(fulfillments)
    if apart:
        words.append(f"{_count(apart, 'finding')} about fulfillments")
    if stage == "reconcile" and found.unexplained:
        words.append(f"{_count(found.unexplained, 'finding')} unexplained")
    return "; ".join(words)


def _fulfillments_to_look_at(summary: Summary, stage: Stage) -> str:
    ended = summary.fulfillments
    counts = {
        "quarantined": summary.quarantined.fulfillments,
        "rejected": ended.rejected,
        "unknown": ended.unknown,
        "changed but fixed": ended.changed_but_fixed,
        "not sent": ended.not_sent if stage != "plan" else 0,
    }
    return ", ".join(f"{_count(number, 'fulfillment')} {name}" for name, number in counts.items() if number)


def _every(number: int) -> str:
    if number == 1:
        return "the 1 source order is"
    return f"all {number:,} source orders are"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
