"""The address of a place in a bucket, `s3://bucket/prefix`, and where this machine keeps its working copies.

An address holds no secret and may be shown: endpoint and credentials come from AWS's own environment variables
(AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION) and nowhere else.
"""

import fcntl
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

_WRITTEN = re.compile(r"s3:/+([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")
"""One slash will do: a path of this machine that was made of an address has lost the other one."""

SCRATCH = "CORSO_SCRATCH"


@dataclass(frozen=True, order=True)
class BucketAddress:
    """A bucket, and a prefix in it."""

    bucket: str
    prefix: str = ""
    """Without slashes at its ends."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `s3://bucket/prefix`. Raises ValueError."""
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            message = f"{text!r} must be s3://bucket/prefix, with the name of a bucket in lower case"
            raise ValueError(message)
        parts = [part for part in (found[2] or "").split("/") if part not in {"", "."}]
        if ".." in parts:
            message = f"{text!r} must not hold .."
            raise ValueError(message)
        return cls(found[1], "/".join(parts))

    def __truediv__(self, name: str) -> "BucketAddress":
        """Return the address of what lies below."""
        return self.parse("/".join(["s3:/", self.bucket, self.prefix, name]))

    def __str__(self) -> str:
        return "/".join(["s3:/", self.bucket, *filter(None, [self.prefix])])

    @property
    def parent(self) -> "BucketAddress":
        """The place in which this one lies."""
        return BucketAddress(self.bucket, self.prefix.rpartition("/")[0])

    def is_below(self, other: "BucketAddress") -> bool:
        """Say whether it lies below another one."""
        return self.bucket == other.bucket and self.prefix.startswith(
            f"{other.prefix}/" if other.prefix else ""
        )

    @property
    def name(self) -> str:
        """The last part."""
        return self.prefix.rpartition("/")[2]

    def machine_folder(self) -> Path:
        """Return the folder of this machine that has to do with it; another endpoint has another one."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        told = sha256(f"{endpoint} {self}".encode()).hexdigest()[:12]
        return scratch_folder() / f"{self.name or self.bucket}-{told}"

    def working_folder(self) -> Path:
        """Return the folder of this process that stands for it, which no other one uses while this one lives.

        It is the first that is free, so that a process finds what the one before it has fetched.
        """
        return _own_folder(self.machine_folder(), os.getpid())

    def idle_folders(self) -> Iterator[Path]:
        """Yield the working folders that no process uses; one comes to nobody's use until the next one is asked for."""
        for folder in sorted(self.machine_folder().glob("copy-*")):
            if (descriptor := _taken(folder)) is not None:
                try:
                    yield folder
                finally:
                    os.close(descriptor)


def is_in_a_bucket(path: str | Path) -> bool:
    """Say whether a path names a place in a bucket."""
    return str(path).startswith("s3:/")


@cache
def _own_folder(parent: Path, _process: int) -> Path:
    for number in itertools.count(1):
        folder = parent / f"copy-{number}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _taken(folder) is not None:
            return folder
    raise AssertionError


def _taken(folder: Path) -> int | None:
    """Take a working folder for this process; return the descriptor whose end lets go of it, None where it is in use."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def scratch_folder() -> Path:
    """Return where working copies are kept: CORSO_SCRATCH, else `corso-loader` in the user's cache folder."""
    given = os.environ.get(SCRATCH)
    if given:
        return Path(given).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "corso-loader"
