"""The peers' environments: made on demand below data/bench/envs, which is not in git."""

import shutil
import subprocess
import venv
from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[2] / "data" / "bench" / "envs"
REQUIREMENTS = {
    "drt": ("drt-core==1.2.1",),
    "dlt": ("dlt==1.31.0",),
    "httpx": ("httpx==0.28.1",),
    "asyncio": ("httpx==0.28.1", "aiolimiter==1.3.0", "stamina==26.1.0"),
}
_STAMP = "requirements.txt"


def python_of(tool: str) -> Path:
    """Return the Python of a tool's environment, which is made anew where its requirements have changed."""
    folder = ENVIRONMENTS / tool
    wanted = "\n".join(REQUIREMENTS[tool])
    stamp, python = folder / _STAMP, folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS[tool]], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python
