"""facts.json: what a batch's stages found out is there again for the next stage, also in files of older versions."""

import json
from pathlib import Path

from export_factories import loader_settings

from corso.stages.batch import Batch, Facts
from schemas.filled_values import FallbackUse, RuleUse


def test_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    """The uses of fallbacks, rule by rule."""
    batch = Batch(loader_settings(tmp_path, "orders: o.csv"), "b")
    uses = (FallbackUse("orders.notes", 3, (RuleUse("{channel}", 2, 4), RuleUse("x", 1, 1))),)
    facts = Facts(profile="canonical", fallbacks_used=uses, times_settled={"ambiguous": 1})
    batch.write_facts(facts)
    assert batch.read_facts() == facts


def test_what_an_older_version_counted_is_left_out(tmp_path: Path) -> None:
    """It counted all rows; a batch that it planned can still be reconciled."""
    batch = Batch(loader_settings(tmp_path, "orders: o.csv"), "b")
    batch.tables.mkdir(parents=True)
    (batch.tables / "facts.json").write_text(
        json.dumps({"profile": "canonical", "fallbacks_used": {"orders.notes": 3}})
    )
    assert batch.read_facts() == Facts(profile="canonical")
