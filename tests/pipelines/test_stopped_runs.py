"""What the command does when something else than the end stops a run: what it says to do next, and whose books it closes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from corso.delivery.batch_lock import Run
from corso.errors import CorsoError, LedgerInUse, NotAuthorised, Stopped
from corso.settings import read_settings
from corso.stages.batch import Batch
from pipelines import verbs
from pipelines.next_steps import after_stop
from tests.loader_process import BATCH, Shop, good_orders

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with a planned batch, a quarter of which is quarantined."""
    monkeypatch.setenv("CORSO_CLIENT_ID", "sandbox")
    monkeypatch.setenv("CORSO_CLIENT_SECRET", "sandbox")
    shop = Shop(tmp_path / "shop")
    shop.configure("validation: {max_quarantined: 0.5}")
    shop.export(
        [row | ({"total_money": "much"} if at == 0 else {}) for at, row in enumerate(good_orders(range(4)))]
    )
    answer = shop.run("plan", "--offline")
    assert answer.code == 1, answer.said
    return shop


def ended_by(error: CorsoError) -> Callable[..., None]:
    """Return a run that comes as far as its facts, or another loader does, and then ends so."""

    def run_job(_job: str, settings: object, batch: str, *_: object, **__: object) -> None:
        own = Batch(settings, batch)  # type: ignore[arg-type]
        own.write_facts(own.read_facts().model_copy(update={"notes": ("written in between",)}))
        raise error

    return run_job


@pytest.mark.parametrize(("limit", "is_told"), [(0.5, False), (0.1, True)])
def test_rows_to_mend_are_the_next_step_only_where_they_stopped_the_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, limit: float, is_told: bool
) -> None:
    """Somebody whose API is down has no use for a quarantine of one row that has been there for weeks."""
    shop.configure(f"validation: {{max_quarantined: {limit}}}")
    kept: list[str] = []
    monkeypatch.setattr(verbs, "keep_for_error", lambda _facts, *steps: kept.extend(steps))
    monkeypatch.setattr(verbs, "run_job", ended_by(Stopped("Corso cannot be read now")))
    with pytest.raises(Stopped):
        verbs.run(shop.config, BATCH, yes=False, as_json=False)
    assert ("quarantine.csv" in str(kept)) is is_told
    assert ("doctor" in str(kept)) is not is_told
    assert shop.summary()["exit_code"] == 3


@pytest.mark.parametrize("is_held", [True, False])
def test_the_books_of_a_batch_on_which_another_loader_works_are_left_to_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """What has changed there since is the other one's; where only the ledger is in use they are closed."""
    before = (shop.reports() / "summary.json").read_bytes()
    monkeypatch.setattr(verbs, "run_job", ended_by(LedgerInUse("in use")))
    batch = Batch(read_settings(shop.config), BATCH)
    if is_held:
        with batch.lock().held(Run("another")), pytest.raises(LedgerInUse):
            verbs.run(shop.config, BATCH, yes=False, as_json=False)
    else:
        with pytest.raises(LedgerInUse):
            verbs.run(shop.config, BATCH, yes=False, as_json=False)
    assert ((shop.reports() / "summary.json").read_bytes() == before) is is_held


def test_who_only_has_to_wait_is_told_no_step() -> None:
    """The sentence says for whom."""
    config = Path("loader.yaml")
    assert list(after_stop(LedgerInUse("another loader"), config)) == []
    assert "doctor" in next(after_stop(NotAuthorised("401"), config))
