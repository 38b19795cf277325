"""Machines for workers of a test: network namespaces with names of their own, where root may make them; else this machine.

Each has a host's name, an address on a bridge, and a folder for temporary files of its own, so that no lock of one machine
tells anything on another: what keeps loaders apart are the leases alone.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_FORWARD = """
import asyncio, sys
async def pump(source, sink):
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()
async def main(address, ports):
    def to(port):
        async def serve(reader, writer):
            try:
                there = await asyncio.open_connection(address, port)
            except OSError:
                writer.close()
                return
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
        return serve
    servers = [await asyncio.start_server(to(port), "127.0.0.1", port) for port in ports]
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
"""
"""Passes what a machine asks of itself on to a server elsewhere: the loader sends credentials unencrypted to itself only."""


@dataclass
class Machine:
    """One machine."""

    name: str
    folder: Path
    """For its temporary files and its logs."""
    namespace: str | None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, command: list[str], environment: Mapping[str, str], cwd: Path) -> None:
        """Start the machine's one program, in a session of its own."""
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._inside(), *command],
                cwd=cwd,
                env={**environment, "TMPDIR": str(temporary), "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End the program and all its children without asking: SIGKILL."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def abort(self) -> str:
        """End the program and all its children as a fault would; return where each of their threads stood."""
        assert self.process is not None
        before = len(self.said)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGABRT)
        self.process.wait(20)
        return self.said[before:]

    def stop(self, patience_s: float) -> int | None:
        """Ask the program to end (SIGTERM to its main process, as an init does); return its exit code, None where it did not."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def said(self) -> str:
        """What its programs wrote."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def forwarding(self, address: str, ports: list[int]) -> Iterator[None]:
        """Pass connections to these ports of the machine on to the same ports of an address, until the block ends."""
        command = [*self._inside(), sys.executable, "-c", _FORWARD, address, *map(str, ports)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                yield
            finally:
                process.kill()

    def _inside(self) -> list[str]:
        if self.namespace is None:
            return []
        # setns and a name; exec all the way, so that the process we start is the program itself.
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        return ["ip", "netns", "exec", self.namespace, *named]


def can_make_namespaces() -> bool:
    """Say whether this machine can make others of itself."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in ("ip", "unshare", "hostname")):
        return False
    probe = f"corso-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return made


@contextmanager
def machines(folder: Path, names: list[str]) -> Iterator[tuple[str, list[Machine]]]:
    """Make machines; yield the address at which they reach servers of this one, and the machines."""
    with ExitStack() as undo:
        if not can_make_namespaces():
            made = [Machine(name, folder / name, None) for name in names]
            yield "127.0.0.1", made
            return
        mark = os.getpid() % 10_000
        bridge, network = f"corso{mark}", f"10.{77 + mark % 100}.{mark % 250}"
        _ip("link", "add", bridge, "type", "bridge")
        undo.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{network}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        made = []
        for number, name in enumerate(names, 2):
            namespace, link = f"corso{mark}-{name}", f"c{mark}-{number}"
            _ip("netns", "add", namespace)
            undo.callback(_ip, "netns", "del", namespace)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            # With its namespace it would go a while after the last of the processes there.
            undo.callback(_ip, "link", "del", link)
            _ip("link", "set", link, "master", bridge, "up")
            for done in (
                ["addr", "add", f"{network}.{number}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                _ip("-n", namespace, *done)
            made.append(Machine(name, folder / name, namespace))
        yield f"{network}.1", made


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
