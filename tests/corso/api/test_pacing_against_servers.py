"""The pacer in virtual time against servers that count: what it uses, and what it never does."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quota_models import Case, Counter, FixedWindows, ResetForm, SlidingWindow, TokenBucket, simulate

from corso.api.found_rate import Found
from corso.api.pacer import Pacer
from corso.api.rolling_quota import RollingQuota

FORMS: list[ResetForm] = ["ceil", "floor", "exact", "epoch", "ietf"]
MODELS = ["clock", "request", "sliding", "bucket"]


def counter(model: str, limit: int, window_s: float, phase_s: float = 0.0) -> Counter:
    """Return a server's counter with a steady limit."""
    match model:
        case "clock":
            return FixedWindows(lambda _at: limit, window_s, phase_s=phase_s)
        case "request":
            return FixedWindows(lambda _at: limit, window_s, opens_by_request=True)
        case "sliding":
            return SlidingWindow(lambda _at: limit, window_s)
        case _:
            return TokenBucket(lambda _at: limit, window_s)


def case(model: str, limit: int, window_s: float, **how: object) -> Case:
    """Return a case with a steady limit."""
    base = Case(lambda: counter(model, limit, window_s, 0.37 * window_s), window_s, jitter=0.05)
    return replace(base, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("latency_s", [0.005, 0.15])
@pytest.mark.parametrize(("limit", "window_s"), [(50, 1), (100, 4), (100, 10), (600, 60)])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.slow
def test_alone_it_uses_the_whole_quota_and_is_never_refused(
    model: str, limit: int, window_s: float, latency_s: float
) -> None:
    """Zero 429s from the first request on; after six windows at least 97 % of the quota, mostly more than 99 %."""
    warm_s, seconds = max(6 * window_s, 15), max(16 * window_s, 60)

    run = simulate(case(model, limit, window_s, latency_s=latency_s), seconds)

    assert run.refused_at == []
    assert run.use(warm_s, seconds) >= (0.97 if window_s * 0.02 < latency_s else 0.985)


@pytest.mark.parametrize("form", FORMS)
def test_whatever_form_the_reset_has_the_quota_is_used(form: ResetForm) -> None:
    """Rounded up or down, exact, a time of day, the newer single field."""
    run = simulate(case("clock", 100, 10, form=form), 160)

    assert run.refused_at == []
    assert run.use(70, 160) >= 0.98


@pytest.mark.parametrize("form", ["floor", "exact", "ietf"])
@pytest.mark.parametrize("model", ["sliding", "bucket"])
def test_windows_of_a_second_that_give_back_little_by_little_are_used_however_they_tell_their_end(
    model: str, form: ResetForm
) -> None:
    """A reset of 0 s, or of hundredths, is no window of a tenth of a second; one of a length that is told may slide."""
    run = simulate(case(model, 50, 1, form=form, latency_s=0.1), 90)

    assert run.use(30, 90) >= 0.96
    assert len(run.refused_at) < 40
    assert run.refusals(30) <= 2


@pytest.mark.parametrize("model", ["clock", "request"])
@pytest.mark.slow
def test_an_hour_long_window_is_used_and_none_of_it_twice(model: str) -> None:
    """Three hours: nothing is refused, and next to nothing left."""
    run = simulate(case(model, 3_600, 3_600), 3 * 3_600)

    assert run.refused_at == []
    assert run.use(0, 3 * 3_600 - 60) >= 0.99


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    limit=st.integers(2, 400),
    window_s=st.integers(5, 60),
    share=st.floats(0.1, 1.0),
    latency_s=st.floats(0.001, 0.8),
    in_flight=st.integers(1, 40),
    phase=st.floats(0, 0.99),
    model=st.sampled_from(["clock", "request"]),
    form=st.sampled_from(FORMS),
    seed=st.integers(0, 1000),
)
@pytest.mark.slow
def test_alone_in_fixed_windows_it_is_hardly_ever_refused_and_never_takes_more_than_its_share(
    *,
    limit: int,
    window_s: int,
    share: float,
    latency_s: float,
    in_flight: int,
    phase: float,
    model: str,
    form: ResetForm,
    seed: int,
) -> None:
    """No limit, window, latency, concurrency or starting point lets it run into more than one 429."""
    run = simulate(
        Case(
            lambda: counter(model, limit, window_s, phase * window_s),
            window_s,
            form=form,
            latency_s=latency_s,
            share=share,
            max_in_flight=in_flight,
        ),
        6 * window_s,
        seed=seed,
    )

    assert len(run.refused_at) <= 1
    assert run.early == 0
    # A sliding window over the edge of two fixed ones sees up to two shares, never more.
    assert run.fullest(window_s) <= 2 * max(1, int(share * limit + 1e-9)) + 1


