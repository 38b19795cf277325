"""The sandbox as a process of its own, for every test that talks to a real socket.

Import it as `from tests.sandbox_process import running_sandbox`.
"""

import contextlib
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 20
_ADDRESSES = re.compile(r"sandbox: listening on (\S+) \(API (\S+), token (\S+)\)")


@dataclass
class RunningSandbox:
    """A sandbox that accepts connections."""

    process: subprocess.Popen[str]
    root_url: str
    base_url: str
    """Of the API, as a configuration file names it: it ends in /v1."""
    token_url: str
    db: Path | None
    """The database file, or None where the state is in memory."""

    def counts(self) -> dict[str, Any]:
        """Ask what the sandbox holds, and what it answered by status since it was started."""
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

    def client(self) -> httpx.Client:
        """Make a client of the API that carries a token; whoever asks for it closes it."""
        headers = {"authorization": f"Bearer {self.token()}"}
        return httpx.Client(base_url=self.base_url, headers=headers, verify=False, timeout=30)

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
            yield RunningSandbox(process, *_read_addresses(process, stderr), db=db)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()


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
