"""A real Redis server for tests, on a free port of this machine, in memory; it goes with the block."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.postgres_server import free_port

HOW_TO_INSTALL = "no Redis server is installed: apt-get install redis-server"


def is_installed() -> bool:
    """Say whether there is a server to start."""
    return shutil.which("redis-server") is not None


@contextmanager
def redis_server(folder: Path, address: str = "127.0.0.1") -> Iterator[str]:
    """Run a server; yield its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", address, "--save", "", "--protected-mode", "no"]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with suppress(OSError), socket.create_connection((address, port), 1):
                    break
                time.sleep(0.05)
            yield f"redis://{address}:{port}/0"
        finally:
            process.terminate()