@pytest.mark.parametrize("used_by_others", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("model", ["clock", "request"])
@pytest.mark.slow
def test_it_uses_what_others_leave_and_is_all_but_never_refused(model: str, used_by_others: float) -> None:
    """At most one request in a thousand is refused; the others get what they ask for, but for a few percent."""
    seconds = 1_800
    run = simulate(case(model, 600, 60, foreign_per_s=used_by_others * 10), seconds)

    assert len(run.refused_at) <= max(1, run.sent / 1_000)
    assert run.use(180, seconds) >= 0.95
    assert run.foreign_refused <= 0.05 * used_by_others * 10 * seconds
    assert run.pacer.tally.foreign / run.pacer.tally.quota == pytest.approx(used_by_others, abs=0.05)


@pytest.mark.parametrize(("limit", "window_s"), [(50, 1), (60, 2), (100, 4), (100, 10), (600, 60)])
@pytest.mark.parametrize(
    ("share", "others"),
    [(0.1, 0.0), (0.1, 0.1), (0.3, 0.2), (0.5, 0.1), (0.8, 0.1), (0.5, 0.4), (0.3, 0.6), (0.1, 0.8)],
)
def test_a_share_of_a_bucket_is_kept_and_used_though_it_is_nearly_full(
    limit: int, window_s: float, share: float, others: float
) -> None:
    """What is told, in whole seconds, is the time that a few requests take to come back, not all: it was taken for all."""
    per_s = limit / window_s
    run = simulate(
        case("bucket", limit, window_s, share=share, foreign_per_s=others * per_s), 40 * window_s + 60
    )
    settled_s = 15 * window_s + 30
    ours = sum(at >= settled_s for at in run.left_at) / (share * per_s * (run.ended_at - settled_s))
    assert 0.96 < ours < 1.02
    assert not run.refused_at
    assert run.pacer.even_rate(1_000 + run.ended_at) <= 1.6 * share * per_s


def test_its_share_leaves_the_rest_to_the_shop() -> None:
    """With a share of 0.6 and others who use 30 %, nobody is refused."""
    run = simulate(case("clock", 100, 10, share=0.6, foreign_per_s=3.0), 300)

    assert run.refused_at == []
    assert run.foreign_refused == 0
    assert run.use(60, 300) >= 0.97
    assert run.pacer.quota_share == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize(
    ("share", "others", "least", "harm"),
    [(0.8, 0.1, 0.98, 0.0), (0.5, 0.4, 0.94, 0.01), (0.3, 0.6, 0.85, 0.01), (0.1, 0.8, 0.7, 0.025)],
)
@pytest.mark.parametrize("model", ["clock", "request"])
def test_a_small_share_is_used_beside_busy_others(
    model: str, share: float, others: float, least: float, harm: float
) -> None:
    """A tenth of the quota is nobody's: the share is used, however much of the window is kept for the others."""
    run = simulate(case(model, 50, 1, share=share, foreign_per_s=50 * others), 120)
    assert run.use(20, 120) >= least
    assert run.refusals() <= 1
    assert run.foreign_refused <= harm * 50 * others * 120


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.slow
def test_a_limit_that_is_halved_in_mid_run_is_obeyed_and_one_that_is_raised_is_used(model: str) -> None:
    """A new window's numbers are taken whole."""

    def limit_at(at: float) -> int:
        return 50 if 100 <= at < 200 else 100

    servers: dict[str, Counter] = {
        "clock": FixedWindows(limit_at, 10, phase_s=3.7),
        "request": FixedWindows(limit_at, 10, opens_by_request=True),
        "sliding": SlidingWindow(limit_at, 10),
        "bucket": TokenBucket(limit_at, 10),
    }

    def fresh() -> Counter:
        return replace(servers[model])  # type: ignore[type-var]

    run = simulate(Case(fresh, 10, jitter=0.05), 300)

    assert len(run.refused_at) <= 3
    assert run.use(120, 195) >= 0.95
    assert run.use(230, 300) >= 0.95


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("limit", "window_s"), [(50, 1), (100, 10), (600, 60)])
@pytest.mark.slow
def test_numbers_on_refusals_only_are_learnt_once(model: str, limit: int, window_s: float) -> None:
    """An unknown limit that only a 429 tells: at most three of them in all, and 98 % of the quota from then on."""
    run = simulate(case(model, limit, window_s, shown="429"), 1_200)

    assert len(run.refused_at) <= 3
    assert run.early == 0
    assert run.use(500, 1_200) >= 0.98


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("limit", "window_s"), [(50, 1), (100, 10), (600, 60)])
@pytest.mark.slow
def test_told_nothing_it_finds_the_rate(model: str, limit: int, window_s: float) -> None:
    """Without any numbers: 90 % of the quota, and at most one request in a hundred is refused."""
    run = simulate(case(model, limit, window_s, shown="never"), 1_800)

    assert len(run.refused_at) <= run.sent / 100
    assert run.early == 0
    assert run.use(500, 1_800) >= 0.9
    assert run.pacer.quota_share is None


