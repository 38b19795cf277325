"""The examination: whether everything that a load needs is there, found out before a night depends on it.

Nothing is changed and nothing is sent but one token request and one cheap read, and to the workdir and a bucket something small,
deleted at once. Each remark is a sentence that says what was found and, where it is not well, what to do; none holds a secret.
"""

import asyncio
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx

from corso.api.auth import NoToken
from corso.api.client import CorsoApi
from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from corso.errors import CorsoError, NotAuthorised, Parked, RateLimited
from corso.extract.files import default_batch, find_exports
from corso.extract.profile import load_profile
from corso.settings import Settings
from corso.stages.books import LIBRARIES
from corso.stages.known_quota import ANSWER_S, KnownQuota, open_api, said_length
from corso.storage.address import BucketAddress
from corso.storage.bucket import bucket_at

Level = Literal["good", "look", "bad", "open"]
"""good: as it should be. look: it works, and should be looked at. bad: a load would fail. open: not found out."""

SKEW_S = 5.0
"""So far may this machine's clock be from the API's: records changed in Corso are told from ours by time."""

_BYTES_PER_EXPORTED = 4
"""Disk that a batch takes, its tables and reports together, for each byte of its export files (measured, rounded up)."""
_GIB = 2**30


@dataclass(frozen=True)
class Remark:
    """What was found of one thing."""

    about: str
    level: Level
    sentence: str
    exit_code: int = 0
    """What a load would end with, where it is bad."""

    @classmethod
    def of(cls, about: str, error: CorsoError) -> "Remark":
        """Return the remark that an error makes."""
        return cls(about, "bad", str(error), error.exit_code)


