"""drt: eight syncs side by side out of SQLite, which share its rate limiter; its own retries.

Its ledger needs PostgreSQL and is written after a batch, so that it tells nothing of a lost answer: it is off. Its
OAuth client cannot ask for an audience, so it gets a token. No burst: one of 5 brought it 4 % of 429s in a steady
window, and no more orders through.
"""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

LANES = 8

_PROJECT = """\
name: orders
version: "0.1"
profile: local
"""
_PROFILES = """\
local:
  type: sqlite
  database: {database}
"""
_SYNC = """\
name: orders_{lane}
model: SELECT payload FROM orders WHERE number % {lanes} = {lane}
destination:
  type: rest_api
  url: "{url}"
  method: POST
  headers: {{Content-Type: application/json}}
  body_template: "{{{{ row.payload }}}}"
  auth: {{type: bearer, token_env: CORSO_TOKEN}}
sync:
  mode: full
  batch_size: 100
  rate_limit: {{requests_per_second: {per_s}}}
  retry: {{max_attempts: 12, initial_backoff: 0.5, max_backoff: 60}}
  on_error: skip
"""


def main(orders: Path, url: str, per_s: float, folder: Path) -> int:
    """Write the project and run it."""
    database = folder / "orders.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (number INTEGER, payload TEXT)")
        rows = (json.loads(line)["payload"] for line in orders.open(encoding="utf-8"))
        connection.executemany("INSERT INTO orders VALUES (?, ?)", enumerate(rows))
    (folder / "drt_project.yml").write_text(_PROJECT, encoding="utf-8")
    (folder / ".drt").mkdir()
    (folder / ".drt" / "profiles.yml").write_text(_PROFILES.format(database=database), encoding="utf-8")
    (folder / "syncs").mkdir()
    for lane in range(LANES):
        text = _SYNC.format(lane=lane, lanes=LANES, url=url, per_s=per_s)
        (folder / "syncs" / f"orders_{lane}.yml").write_text(text, encoding="utf-8")
    command = [Path(sys.executable).parent / "drt", "run", "--threads", str(LANES)]
    environment = os.environ | {"HOME": str(folder), "DO_NOT_TRACK": "1"}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    given_orders, given_url, given_rate, given_folder = sys.argv[1:]
    sys.exit(main(Path(given_orders), given_url, float(given_rate), Path(given_folder)))
