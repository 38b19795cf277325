"""The corso-loader command as a process of its own, a merchant's folder for it, and what it left behind.

Import it as `from tests.loader_process import Shop`.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.export_factories import csv_text, fulfillment_text, line_text, order_text
from tests.sandbox_process import RunningSandbox, SandboxAddresses

STORE_ID = 9359
BATCH = "2026-11-22"
SECRET = "sandbox"
TIMEOUT_S = 240
REPORTS = {
    "summary.json",
    "reconciliation.html",
    "reconciliation.xlsx",
    "reconciliation.parquet",
    "results.csv",
    "quarantine.csv",
    "certificate.json",
}
COMMAND = ("-m", "pipelines.cli")
_POLL_S = 0.02
_BYTECODE = str(Path(tempfile.gettempdir()) / f"corso-loader-tests-{os.getuid()}")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything that it printed."""
        return self.out + self.err

    @property
    def sentence(self) -> str:
        """The one line of an error; fails the test where it is anything else, such as a traceback."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("corso-loader: ")]
        assert "Traceback" not in self.said, self.said
        return line


def environment(**changes: str | None) -> dict[str, str]:
    """Return the environment of a command: no settings of the machine, and the sandbox's credentials."""
    foreign = ("CORSO_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")
    mine = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    # Most of a short command's time goes into imports: compile them once for all commands.
    mine["PYTHONPYCACHEPREFIX"] = _BYTECODE
    wanted = {"CORSO_CLIENT_ID": SECRET, "CORSO_CLIENT_SECRET": SECRET, **changes}
    return mine | {key: value for key, value in wanted.items() if value is not None}


def start(
    *arguments: str | Path, program: Sequence[str] = COMMAND, **changes: str | None
) -> "subprocess.Popen[str]":
    """Start the command, or what stands in for it."""
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(**changes),
    )


def doomed_at(point: str, number: int = 1) -> tuple[str, ...]:
    """Return the program that is the command until it comes to a point for the `number`th time."""
    return (str(Path(__file__).with_name("doomed_loader.py")), point, str(number))


def ended(process: "subprocess.Popen[str]") -> Ended:
    """Wait for the command's end."""
    with process:
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
        return Ended(process.returncode, out, err)


def loader(*arguments: str | Path, **changes: str | None) -> Ended:
    """Run the command to its end; `changes` are to its environment."""
    return ended(start(*arguments, **changes))


