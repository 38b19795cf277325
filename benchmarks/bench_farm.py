"""A farm under fire: stores' batches on Celery's workers with PostgreSQL and Redis, workers killed at random.

scripts/bench farm [STORES] [BATCHES] [KILLS] [SEED] [--steps]

Two workers of two processes each, on machines of their own (network namespaces, where root may make them); the stores share
five sets of credentials, each with a quota of 200 requests in ten seconds. All batches are delivered at once. In the end
every sandbox is held against the merchants' shops, and the ledger is asked whether there were ever two senders on a
credential. `--steps`: workers carry out single steps (CORSO_EXECUTOR=celery) and not whole runs. Servers are Debian's
redis-server and postgresql, installed by apt-get where root may. Ends with 1 where anything is lost, doubled or not as it
has to be.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))


def install_servers() -> None:
    """Install what is missing, where that is possible."""
    from tests.postgres_server import server_programs  # noqa: PLC0415  (behind the path above)

    missing = [] if shutil.which("redis-server") else ["redis-server"]
    missing += [] if server_programs() else ["postgresql"]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"install {' and '.join(missing)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *command], env=quiet, check=True, stdout=subprocess.DEVNULL)


def main(stores: int, batches: int, kills: int, seed: int, *, in_steps: bool) -> int:
    """Run a farm and print what became of it."""
    install_servers()
    from tests.farm import Size, run_farm, temporary_farm  # noqa: PLC0415  (once the servers are there)

    credentials = max(1, stores // 4)
    size = Size(stores, batches, 24, credentials, kills, seed, in_steps=in_steps)
    with temporary_farm() as folder:
        told = run_farm(folder, size, kill_every_s=max(20, 6 * stores * batches / max(1, kills)), say=True)
    what = "steps" if in_steps else "whole runs"
    print(
        f"\n{stores} stores of {credentials} credentials, {batches} batches each, {what} on two workers; seed {seed}\n"
    )
    rows = {
        "minutes": f"{told.wall_s / 60:.1f}",
        "workers killed": told.kills,
        "runs": ", ".join(f"{count} {status.lower()}" for status, count in sorted(told.runs.items())),
        "orders in Corso": f"{told.orders:,}",
        "requests, and refused with 429": f"{told.requests:,}, {told.refused}",
        f"most requests in a window of {size.limit}": told.most_in_a_window,
        "requests that change something, by worker": ", ".join(
            f"{host} {count:,}" for host, count in sorted(told.by_host.items())
        ),
        "times that a credential was held": told.tenures,
        "leases taken over from the dead": told.takeovers,
        "processor seconds a batch, on the workers": f"{told.worker_cpu_s / (stores * batches):.1f}",
        "a worker's process, MiB at the most": told.worker_peak_mib,
        "lost, doubled, two senders, or otherwise wrong": len(told.wrong),
    }
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    for sentence in told.wrong:
        print(sentence)
    return 1 if told.wrong else 0


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:] if word != "--steps"]
    stores, batches, kills, seed = [*given, *(20, 5, 15, 1)[len(given) :]]
    sys.exit(main(stores, batches, kills, seed, in_steps="--steps" in sys.argv))