def examine(
    settings: Settings,
    batch: str | None,
    *,
    offline: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Iterator[Remark]:
    """Yield what is found, thing by thing. Never raises for what it looks at."""
    yield Remark("program", "good", _versions())
    yield _configuration(settings)
    yield _exports(settings, batch)
    yield _disk(settings, batch)
    if settings.kept_in is not None:
        yield _bucket(settings.kept_in)
    yield _ledger(settings)
    yield from _credentials(settings)
    if offline:
        yield Remark("API", "open", "not asked: --offline")
    elif not settings.has_credentials:
        yield Remark("API", "open", "not asked: there are no credentials")
    else:
        yield from asyncio.run(_ask(settings, transport))


def exit_code_of(remarks: Sequence[Remark]) -> int:
    """Return the exit code of an examination: the first bad thing's, else 1 where something should be looked at."""
    bad = next((remark.exit_code for remark in remarks if remark.level == "bad"), 0)
    return bad or int(any(remark.level == "look" for remark in remarks))


def _versions() -> str:
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return (
        f"corso-loader {metadata.version('corso-loader')} on Python {platform.python_version()}; {libraries}"
    )


def _configuration(settings: Settings) -> Remark:
    loader = settings.loader
    try:
        settings.check_store_is_named()
        profile = load_profile(loader.exports.profile, settings.home)
    except CorsoError as error:
        return Remark.of("loader.yaml", error)
    return Remark(
        "loader.yaml",
        "good",
        f"store {loader.store.id} ({loader.store.time_zone}), profile {profile.name}, {loader.corso.environment}: "
        f"{loader.corso.base_url}",
    )


def _exports(settings: Settings, batch: str | None) -> Remark:
    try:
        name = batch or default_batch(settings)
        paths = _paths(settings, name)
    except CorsoError as error:
        return Remark.of("exports", error)
    size = sum(path.stat().st_size for path in paths)
    return Remark(
        "exports",
        "good",
        f"batch {name}: {len(paths)} file{'' if len(paths) == 1 else 's'}, {_said_size(size)}",
    )


def _paths(settings: Settings, batch: str) -> set[Path]:
    return {file.path for files in find_exports(settings, batch).values() for file in files}


def _disk(settings: Settings, batch: str | None) -> Remark:
    folder = settings.workdir
    while not folder.exists():
        folder = folder.parent
    try:
        _write_nothing_lasting(folder)
    except OSError as error:
        sentence = f"{settings.workdir} cannot be written ({error.strerror}): mend this, or set workdir to where it can"
        return Remark("disk", "bad", sentence, CorsoError.exit_code)
    free = shutil.disk_usage(folder).free
    try:
        paths = _paths(settings, batch or default_batch(settings))
    except CorsoError:
        return Remark("disk", "open", f"{_said_size(free)} free; what the batch needs is not known")
    needed = _BYTES_PER_EXPORTED * sum(path.stat().st_size for path in paths)
    if needed > free:
        sentence = f"{_said_size(free)} free where the workdir is, and the batch may need {_said_size(needed)}: make room, or set workdir to a larger disk"
        return Remark("disk", "look", sentence)
    return Remark(
        "disk", "good", f"{_said_size(free)} free; the batch needs at most about {_said_size(needed)}"
    )


def _write_nothing_lasting(folder: Path) -> None:
    """Write a small file, which is gone at once. Raises OSError: a disk may have room, and be read-only or without inodes."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"corso-loader doctor")


def _bucket(address: BucketAddress) -> Remark:
    bucket = bucket_at(address)
    try:
        bucket.children()
        began = time.monotonic()
        bucket.probe()
    except (CorsoError, OSError) as error:
        return Remark("bucket", "bad", str(error), getattr(error, "exit_code", 3))
    took_ms = 1000 * (time.monotonic() - began)
    return Remark("bucket", "good", f"{address}: put, read and deleted, within {took_ms:,.0f} ms")


def _ledger(settings: Settings) -> Remark:
    try:
        with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
            counts = ledger.counts()
    except CorsoError as error:
        return Remark.of("ledger", error)
    orders = sum(count for (subject, _), count in counts.items() if subject == "order")
    doubtful = sum(count for (_, state), count in counts.items() if state in {State.UNKNOWN, State.SENDING})
    if not orders:
        return Remark("ledger", "good", f"{settings.ledger}: nothing was sent to this store yet")
    sentence = f"{settings.ledger}: {orders:,} orders"
    if doubtful:
        sentence += f"; of {doubtful:,} operations nobody knows yet whether they arrived: run `retry`"
        return Remark("ledger", "look", sentence)
    return Remark("ledger", "good", sentence)


def _credentials(settings: Settings) -> Iterator[Remark]:
    try:
        settings.credentials()
    except CorsoError as error:
        yield Remark.of("credentials", error)
        return
    open_files = [path for path in (settings.home / ".env", Path(".env")) if _others_may_read(path)]
    if open_files:
        path = open_files[0]
        yield Remark("credentials", "look", f"set, but {path} can be read by others: chmod 600 {path}")
    elif settings.has_other_credentials:
        own = settings.home / ".env"
        sentence = (
            f"those of {settings.credentials_place} are used, and {own} has others: unset one of the two"
        )
        yield Remark("credentials", "look", sentence)
    else:
        sentence = f"CORSO_CLIENT_ID and CORSO_CLIENT_SECRET are set, by {settings.credentials_place}"
        yield Remark("credentials", "good", sentence)


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


async def _ask(settings: Settings, transport: httpx.AsyncBaseTransport | None) -> list[Remark]:
    async with open_api(settings, settings.credentials(), transport=transport) as api:
        if (pause_s := api.limiter.pause_s) > ANSWER_S:
            return [Remark("API", "look", f"it asked for a pause, which lasts {pause_s:,.0f} s more")]
        return await _answer_of(api, settings)


async def _answer_of(api: CorsoApi, settings: Settings) -> list[Remark]:
    is_sandbox = settings.loader.corso.environment == "sandbox"
    start = "start it: corso-loader sandbox" if is_sandbox else ""
    began = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_S):
            await api.ping()
    except TimeoutError:
        hint = start or "is corso.base_url right?"
        return [Remark("API", "bad", f"no answer within {ANSWER_S:g} s; {hint}", 3)]
    except (RateLimited, Parked) as error:
        pause = f" of {error.retry_after_s:,.0f} s" if isinstance(error, RateLimited) else f": {error}"
        return [Remark("API", "look", f"it answers, and asks for a pause{pause}")]
    except NoToken as error:
        hint = start or "is corso.token_url right?"
        return [Remark("token", "bad", f"{error}; {hint}", error.exit_code)]
    except NotAuthorised as error:
        return [Remark.of("token", error)]
    except CorsoError as error:
        return [Remark("API", "bad", f"{error}; is corso.base_url right?", error.exit_code)]
    took_ms = 1000 * (time.monotonic() - began)
    found = [Remark("API", "good", f"it gave a token and answered, both within {took_ms:,.0f} ms")]
    return [*found, _quota(settings, KnownQuota.told(api.limiter.told)), _clock(api.ahead_s)]


def _quota(settings: Settings, known: KnownQuota | None) -> Remark:
    limits = settings.loader.limits
    if known is None:
        rate = "the loader looks for the rate by itself"
        if limits.requests_per_second:
            rate = f"the loader begins with {limits.requests_per_second:g} requests/s"
        return Remark("quota", "good", f"the API tells none; {rate}")
    length = said_length(known.shortest_s)
    if known.longest_s > known.shortest_s:
        length = f"{length} to {said_length(known.longest_s)}"
    return Remark(
        "quota",
        "good",
        f"{known.limit:,} requests in a window of {length} s, of which the loader may use {limits.share:.0%}",
    )


def _clock(ahead_s: float | None) -> Remark:
    if ahead_s is None:
        return Remark("clock", "open", "the API does not tell its time")
    if abs(ahead_s) > SKEW_S:
        which = "ahead of" if ahead_s > 0 else "behind"
        sentence = f"this machine is {abs(ahead_s):,.0f} s {which} the API: set it by NTP, or changes made in Corso may be taken for ours"
        return Remark("clock", "look", sentence)
    return Remark("clock", "good", f"within {SKEW_S:g} s of the API's")


def _said_size(size: float) -> str:
    if size >= _GIB:
        return f"{size / _GIB:,.1f} GiB"
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
