"""The commands that pages show, and a folder in which they are run as a reader would.

Every fenced block of the languages `sh` and `console` is run, page by page, each page's blocks in order in one folder. Yaml
blocks that begin with `# FILE` are written to that file. What cannot be run stands in NOT_RUN with its reason.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NOT_RUN: Mapping[str, str] = {
    r"scripts/(demo|test|check|bench|ui|docs|audit)\b": "takes minutes, or is what runs this; tests of their own and CI run them",
    r"scripts/setup$": "has been run, or there would be no tests",
    r"corso-loader sandbox --db": "serves until it is stopped; the runner has one of its own on a free port",
    r"corso-loader ui\b": "serves until it is stopped; tests/pipelines/test_instance.py starts it",
    r"dagster(-webserver|-daemon)? ": "serves until it is stopped; tests/acceptance/test_daemon_runs.py runs a real daemon",
    r"corso-loader ledger move": "needs a PostgreSQL server; tests/acceptance/test_shared_ledger.py moves one",
    r"corso-loader (purge|erase) ": "wants a batch that was loaded; tests/acceptance/test_forgetting.py runs them",
    r"pip install ": "installs from a package index",
    r"uv pip compile ": "asks a package index",
    r"export CORSO_(LEDGER|DAGSTER)_URL=": "names a server that is not there",
    r"export CORSO_LOADER_CONFIG=": "names a folder that is not there",
    r"export DAGSTER_HOME=": "names a folder that is not there",
    r"cp deploy/compose/|docker compose ": "needs a Docker engine; tests/deploy holds the files against the program",
    r"kubectl apply ": "needs a cluster; tests/deploy renders the manifests and checks them",
    r"REMAP_SIGTERM=SIGQUIT celery ": "serves until it is stopped; tests/acceptance/test_farm.py starts workers so",
    r"CORSO_ALERT_\w+=": "names servers that are not there",
}
"""What begins so is not run -> why."""

_FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ENVIRONMENT = re.compile(r"environment: (sandbox|staging|production)")
_MARK = "@@ended"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that a yaml block is, if it says so."""
        found = re.match(r"# (\S+\.yaml)$", self.text.partition("\n")[0])
        return found[1] if self.language == "yaml" and found else None

    @property
    def commands(self) -> Iterator[tuple[str, str | None]]:
        """Yield each command, with the output that a console block shows for it."""
        if self.language == "sh":
            yield from ((command, None) for command in _commands(self.text))
        if self.language == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                yield command, shown


@dataclass(frozen=True)
class Ran:
    """A command that was run."""

    block: Block
    command: str
    code: int
    said: str
    shown: str | None

    @property
    def is_as_shown(self) -> bool:
        """Whether it said what the page shows: days aside, `…` for anything."""
        return self.shown is None or re.fullmatch(_shape(self.shown), self.said.strip()) is not None


def pages() -> list[Path]:
    """Return every page that readers follow; a reference is looked into, and its examples are those of `--help`."""
    docs = PROJECT / "docs"
    followed = sorted(path for path in docs.rglob("*.md") if path.parent.name != "reference")
    return [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *followed]


def blocks(page: Path) -> list[Block]:
    """Return a page's fenced blocks."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(PROJECT).as_posix()
    return [
        Block(name, text.count("\n", 0, found.start()) + 1, found[2], _dedented(found[3], len(found[1])))
        for found in _FENCE.finditer(text)
    ]


def reason_not_to_run(command: str) -> str | None:
    """Return why a command is not run; None where it is."""
    return next((reason for begins, reason in NOT_RUN.items() if re.match(begins, command)), None)


def runnable(page: Path) -> list[Block]:
    """Return the blocks of a page that are run or written, empty where no command of it is run."""
    found = [block for block in blocks(page) if block.file or any(block.commands)]
    is_run = any(reason_not_to_run(command) is None for block in found for command, _ in block.commands)
    return found if is_run else []


def run_page(page: Path, folder: Path, environment: Mapping[str, str], base_url: str) -> list[Ran]:
    """Run a page's blocks in `folder`, in one shell; what they send goes to the sandbox at `base_url`."""
    ran: list[Ran] = []
    where = str(folder)
    variables = dict(environment)
    for block in runnable(page):
        if block.file:
            path = Path(where) / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pointed_at(block.text, base_url), encoding="utf-8")
            continue
        for command, shown in block.commands:
            if reason_not_to_run(command) is not None:
                continue
            script = f'{command}\nprintf "\\n{_MARK} %s %s %s" "$?" "$PWD" "$PATH"'
            ended = subprocess.run(
                ["bash", "-c", script], cwd=where, env=variables, capture_output=True, text=True, timeout=240, check=False,
            )  # fmt: skip
            said, _, end = ended.stdout.rpartition(f"\n{_MARK} ")
            code, where, variables["PATH"] = end.split(" ", 2)
            ran.append(
                Ran(block, command, int(code), said if shown is not None else said + ended.stderr, shown)
            )
    return ran


def pointed_at(text: str, base_url: str) -> str:
    """Return a loader.yaml that sends to the sandbox whatever environment it names."""
    token_url = base_url.replace("/v1", "/oauth/token")
    return _ENVIRONMENT.sub(
        f'environment: custom, base_url: "{base_url}", token_url: "{token_url}", audience: sandbox', text
    )


def _commands(text: str) -> Iterator[str]:
    """Yield the commands of a script: lines, with those that belong together kept together."""
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        command = line
        while command.endswith("\\"):
            command += f"\n{next(lines)}"
        if here := re.search(r"<<'?(\w+)'?", command):
            for below in lines:
                command += f"\n{below}"
                if below == here[1]:
                    break
        yield command


def _dedented(text: str, indent: int) -> str:
    return "".join(line[indent:] if line.strip() else line for line in text.splitlines(keepends=True))


def _shape(shown: str) -> str:
    """Return a pattern of what was shown: any day for a day, anything for `…`, blanks as they come."""
    pattern = re.escape(shown.strip())
    pattern = re.sub(r"\d{4}\\-\d\d\\-\d\d", r"\\d{4}-\\d\\d-\\d\\d", pattern)
    return re.sub(r"(\\ |\\\n|\s)+", r"\\s+", pattern.replace("…", r"[\s\S]*?"))
