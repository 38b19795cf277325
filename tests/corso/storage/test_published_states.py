"""Whatever two machines do with a batch's tables, and wherever they die: a reader has the last published state, whole."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from corso.errors import LeaseLost, Stopped
from corso.storage.working_copy import MANIFESTS, VersionedCopy
from tests.fake_bucket import FakeBucket

State = dict[str, str]
PREFIX = "9359/b/tables/"
MACHINES, TABLES = st.sampled_from(["one", "two"]), st.sampled_from(["orders", "plan", "facts"])
CHANGES = st.none() | st.integers(0, 5)


class Publishing(RuleBasedStateMachine):
    """The bucket, two machines that may both believe that they are the writer, and what a reader has to find."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.bucket = FakeBucket()
        self.copies: dict[str, VersionedCopy] = {}
        self.views: dict[str, State] = {}
        """What each machine's tables are to its own eyes."""
        self.published: State = {}
        self.written = 0
        self.readers = 0

    def teardown(self) -> None:
        """Clear up."""
        shutil.rmtree(self.folder)

    @rule(machine=MACHINES)
    def begin(self, machine: str) -> None:
        """A process begins on a machine, after another one that ended or was killed."""
        copy = VersionedCopy(self.bucket.as_bucket(), PREFIX, self.folder / machine)
        copy.take_up()
        self.copies[machine], self.views[machine] = copy, dict(self.published)

    @rule(machine=MACHINES, table=TABLES, parts=st.integers(1, 3))
    def write(self, machine: str, table: str, parts: int) -> None:
        """A table is put in place of the old one, which nobody needs to have fetched."""
        if machine not in self.copies:
            return
        self.written += 1
        folder = self.copies[machine].folder / table
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        view = {name: text for name, text in self.views[machine].items() if not name.startswith(f"{table}/")}
        for number in range(parts):
            (folder / str(number)).write_text(f"{self.written}.{number}")
            view[f"{table}/{number}"] = f"{self.written}.{number}"
        self.views[machine] = view

    @rule(machine=MACHINES, table=TABLES)
    def remove(self, machine: str, table: str) -> None:
        """A table is taken away."""
        if machine not in self.copies or not self.is_current(machine):
            return
        shutil.rmtree(self.copies[machine].fetch(table), ignore_errors=True)
        view = self.views[machine]
        self.views[machine] = {name: text for name, text in view.items() if not name.startswith(f"{table}/")}

    def is_current(self, machine: str) -> bool:
        """Say whether nobody else has published since the machine took the state up: else what it fetches is newer."""
        return self.copies[machine]._state == max(self.manifests(), default="")

    def manifests(self) -> set[str]:
        """Return the names of all manifests."""
        start = PREFIX + MANIFESTS
        return {name.removeprefix(start) for name in self.bucket.content if name.startswith(start)}

    @rule(machine=MACHINES, changes=CHANGES)
    def publish(self, machine: str, changes: int | None) -> None:
        """A machine publishes; the bucket may go away after some changes."""
        if machine not in self.copies:
            return
        before, was_current = self.manifests(), self.is_current(machine)
        self.bucket.dies_after = changes
        try:
            self.copies[machine].publish()
        except LeaseLost:
            assert not was_current
            del self.copies[machine]
        except Stopped:
            assert changes is not None
        self.bucket.dies_after = None
        if self.manifests() - before:
            assert was_current, "who was overtaken publishes no state"
            self.published = self.views[machine]

    @rule(machine=MACHINES, changes=CHANGES)
    def purge(self, machine: str, changes: int | None) -> None:
        """A machine takes away what nobody needs, and may die of it."""
        if machine not in self.copies:
            return
        self.bucket.dies_after = changes
        try:
            self.copies[machine].purge()
        except LeaseLost:
            del self.copies[machine]
        except Stopped:
            assert changes is not None
        self.bucket.dies_after = None

    @precondition(lambda self: self.written)
    @invariant()
    def a_reader_has_the_published_state(self) -> None:
        """On a machine that has nothing, and on one that has read before."""
        self.readers += 1
        reader = VersionedCopy(self.bucket.as_bucket(), PREFIX, self.folder / f"reader-{self.readers % 2}")
        reader.take_up()
        reader.fetch_all()
        paths = (path for path in reader.folder.rglob("*") if path.is_file())
        found = {path.relative_to(reader.folder).as_posix(): path.read_text() for path in paths}
        assert {name: text for name, text in found.items() if "." not in name} == self.published


TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
