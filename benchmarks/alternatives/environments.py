"""The alternatives' environments: made on demand below data/bench/envs, out of the `.txt` files beside this one."""

import shutil
import subprocess
import venv
from pathlib import Path

from benchmarks.peers.environments import ENVIRONMENTS


def python_of(script: str) -> Path:
    """Return the Python for a script, whose environment is made anew where its requirements have changed."""
    wanted = Path(__file__).parent / f"{script}.txt"
    folder = ENVIRONMENTS / script
    stamp, python = folder / "requirements.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", wanted], check=True)
        shutil.copy(wanted, stamp)
    return python


def versions(script: str) -> str:
    """Return what its requirements pin, e.g. `pandas 3.0.1, pydantic 2.14.3`."""
    pins = (Path(__file__).parent / f"{script}.txt").read_text(encoding="utf-8").split()
    return ", ".join(pin.replace("==", " ") for pin in pins)