@pytest.mark.parametrize(("limit", "window_s"), [(50, 10), (600, 10), (3_600, 3_600)])
def test_told_nothing_it_goes_on_from_what_another_process_found(limit: int, window_s: float) -> None:
    """The next run begins at the pace that the last one ended with, and with no refusal, however long windows are."""
    silent = case("clock", limit, window_s, shown="never")
    found = simulate(silent, max(600.0, 5 * window_s)).pacer.found
    assert found is not None
    assert found.per_second == pytest.approx(limit / window_s, rel=0.15)

    run = simulate(silent, 60, pacer=Pacer(share=1.0, max_in_flight=64, found=found))
    assert not run.refused_at
    assert run.sent == pytest.approx(60 * limit / window_s, rel=0.25)
    assert run.pacer.found == found


def test_what_somebody_set_wins_over_what_was_found() -> None:
    """They may know of a change; and an API that tells its quota needs neither."""
    found = Found(100.0)
    set_by_hand = Pacer(share=1.0, max_in_flight=64, requests_per_second=2.0, found=found)
    assert simulate(case("clock", 50, 10, shown="never"), 3, pacer=set_by_hand).sent < 30
    told = simulate(case("clock", 50, 10), 100, pacer=Pacer(share=1.0, max_in_flight=64, found=found))
    assert not told.refused_at
    assert told.pacer.found is None


def test_a_429_without_any_hint_is_answered_by_longer_and_longer_pauses() -> None:
    """Nothing says how long to wait: few requests find out that it is not over yet."""
    run = simulate(case("clock", 100, 10, shown="never", retry_after="none"), 600)

    assert len(run.refused_at) <= run.sent / 100
    assert run.use(200, 600) >= 0.85


@pytest.mark.parametrize("retry_after", ["seconds", "date"])
def test_ten_minutes_of_retry_after_are_kept(retry_after: str) -> None:
    """As seconds or as a date, with a clock of ours that is wrong by an hour: not one request comes early."""
    server = FixedWindows(lambda _at: 20, 600)
    run = simulate(
        Case(lambda: replace(server), 600, shown="never", retry_after=retry_after, clock_off_s=3_600),  # type: ignore[arg-type]
        1_900,
    )

    assert run.early == 0
    assert 1 <= len(run.refused_at) <= 8
    first = run.refused_at[0]
    assert [at for at in run.left_at if first + 0.2 < at < 600] == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("limit", "window_s", "latency_s", "least"),
    [(50, 1, 0.7, 0.85), (50, 1, 3.0, 0.6), (100, 4, 1.5, 0.9), (100, 4, 3.0, 0.85), (70, 5, 3.0, 0.85)],
)
@pytest.mark.slow
def test_answers_as_old_as_the_window_leave_most_of_it(
    model: str, limit: int, window_s: float, latency_s: float, least: float
) -> None:
    """What answers tell is no longer so; our own departures are held to the limit, however they seem to be counted."""
    for seed in range(2):
        run = simulate(
            case(model, limit, window_s, latency_s=latency_s, jitter=0.2, max_in_flight=512), 240, seed=seed
        )
        assert run.use(60, 240) >= least
        assert len(run.refused_at) <= 1


@pytest.mark.parametrize(
    ("model", "limit", "window_s", "latency_s", "others", "share"),
    [
        ("sliding", 2, 0.5, 3.0, 0.2, 0.8),
        ("request", 3, 0.5, 3.0, 0.5, 0.3),
        ("bucket", 69, 4.0, 3.0, 0.0, 0.8),
        ("bucket", 477, 4.0, 0.05, 0.0, 0.05),
    ],
)
def test_however_long_answers_take_it_goes_on(
    model: str, limit: int, window_s: float, latency_s: float, others: float, share: float
) -> None:
    """Also where others seem to need all that there is: whoever does not ask would never hear that they do not."""
    how = {
        "latency_s": latency_s,
        "foreign_per_s": others * limit / window_s,
        "share": share,
        "form": "exact",
        "jitter": 0.9,
    }
    run = simulate(case(model, limit, window_s, **how), 200)

    times = [*run.left_at, 200.0]
    assert max(after - before for before, after in itertools.pairwise(times)) < 30


