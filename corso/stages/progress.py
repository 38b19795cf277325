"""When a batch moved last: it tells a load that takes days from one that hangs."""

from datetime import UTC, datetime

from corso.delivery.ledger import Ledger
from corso.stages.batch import Batch


def moved_at(batch: Batch) -> datetime | None:
    """Return when anything of it was written last, in its folder or, of any batch of its store, in the ledger; None: never.

    Of a batch that is kept in a bucket it is the ledger alone that tells: the folder is its worker's. Raises LedgerError.
    """
    signs: list[datetime] = []
    if batch.settings.kept_in is None:
        files = [batch.folder, *batch.folder.rglob("*")]
        times = [each.lstat().st_mtime for each in files if each.exists()]
        signs += [datetime.fromtimestamp(at, UTC) for at in times]
    with Ledger.read(batch.settings.ledger, batch.settings.loader.store.id) as ledger:
        moved = ledger.moved_at()
    return max([*signs, *([moved] if moved else [])], default=None)
