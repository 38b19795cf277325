"""What the program is made of: pinned by hash, under licences that we take, with extras that the core can do without."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handbook.audit import Answer, answer_of, judge
from handbook.licences import PAGE, PROJECT, Package, packages, pinned, pinned_by_python, spelt

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LOCK = {"one": "1.0", "two": "2.0"}
CLEAN = Answer(NOW, {"one==1.0": [], "two==2.0": []})


@pytest.mark.slow
def test_every_package_has_a_licence_that_we_take_and_its_line_on_the_page() -> None:
    """A new one wants a look: `python -m handbook.licences` writes the page."""
    rows = packages()
    assert len(rows) > 100
    assert [row for row in rows if not row.is_taken] == []
    told = set(PAGE.read_text(encoding="utf-8").splitlines())
    text = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    everywhere = [row for row in rows if row.name not in pinned_by_python(text)]
    lines = {
        f"| {row.name} | {row.version} | {row.licence} | {', '.join(row.needed_by)} |" for row in everywhere
    }
    assert lines - told == set()
    lock = pinned(text)
    listed = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1]
        for line in told
        if line.startswith("| ")
    }
    assert {name for name in listed.keys() - {"package"} if lock.get(name) != listed[name]} == set()


@pytest.mark.parametrize(
    ("told", "licence", "taken"),
    [
        ("MIT License", "MIT", True),
        ("Apache Software License; MIT License", "Apache-2.0 AND MIT", True),
        ("MIT OR GPL-3.0-only", "MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", "MIT AND GPL-3.0-only", False),
        ("GNU Affero General Public License v3", "GNU Affero General Public License v3", False),
        ("UNKNOWN", "UNKNOWN", False),
        ("", "", False),
    ],
)
def test_a_licence_is_taken_where_it_is_known(told: str, licence: str, taken: bool) -> None:
    """One of several to choose from will do; of several that hold together all have to."""
    assert spelt("some", told) == licence
    assert Package("some", "1", licence, ("core",)).is_taken is taken


def test_the_lock_pins_everything_by_hash_and_names_no_index() -> None:
    """A package that was exchanged on its way is not installed."""
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(blocks) > 200
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert [block.split()[0] for block in blocks if "==" not in block.split()[0]] == []
    assert "--require-hashes" in (PROJECT / "scripts" / "setup").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "kept", "code", "said"),
    [
        (CLEAN, None, 0, "nothing is known against them"),
        (Answer(NOW, {"one==1.0": ["CVE-1 (mended in 1.1)"], "two==2.0": []}), None, 1, "one==1.0: CVE-1"),
        (Answer(NOW, {"one==1.0": []}), None, 75, "NOT AUDITED: 1 of 2 packages (two==2.0)"),
        (Answer(NOW, {}), None, 75, "NOT AUDITED: 2 of 2"),
        (None, None, 75, "NOT AUDITED: 2 of 2"),
        (None, Answer(NOW - timedelta(days=3), CLEAN.found), 0, "3 days ago"),
        (None, Answer(NOW - timedelta(days=30), CLEAN.found), 0, "older than 14 days"),
        (None, Answer(NOW, {"one==0.9": [], "two==2.0": []}), 75, "one==1.0"),
        (None, Answer(NOW, {"one==1.0": ["CVE-1"], "two==2.0": []}), 1, "CVE-1"),
    ],
)
def test_that_nobody_said_anything_bad_is_no_answer(
    asked: Answer | None, kept: Answer | None, code: int, said: str
) -> None:
    """Without a network the last answer counts, with its age; what nobody knows is named, and is no success."""
    verdict = judge(LOCK, asked, kept, NOW)
    assert verdict.code == code
    assert said in "\n".join(verdict.lines)


def test_what_pip_audit_skipped_is_not_audited() -> None:
    """It says "No known vulnerabilities found" where it could ask about none."""
    report = {
        "dependencies": [
            {
                "name": "one",
                "skip_reason": "Dependency not found on PyPI and could not be audited: one (1.0)",
            },
            {"name": "two", "version": "2.0", "vulns": [{"id": "CVE-2", "fix_versions": ["2.1"]}]},
        ]
    }
    answer = answer_of(report, NOW)
    assert answer.found == {"two==2.0": ["CVE-2 (mended in 2.1)"]}
    assert Answer.read(answer.as_json()) == answer


EXTRAS = {
    "ui": {"dagster_webserver", "dagster_graphql", "graphene"},
    "postgres": {"psycopg", "psycopg2", "dagster_postgres"},
    "metrics": {"prometheus_client"},
    "s3": {"s3fs", "aiobotocore", "botocore"},
    "celery": {"celery", "redis", "dagster_celery"},
    "k8s": {"kubernetes", "dagster_k8s"},
    "dev": {"pytest", "hypothesis", "cryptography", "mkdocs", "openpyxl", "playwright"},
}
"""Extra -> modules that are there with it only."""

_WITHOUT = """\
import importlib, pkgutil, sys
blocked = set({blocked!r})
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocker())
failed = []
for room in ("schemas", "corso", "assets", "pipelines", "sandbox"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if module.name in {needs!r} or module.name.startswith("corso.delivery.migrations."):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            failed.append(module.name + " wants " + str(error.name))
print(*failed, sep="\\n")
"""
NEEDS_AN_EXTRA = {
    "corso.delivery.postgres": "postgres",
    "pipelines.celery_app": "celery",
    "pipelines.celery_claims": "celery",
    "pipelines.celery_launcher": "celery",
    "pipelines.celery_steps": "celery",
    "sandbox.__main__": "none: it is the command itself",
}
"""Modules that are imported only where the extra is wanted, and say so where it is missing."""


@pytest.mark.slow
def test_the_core_can_do_without_every_extra() -> None:
    """Every module is imported in a process that has none of their packages."""
    blocked = sorted(set().union(*EXTRAS.values()))
    code = _WITHOUT.format(blocked=blocked, needs=sorted(NEEDS_AN_EXTRA))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert done.stdout.split("\n") == ["", ""], done.stdout


@pytest.mark.slow
def test_packages_of_an_extra_do_not_come_with_the_core() -> None:
    """What nobody wants is not installed."""
    by_name = {row.name: row.needed_by for row in packages()}
    for extra, modules in EXTRAS.items():
        for module in modules & {name.replace("-", "_") for name in by_name}:
            assert "core" not in by_name[module.replace("_", "-")], f"{module} of {extra}"


def test_the_ui_says_which_extra_it_wants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In one sentence, instead of Dagster's trace."""
    from corso.errors import SettingsError  # noqa: PLC0415
    from pipelines import looking  # noqa: PLC0415

    config = tmp_path / "loader.yaml"
    config.write_text("store: {id: 1}\nexports: {profile: canonical, orders: o.csv}\n", encoding="utf-8")
    monkeypatch.setattr(looking, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"corso-loader\[ui\]"):
        looking.ui(config, 3000)
