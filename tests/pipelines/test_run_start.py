"""Runs are forked from a process that has imported everything, and what they write for want of memory goes with them."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from corso.errors import SettingsError
from pipelines.run_start import VARIABLE, fork_runs
from tests.loader_process import environment

_ROOT = Path(__file__).resolve().parents[2]
_CODE_SERVER = """
import json, os, sys
import dagster._grpc.server as server

class Server(server.DagsterApiServer):
    def __init__(self):
        self._mp_ctx = server.multiprocessing.get_context("spawn")

before = Server()
import pipelines.definitions

def run(told):
    import polars as pl

    frame = pl.LazyFrame({"a": list(range(1000))}).group_by(pl.col("a") % 7).agg(pl.len())
    folder = os.environ["POLARS_OOC_SPILL_DIR"]
    told.put({
        "rows": frame.collect().height,
        "warm": "pipelines.warmed" in sys.modules,
        "folder": folder,
        "mode": oct(os.stat(folder).st_mode & 0o777),
    })

def main():
    ways = [each._mp_ctx.get_start_method() for each in (before, Server())]
    answers = []
    if ways[0] == "forkserver":
        for _ in range(2):
            told = before._mp_ctx.Queue()
            process = before._mp_ctx.Process(target=run, args=[told])
            process.start()
            answers.append(told.get(timeout=100))
            process.join()
    print(json.dumps({"ways": ways, "answers": answers}))

if __name__ == "__main__":
    main()
"""


def code_server(folder: Path) -> dict[str, list[dict[str, object]]]:
    """Run what stands for Dagster's code server, which has its own class before it imports the definitions."""
    script = folder / "code_server.py"
    script.write_text(_CODE_SERVER, encoding="utf-8")
    told = environment(PYTHONPATH=str(_ROOT), CORSO_LOADER_CONFIG=str(folder), TMPDIR=str(folder))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], env=told, check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_a_code_server_forks_its_runs_from_a_process_that_has_imported_everything(tmp_path: Path) -> None:
    """What polars computes works there; each run has a folder of its own for what it spills, which is gone after it."""
    told = code_server(tmp_path)
    assert told["ways"] == ["forkserver", "forkserver"]
    first, second = told["answers"]
    for answer in (first, second):
        assert (answer["rows"], answer["warm"], answer["mode"]) == (7, True, "0o700")
        assert not Path(str(answer["folder"])).exists()
    assert first["folder"] != second["folder"]


def test_dagsters_own_way_is_left_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """CORSO_RUN_START=spawn; otherwise the code server's class is another one."""

    class Server:
        """Dagster's."""

    module = ModuleType("dagster._grpc.server")
    monkeypatch.setattr(module, "DagsterApiServer", Server, raising=False)
    monkeypatch.setitem(sys.modules, "dagster._grpc.server", module)
    fork_runs({VARIABLE: "spawn"})
    assert not hasattr(Server, "_mp_ctx")
    fork_runs({VARIABLE: ""})
    assert hasattr(Server, "_mp_ctx")


def test_another_way_is_an_error_that_names_those_that_there_are() -> None:
    """Before anything is started."""
    with pytest.raises(
        SettingsError, match="CORSO_RUN_START: unknown way 'fork'; known are forkserver, spawn"
    ):
        fork_runs({VARIABLE: "fork"})
