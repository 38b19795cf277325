"""The demo: own samples, a sandbox of its own, and the whole road, in one command without configuration."""

import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corso.errors import CorsoError, Stopped, UsageError
from pipelines.output import command_line, program, say, say_next

_MARK = ".corso-loader-demo"
_QUOTA = ("--limit", "2500", "--window", "5")
_START_S = 20.0

_LOADER = """\
# Written by `corso-loader demo`.
store: {{id: 9359, time_zone: America/New_York, currency: USD, fulfillment_locations: {{default: 12}}}}
exports:
  profile: canonical
  orders: "export/orders*.csv*"
  line_items: "export/line_items*.parquet"
  fulfillments: "export/fulfillments*.csv"
corso: {{environment: custom, base_url: "{base_url}", token_url: "{token_url}", audience: sandbox}}
workdir: work
"""


def demo(orders: int, out: Path, *, as_json: bool) -> int:
    """Make samples below `out`, start a sandbox, load them, reconcile.

    An earlier demo's folder is replaced; any other folder that is not empty is refused.
    """
    if not as_json:
        say(f"Loading {orders:,} sample orders, some bad on purpose, into a sandbox on this machine.")
    _clear(out)
    from pipelines.samples import write_samples  # noqa: PLC0415  (the line above comes before the slow imports)

    write_samples(out / "export", orders)
    with _sandbox(out / "sandbox.sqlite") as (base_url, token_url):
        config = out / "loader.yaml"
        config.write_text(_LOADER.format(base_url=base_url, token_url=token_url), encoding="utf-8")
        os.environ |= {"CORSO_CLIENT_ID": "sandbox", "CORSO_CLIENT_SECRET": "sandbox"}
        from pipelines.verbs import run  # noqa: PLC0415

        code = run(config, None, yes=False, as_json=as_json, says_next=False)
    say()
    say("Those in quarantine are bad on purpose. The sandbox has ended; what it held is in the report.")
    say_next(
        f"{command_line('ui', config)}   (the same run in Dagster's web UI)",
        f"{program()} inspect YOUR_EXPORT --write loader.yaml   (docs/first_migration.md goes on from there)",
    )
    return code


def _clear(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
        message = f"{out} is not empty and no demo made it; name another folder with --out"
        raise UsageError(message)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / _MARK).touch()


@contextmanager
def _sandbox(db: Path) -> Iterator[tuple[str, str]]:
    """Run a sandbox on a free port; give its base URL and token URL."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--db", str(db), *_QUOTA]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  (our own module)
    try:
        yield addresses_of(process)
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def addresses_of(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return base URL and token URL of a sandbox that was just started; raises Stopped and CorsoError."""
    if process.stdout is None or not select.select([process.stdout], [], [], _START_S)[0]:
        message = "the sandbox did not start in time"
        raise Stopped(message)
    line = process.stdout.readline()
    found = re.search(r"API (\S+), token (\S+)\)", line)
    if found is None:
        message = f"the sandbox did not start: {line.strip() or 'see above'}"
        raise CorsoError(message)
    return found[1], found[2]
