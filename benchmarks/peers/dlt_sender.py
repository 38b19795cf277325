"""dlt: a custom destination, eight files side by side, its own client with retries, its own state.

dlt has no rate setting. The pacer below sits under its client's retries, so that these wait for their turn, too.
"""

import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LANES = 8


class Pacer:
    """Lets a request go every 1/`per_s` seconds, whichever thread it is on."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1 / per_s
        self._next_at = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for one's turn."""
        with self._lock:
            turn_at = max(time.monotonic(), self._next_at)
            self._next_at = turn_at + self._gap_s
        time.sleep(max(0.0, turn_at - time.monotonic()))


def main(orders: Path, url: str, per_s: float, folder: Path) -> None:
    """Run the pipeline; raises where a job failed."""
    count = sum(1 for _ in orders.open(encoding="utf-8"))
    a_file = str(math.ceil(count / LANES))
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "LOAD__WORKERS": str(LANES),
        "DATA_WRITER__FILE_MAX_ITEMS": a_file,
        "DATA_WRITER__BUFFER_MAX_ITEMS": a_file,
    }
    # Settings are read at import.
    import dlt  # noqa: PLC0415
    from dlt.sources.helpers import requests  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415

    pacer = Pacer(per_s)
    client = requests.Client(request_max_attempts=12, request_backoff_factor=0.5, request_timeout=30)
    headers = {"authorization": f"Bearer {os.environ['CORSO_TOKEN']}", "content-type": "application/json"}

    class PacedAdapter(HTTPAdapter):
        def send(self, *arguments: Any, **named: Any) -> Any:
            pacer.wait()
            return super().send(*arguments, **named)

    adapter = PacedAdapter(pool_maxsize=LANES)

    @dlt.destination(batch_size=1, name="corso", max_parallel_load_jobs=LANES)
    def corso(items: Any, _table: Any) -> None:
        client.session.mount("http://", adapter)
        for item in items:
            client.post(url, data=item["payload"].encode(), headers=headers)

    def rows() -> Iterator[dict[str, str]]:
        with orders.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    pipeline = dlt.pipeline("orders", destination=corso, pipelines_dir=str(folder))
    pipeline.run(rows(), table_name="orders").raise_on_failed_jobs()


if __name__ == "__main__":
    given_orders, given_url, given_rate, given_folder = sys.argv[1:]
    main(Path(given_orders), given_url, float(given_rate), Path(given_folder))
