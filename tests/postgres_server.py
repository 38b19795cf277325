"""A real PostgreSQL server for tests: on a free port of this machine, in a folder that goes with it.

Debian's server, or whichever is installed: what runs in production, and one that root can start, too (as the user
`postgres`: PostgreSQL refuses to run as root).
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

HOW_TO_INSTALL = (
    "no PostgreSQL server is installed: apt-get install postgresql (or put its initdb and pg_ctl on PATH)"
)


def server_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl; None where there is no server."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "initdb").exists() and (each / "pg_ctl").exists()), None)


class PostgresServer:
    """A running server; leave it as a context manager. It keeps what it promises: fsync is on.

    One of a `primary` begins as its standby, which has what was committed there until now. `address`: an address of this
    machine on which it listens, too, for its /24 network.
    """

    def __init__(self, primary: "PostgresServer | None" = None, *, address: str = "") -> None:
        programs = server_programs()
        assert programs is not None, HOW_TO_INSTALL
        self._programs = programs
        self._primary = primary
        self._address = address
        self._undo = ExitStack()
        self.port = free_port()

    def __enter__(self) -> Self:
        self._folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="corso-postgres-")))
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        self.data = self._folder / "data"
        if self._primary:
            self._run("pg_basebackup", "-R", "-c", "fast", "-d", self._primary.url())
        else:
            self._run("initdb", "-A", "trust", "-U", "loader", "-E", "UTF8", "--locale", "C.UTF-8")
        if self._address:
            with (self.data / "pg_hba.conf").open("a") as access:
                access.write(f"host all all {self._address}/24 trust\n")
        self.start()
        self._undo.callback(self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def start(self) -> None:
        """Start it and wait until it answers."""
        addresses = f"127.0.0.1,{self._address}".strip(",")
        options = f"-p {self.port} -k {self._folder} -c listen_addresses={addresses} -c shared_buffers=32MB"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is as hard as a kill, `fast` ends what is under way."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def promote(self) -> None:
        """Make a standby a server of its own."""
        self._run("pg_ctl", "-w", "promote")

    def url(self, database: str = "postgres", options: str = "") -> str:
        """Return a database's URL."""
        return f"postgresql://loader@{self._address or '127.0.0.1'}:{self.port}/{database}{options}"

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement, as the administrator."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def _end(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self.data), *arguments]
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        done = subprocess.run(
            command,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            **identity,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
