"""The loader's upload stage: a plan on disk, a ledger of its own, everything that `upload` does.

    python whole_upload.py ADDRESS FOLDER IN_FLIGHT REQUESTS

FOLDER holds a batch's tables, and the plan (`upload_plan.parquet`) of which so many operations are sent. Prints JSON: seconds and processor seconds of the stage, without imports,
and what the ledger says afterwards, by state.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import polars as pl

from corso.delivery.ledger import Ledger
from corso.delivery.ports import unwatched
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.delivering import upload

# No canary: it reads back what was sent, and this server keeps nothing. The rate is what to start from where the API
# tells nothing: more than anything reaches.
_LOADER = """\
store: {{id: 9359, time_zone: America/New_York, fulfillment_locations: {{default: 12}}}}
exports: {{profile: canonical, orders: orders.csv, line_items: line_items.csv, fulfillments: fulfillments.csv}}
corso: {{environment: custom, base_url: "{address}/v1", token_url: "{address}/oauth/token", audience: nowhere}}
limits: {{share: 1.0, requests_per_second: 1000000, max_in_flight: {in_flight}}}
upload: {{canary: 0}}
"""


def main(address: str, folder: Path, in_flight: int, requests: int) -> None:
    """Upload and print what it took."""
    os.environ |= {"CORSO_CLIENT_ID": "nobody", "CORSO_CLIENT_SECRET": "nothing"}
    config = folder / "loader.yaml"
    config.write_text(_LOADER.format(address=address, in_flight=in_flight), encoding="utf-8")
    shutil.rmtree(folder / "work", ignore_errors=True)
    batch = Batch(read_settings(config), "bench")
    shutil.copytree(folder / "tables", batch.tables)
    plan = pl.scan_parquet(folder / "upload_plan.parquet")
    began, cpu_began = time.perf_counter(), time.process_time()
    upload(batch, plan, "order", unwatched, limit=requests)
    took = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}
    with Ledger.read(batch.settings.ledger, batch.settings.loader.store.id) as ledger:
        states = {state.value: count for (_, state), count in ledger.counts().items()}
    print(json.dumps(took | {"states": states}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