def test_answers_that_overtake_each_other_do_not_disturb_it() -> None:
    """Round trips from nothing to twice their mean, dozens under way, answers in any order."""
    run = simulate(case("clock", 600, 60, latency_s=2.0, jitter=0.95), 900)

    assert len(run.refused_at) <= 1
    assert run.use(240, 900) >= 0.92


@pytest.mark.parametrize("latency_s", [0.005, 3.0])
def test_more_are_under_way_the_longer_answers_take(latency_s: float) -> None:
    """Little's law: three seconds of latency cost nothing as long as enough may be under way."""
    run = simulate(case("clock", 600, 60, latency_s=latency_s), 480)

    assert run.use(180, 480) >= 0.98


def test_a_storm_of_429s_is_met_by_silence() -> None:
    """A server that refuses everything for five minutes is asked a handful of times."""

    def limit_at(at: float) -> int:
        return 0 if 60 <= at < 360 else 100

    run = simulate(Case(lambda: FixedWindows(limit_at, 10), 10, jitter=0.05), 600)

    assert len([at for at in run.left_at if 62 < at < 360]) <= 40
    assert run.use(420, 600) >= 0.9


@pytest.mark.parametrize(("model", "is_bucket"), [("sliding", False), ("bucket", True)])
def test_a_bucket_is_told_from_a_sliding_window(model: str, is_bucket: bool) -> None:
    """Alone and with others; where nothing is lost, nobody is refused."""
    for foreign_per_s in (0.0, 4.0):
        run = simulate(case(model, 100, 10, foreign_per_s=foreign_per_s), 120)

        quota = run.pacer._quota
        assert isinstance(quota, RollingQuota)
        assert quota.is_bucket == is_bucket
        if is_bucket:
            assert run.refused_at == []
            assert run.use(40, 120) >= 0.97


def test_a_sliding_window_that_is_halved_stays_one() -> None:
    """Nothing is sent until half of it has come back; one refusal tells."""
    run = simulate(
        case("sliding", 600, 60, counter=lambda: SlidingWindow(lambda at: 600 if at < 200 else 300, 60)), 400
    )

    assert isinstance(run.pacer._quota, RollingQuota)
    assert not run.pacer._quota.is_bucket
    assert len(run.refused_at) <= 2
    assert run.use(260, 400) >= 0.97


@pytest.mark.parametrize("model", ["clock", "sliding"])
@pytest.mark.slow
def test_told_nothing_it_finds_the_rate_of_an_hour_in_hours(model: str) -> None:
    """Whoever had to wait for most of an hour does not look for more every ten minutes."""
    run = simulate(case(model, 3_600, 3_600, shown="never"), 8 * 3_600)

    assert len(run.refused_at) <= run.sent / 1_000
    assert run.early == 0
    assert run.use(3 * 3_600, 8 * 3_600) >= 0.95


@given(data=st.data())
@settings(max_examples=60, derandomize=True, deadline=None)
@pytest.mark.slow
def test_in_whatever_world_it_goes_on(data: st.DataObject) -> None:
    """Drawn at random: no request leaves before a Retry-After is over, and none waits for ever for its turn."""
    draw = data.draw
    window_s = draw(st.sampled_from([0.5, 1, 2, 3.36, 5, 10, 30, 60, 270, 900, 3600]))
    limit = draw(st.integers(10, 1000).filter(lambda limit: limit / window_s <= 300))
    used_by_others = draw(st.sampled_from([0.0, 0.3, 0.6, 0.9]))
    world = case(
        draw(st.sampled_from(MODELS)),
        limit,
        window_s,
        form=draw(st.sampled_from(FORMS)),
        shown=draw(st.sampled_from(["always", "always", "429", "never"])),
        retry_after=draw(st.sampled_from(["seconds", "date"])),
        latency_s=draw(st.sampled_from([0.005, 0.15, 0.5, 3.0])),
        jitter=draw(st.sampled_from([0.0, 0.2, 0.95])),
        foreign_per_s=used_by_others * limit / window_s,
        share=draw(st.sampled_from([1.0, 0.8, 0.05])),
        max_in_flight=draw(st.sampled_from([1, 8, 256])),
    )
    seconds = min(max(12 * window_s, 200), 20_000 * window_s / limit)

    run = simulate(world, seconds, seed=draw(st.integers(0, 1000)))

    assert run.early == 0
    longest = 30 + max(6 * window_s, 4 * window_s / (world.share * limit), 12 * world.latency_s)
    if used_by_others:
        longest = max(longest, 60 + 20 * window_s)
    times = [0.0, *run.left_at, seconds]
    assert max(after - before for before, after in itertools.pairwise(times)) <= longest