@dataclass
class Shop:
    """A merchant's folder: export files, a loader.yaml, and the workdir below it."""

    folder: Path
    sandbox: SandboxAddresses | None = None
    store_id: int = STORE_ID
    files: Mapping[str, str] = field(
        default_factory=lambda: {
            "orders": "in/orders*.csv*",
            "line_items": "in/line_items*",
            "fulfillments": "in/fulfillments*.csv",
        }
    )

    @property
    def config(self) -> Path:
        """Where its loader.yaml is."""
        return self.folder / "loader.yaml"

    @property
    def exports(self) -> Path:
        """The folder of its export files."""
        return self.folder / "in"

    def configure(
        self, extra: str = "", *, base_url: str = "", token_url: str = "", timeout_s: float = 30.0
    ) -> Path:
        """Write loader.yaml; `extra` are lines of its top level."""
        base_url = base_url or (self.sandbox.base_url if self.sandbox else "http://127.0.0.1:9/v1")
        token_url = token_url or (
            self.sandbox.token_url if self.sandbox else "http://127.0.0.1:9/oauth/token"
        )
        lines = [
            f"store: {{id: {self.store_id}, time_zone: America/New_York, currency: USD}}",
            f"exports: {json.dumps({'profile': 'canonical', **self.files})}",
            f'corso: {{environment: custom, base_url: "{base_url}", token_url: "{token_url}", audience: sandbox, timeout_s: {timeout_s}}}',
            extra,
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text("\n".join(lines), encoding="utf-8")
        return self.config

    def export(
        self,
        orders: Sequence[Mapping[str, str | None]],
        lines: Sequence[Mapping[str, str | None]] | None = None,
        fulfillments: Sequence[Mapping[str, str | None]] = (),
    ) -> None:
        """Write the export; without `lines` each order gets one."""
        if lines is None:
            lines = [
                line_text(source_order_id=each)
                for each in dict.fromkeys(row["source_order_id"] for row in orders)
            ]
        self.exports.mkdir(parents=True, exist_ok=True)
        for name, rows in (("orders", orders), ("line_items", lines), ("fulfillments", fulfillments)):
            text = (
                csv_text(rows or [dict.fromkeys(fulfillment_text())])
                if rows
                else csv_text([fulfillment_text()]).splitlines()[0]
            )
            (self.exports / f"{name}.csv").write_text(text, encoding="utf-8")

    def run(self, verb: str, *arguments: str, batch: str | None = BATCH, **changes: str | None) -> Ended:
        """Run a verb on it."""
        return loader(*self.command(verb, arguments, batch), **changes)

    def start(
        self, verb: str, *arguments: str, batch: str | None = BATCH, **changes: str | None
    ) -> "subprocess.Popen[str]":
        """Start a verb on it."""
        return start(*self.command(verb, arguments, batch), **changes)

    def start_doomed(
        self, point: str, verb: str, *arguments: str, **changes: str | None
    ) -> "subprocess.Popen[str]":
        """Start a verb that kills itself where it comes to a point first: one of tests/doomed_loader.py."""
        return start(*self.command(verb, arguments), program=doomed_at(point), **changes)

    def command(self, verb: str, arguments: Iterable[str] = (), batch: str | None = BATCH) -> list[str]:
        """Return the command's arguments for a verb on it."""
        named = ["--batch", batch] if batch and verb not in {"status", "trace"} else []
        return [*verb.split(), "-c", str(self.config), *named, *arguments]

    def reports(self, batch: str = BATCH) -> Path:
        """Return a batch's folder."""
        return self.folder / "work" / str(self.store_id) / batch

    def summary(self, batch: str = BATCH) -> dict[str, Any]:
        """Read summary.json."""
        content: dict[str, Any] = json.loads(
            (self.reports(batch) / "summary.json").read_text(encoding="utf-8")
        )
        return content

    def table(self, name: str, batch: str = BATCH) -> list[dict[str, str]]:
        """Read results.csv or quarantine.csv."""
        csv.field_size_limit(10_000_000)
        with (self.reports(batch) / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def states(self) -> dict[str, Any]:
        """Ask `status --json`."""
        answer = self.run("status", "--json")
        assert answer.code == 0, answer.said
        content: dict[str, Any] = json.loads(answer.out)
        return content


def good_orders(numbers: Iterable[int]) -> list[dict[str, str | None]]:
    """Return good rows of orders.csv."""
    return [order_text(number) for number in numbers]


def broken_identities(summary: Mapping[str, Any]) -> list[str]:
    """Name what is not as it always is in a batch that was reconciled; read from the file, by nobody's code."""
    accepted, found = summary["accepted"], summary["reconciliation"]
    broken = [
        f"source {table}"
        for table in ("orders", "line_items", "fulfillments")
        if summary["source"][table] != accepted[table] + summary["quarantined"][table]
    ]
    if accepted["orders"] != sum(summary["outcome"].values()):
        broken.append("outcome")
    if accepted["orders"] != sum(summary["plan"].values()):
        broken.append("plan")
    if accepted["fulfillments"] != sum(summary["fulfillments"].values()):
        broken.append("fulfillments")
    if accepted["orders"] != sum(found[name] for name in ("matched", "missing", "different", "duplicated")):
        broken.append("reconciliation")
    return broken


def wait_until(sandbox: RunningSandbox, orders: int, process: "subprocess.Popen[str]") -> None:
    """Wait until the sandbox holds so many orders; fail where the command ends before that."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if sandbox.counts()["orders"] >= orders:
            return
        if process.poll() is not None:
            pytest.fail(f"the command ended before {orders} orders were there: {process.communicate()}")
        time.sleep(_POLL_S)
    pytest.fail(f"{orders} orders did not arrive in {TIMEOUT_S} s")


def kill(process: "subprocess.Popen[str]") -> None:
    """End the command without asking: SIGKILL."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
