"""A real Dagster daemon in a process of its own, with the code location of `tests.nightly_location`.

Import it as `from tests.daemon_process import Daemon, running_daemon`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from assets.run_tags import PARTITION_TAG
from pipelines.instance import FILES_KEPT_OPEN, RUN_SETTINGS
from tests.loader_process import environment

_POLL_S = 0.25
_ROOT = Path(__file__).resolve().parents[1]
_SOON = "run_queue: {dequeue_interval_seconds: 1}\n"


@dataclass
class Daemon:
    """The daemon's process and its instance."""

    process: "subprocess.Popen[bytes]"
    instance: dg.DagsterInstance
    log: Path
    patience_s: float
    environment: Mapping[str, str]

    @property
    def said(self) -> str:
        """Everything that it and its code server wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def runs(self, key: str) -> list[dg.DagsterRun]:
        """Return a partition's loads, oldest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name="load_batch", tags={PARTITION_TAG: key})))[
            ::-1
        ]

    def backfill(self, *keys: str) -> None:
        """Launch a backfill of load_batch over these partitions, as the web UI does."""
        command = ["-m", "dagster", "job", "backfill", "-m", "tests.nightly_location", "-j", "load_batch"]
        subprocess.run(
            [sys.executable, "-W", "ignore", *command, "--partitions", ",".join(keys), "--noprompt"],
            cwd=_ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
        )

    def wait_for(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait until something has happened; fail the test where it does not."""
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            if happened():
                return
            if self.process.poll() is not None:
                pytest.fail(f"the daemon ended: {self.said[-3000:]}")
            time.sleep(_POLL_S)
        pytest.fail(f"{what}: not in {self.patience_s} s; the daemon said {self.said[-3000:]}")

    def wait_for_run(self, key: str, number: int) -> dg.DagsterRun:
        """Wait until the partition's load of this number (from 1) has ended, and return it."""
        self.wait_for(
            f"load {number} of {key}",
            lambda: len(self.runs(key)) >= number and self.runs(key)[number - 1].is_finished,
        )
        return self.runs(key)[number - 1]


@contextlib.contextmanager
def running_daemon(
    home: Path,
    config: Path,
    *,
    location: str = "tests.nightly_location",
    patience_s: float = 90,
    **changes: str | None,
) -> Iterator[Daemon]:
    """Start a daemon on an instance of its own that serves the stores at `config`; end it with the block."""
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\n{RUN_SETTINGS}{_SOON}"
        + FILES_KEPT_OPEN.replace("{env: DAGSTER_HOME}", str(home)),
        encoding="utf-8",
    )
    log = home / "daemon.log"
    command = [sys.executable, "-W", "ignore", "-m", "dagster._daemon", "run", "-m", location]
    told = environment(
        DAGSTER_HOME=str(home),
        CORSO_LOADER_CONFIG=str(config),
        PYTHONPATH=os.pathsep.join([str(_ROOT)]),
        **changes,
    )
    # First, and alone: two processes that make the same SQLite files at once leave them with two versions.
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=_ROOT, stdout=output, stderr=output, env=told, start_new_session=True
        ) as process,
    ):
        try:
            yield Daemon(process, instance, log, patience_s, told)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            # Its code server and the runs of it are of the same session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
