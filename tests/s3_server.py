"""A real S3 server for tests: `rclone serve s3` over a folder, on a free port of this machine.

It answers in milliseconds, checks signatures, and keeps what was put where a test can look at it. It knows no conditional
writes, and none are needed.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import s3fs

KEY, SECRET = "invented-access-key", "invented-secret-key"
BUCKET = "shop"
_PATIENCE_S = 30


@dataclass
class S3Server:
    """A running server."""

    folder: Path
    """Its buckets are the folders in it."""
    port: int
    address: str = "127.0.0.1"

    @property
    def environment(self) -> dict[str, str]:
        """The environment's variables that lead to it."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.address}:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    @property
    def bucket(self) -> Path:
        """The folder of the bucket that there is from the beginning."""
        return self.folder / BUCKET

    def put(self, given: Mapping[str, Path]) -> None:
        """Put files under names, one after the other in the order given."""
        files = s3fs.S3FileSystem(
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            key=KEY,
            secret=SECRET,
            skip_instance_cache=True,
        )
        for name, path in given.items():
            files.put_file(str(path), f"{BUCKET}/{name}")

    def names(self, below: str = "") -> set[str]:
        """Return the names of all objects below a prefix."""
        root = self.bucket / below
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@contextmanager
def s3_server(address: str = "127.0.0.1", *, sees_its_folder: bool = False) -> Iterator[S3Server]:
    """Run a server with an empty bucket, on an address of this machine.

    `sees_its_folder`: what a test changes there is seen at once; then it takes no puts into new folders.
    """
    program = Path(sys.executable).with_name("rclone")
    assert program.exists() or shutil.which("rclone"), (
        "rclone is among the development packages: scripts/setup"
    )
    with tempfile.TemporaryDirectory(prefix="corso-s3-") as folder:
        port = _free_port(address)
        server = S3Server(Path(folder), port, address)
        server.bucket.mkdir()
        command = [str(program) if program.exists() else "rclone", "serve", "s3", folder]
        options = ["--addr", f"{address}:{port}", "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null"]
        # A put is renamed into place, and now and then rclone 1.75 goes on looking for the object under the draft's name, for as
        # long as it remembers the folder: five minutes by default, in which each get ends in the middle.
        options += ["--dir-cache-time", "0s" if sees_its_folder else "2s"]
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(address, port)
            yield server
        finally:
            process.kill()
            process.wait()


def _wait_for(address: str, port: int) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            assert time.monotonic() < give_up_at, "rclone does not answer"
            time.sleep(0.05)
        else:
            return


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
