"""The code location of `tests.nightly_location`, in which errors that nobody expected have a customer and a secret in their text.

A look of the sensor fails once, where a batch's folder has a file `_FAIL_THE_LOOK`; the comparison of the store `crash` fails.
"""

import polars as pl

import assets.reconciling
from corso.extract.drops import Drop
from corso.settings import Settings
from corso.stages.batch import Batch
from pipelines import sensors

_look_at = sensors.look_at


def _fails_once(settings: Settings, batch: str) -> Drop:
    flag = settings.home / batch / "_FAIL_THE_LOOK"
    if flag.exists():
        flag.unlink()
        orders = (settings.home / batch / "orders.csv").read_text(encoding="utf-8")
        message = f"{settings.credentials().client_secret} cannot look at {orders}"
        raise ValueError(message)
    return _look_at(settings, batch)


_reconcile = assets.reconciling.reconcile


def _fails_for_one(batch: Batch, *arguments: object, **options: object) -> object:
    if batch.settings.home.name != "crash":
        return _reconcile(batch, *arguments, **options)  # type: ignore[arg-type]
    customer = pl.read_parquet(batch.table("accepted_orders")).row(0, named=True)
    message = f"{batch.settings.credentials().client_secret} cannot compare {customer}"
    raise ValueError(message)


sensors.look_at = _fails_once
assets.reconciling.reconcile = _fails_for_one  # type: ignore[assignment]

from tests.nightly_location import defs  # noqa: E402  (after what it is to find)

__all__ = ["defs"]
