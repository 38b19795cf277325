"""The sandbox over a real socket: as a process of its own, or on a thread of the test's own process.

Import it as `from tests.sandbox_process import running_sandbox`. A thread starts faster, and is the only way to
step in at the points of a request's life (`sandbox.points`); only a process can be killed.
"""

import contextlib
import re
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import uvicorn

from sandbox import server
from sandbox.app import build_app
from sandbox.options import SandboxOptions
from sandbox.points import AtPoint
from sandbox.store import IN_MEMORY, Store

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 20
_ADDRESSES = re.compile(r"sandbox: listening on (\S+) \(API (\S+), token (\S+)\)")


@dataclass
class SandboxAddresses:
    """Where a sandbox accepts connections, and what every test asks of it."""

    root_url: str
    base_url: str
    """Of the API, as a configuration file names it: it ends in /v1."""
    token_url: str

    def counts(self) -> dict[str, Any]:
        """Ask what the sandbox holds, and its answers by status and faults by kind since it was started."""
        answer = httpx.get(f"{self.root_url}/_sandbox/counts", verify=False)
        counts: dict[str, Any] = answer.raise_for_status().json()
        return counts

    def token(self, client_id: str = "sandbox", client_secret: str = "sandbox") -> str:
        """Ask for an access token."""
        body = {
            "client_id": client_id,
            "client_secret": client_secret,
            "audience": "sandbox",
            "grant_type": "client_credentials",
        }
        answer = httpx.post(self.token_url, json=body, verify=False)
        return str(answer.raise_for_status().json()["access_token"])

    def client(self, timeout_s: float = 30) -> httpx.Client:
        """Make a client of the API that carries a token; whoever asks for it closes it."""
        headers = {"authorization": f"Bearer {self.token()}"}
        return httpx.Client(base_url=self.base_url, headers=headers, verify=False, timeout=timeout_s)


@dataclass
class RunningSandbox(SandboxAddresses):
    """A sandbox in a process of its own."""

    process: subprocess.Popen[str]
    db: Path | None
    """The database file, or None where the state is in memory."""
    stderr: IO[str]

    def errors(self) -> str:
        """Return what the sandbox has said on stderr so far: nothing, if all is well."""
        self.stderr.seek(0)
        return self.stderr.read()

    def stop(self) -> int:
        """Ask the sandbox to stop (SIGTERM) and return its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End the sandbox without asking (SIGKILL)."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)


@contextlib.contextmanager
def running_sandbox(*options: str, db: Path | None = None) -> Iterator[RunningSandbox]:
    """Start a sandbox on a free port with these options of its command; end it when the block ends."""
    command = [sys.executable, "-m", "sandbox", "--port", "0", *options]
    if db is not None:
        command += ["--db", str(db)]
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            yield RunningSandbox(*_read_addresses(process, stderr), process, db, stderr)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()


@contextlib.contextmanager
def sandbox_on_a_thread(
    options: SandboxOptions | None = None, *, db: Path | None = None, at_point: AtPoint | None = None
) -> Iterator[SandboxAddresses]:
    """Run a sandbox on a thread of this process, without a rate limit unless the options set one.

    `at_point` is called on that thread, which does nothing else meanwhile: whoever asks the sandbox for something
    in it waits for ever.
    """
    options = options or SandboxOptions(limit=0)
    listener = server.bind("127.0.0.1", 0)
    root_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    started = threading.Event()
    running: list[uvicorn.Server] = []

    def serve() -> None:
        # SQLite wants its connection on one thread: opened, served and closed on this one.
        with contextlib.closing(Store.open(str(db or IN_MEMORY))) as store:
            running.append(server.make_server(build_app(options, store, at_point=at_point), started.set))
            running[0].run(sockets=[listener])

    with listener, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        try:
            while not started.wait(0.01):
                if serving.done():
                    serving.result()
            yield SandboxAddresses(root_url, f"{root_url}/v1", f"{root_url}/oauth/token")
        finally:
            for one in running:
                one.should_exit = True
        serving.result(STOP_TIMEOUT_S)


def _read_addresses(process: subprocess.Popen[str], stderr: IO[str]) -> tuple[str, str, str]:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    line = process.stdout.readline() if ready else ""
    found = _ADDRESSES.fullmatch(line.strip())
    if found is None:
        process.kill()
        stderr.seek(0)
        message = f"the sandbox did not start within {START_TIMEOUT_S} s: {line!r} {stderr.read()}"
        raise RuntimeError(message)
    root_url, base_url, token_url = found.groups()
    return root_url, base_url, token_url
