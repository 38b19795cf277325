"""When a finding was first seen is looked for in the store's other batches, within bounds."""

import os
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from factories import NOW

from corso.stages import reconciling
from schemas.fields import INSTANT


def test_the_latest_batches_are_looked_through_first_and_what_cannot_be_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Years of nightly batches with many findings each must not fill the memory."""
    for number in range(3):
        path = tmp_path / f"{number}.parquet"
        row = {"source_order_id": ["o-1"], "finding_id": [f"f{number}"], "first_seen": [NOW]}
        pl.DataFrame(row, schema_overrides={"first_seen": INSTANT}).write_parquet(path)
        os.utime(path, (number, number))
    (tmp_path / "half.parquet").write_bytes(b"half of one")
    monkeypatch.setattr(reconciling, "REMEMBERED", 2)
    tables = [(path.stat().st_mtime, partial(Path, path)) for path in tmp_path.glob("*.parquet")]
    seen = pl.concat(reconciling._seen(tables)).collect()
    assert seen["finding_id"].to_list() == ["f2", "f1"]
