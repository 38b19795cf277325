"""A bucket: listing, fetching, putting, deleting; every way in which that fails is one sentence.

Assumed of the server is what Amazon S3, and what speaks like it, promises since 2020: an object that was put is there whole or
not at all, and whoever lists or fetches after a put was answered sees it. Nothing else: no renaming, no conditional writes.

Before anything was answered a failure is the configuration's (SettingsError); after that it is Stopped, and the same command
goes on. Passing failures are tried again by s3fs and botocore.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from corso.errors import CorsoError, SettingsError, Stopped
from corso.storage.address import BucketAddress, is_in_a_bucket

_PER_LISTING = 1000
_AT_ONCE = 16
"""Objects under way at once."""
_CONNECT_S, _READ_S = 10, 60
_TRIES = 2
"""Of botocore's, each of which s3fs repeats."""
_REPEATED_AT_FIRST, _REPEATED_LATER = 3, 10
"""So often: nobody waits for what may be a wrong address; one that was right is waited for half a minute."""
_IN_ONE_PUT = 64 << 20
"""Larger files are put in parts."""

_LOG = logging.getLogger("corso.storage")


@dataclass(frozen=True)
class Found:
    """An object as a listing tells of it."""

    size: int
    etag: str
    modified: datetime

    @property
    def modified_ns(self) -> int:
        """When it was put, in nanoseconds since 1970; servers tell whole seconds, or thousandths."""
        return round(self.modified.timestamp() * 1_000) * 1_000_000


@cache
def bucket_at(address: BucketAddress) -> "Bucket":
    """Return the bucket at an address, one for the process: its connections are kept."""
    return Bucket(address)


class Bucket:
    """A prefix of a bucket; names are relative to it."""

    def __init__(self, address: BucketAddress) -> None:
        self.address = address
        self._root = f"{address.prefix}/" if address.prefix else ""
        self._has_answered = False

    def objects(self, below: str = "", *, without: str = "") -> dict[str, Found]:
        """Return name -> what is there, of all that lies below a name (`""` or `a/b/`), whatever its depth, by name.

        What begins with `without` is left out, and not asked for page by page.
        """
        found: dict[str, Found] = {}
        after = ""
        while True:
            given = {"Prefix": self._root + below, "MaxKeys": _PER_LISTING, "StartAfter": after}
            page = self._call("list_objects_v2", **given)
            for each in page.get("Contents", []):
                after = each["Key"]
                name = after.removeprefix(self._root)
                if without and name.startswith(without):
                    # The greatest name that begins like this is smaller than this one.
                    after = self._root + without + "\U0010ffff"
                    break
                if not name.endswith("/"):
                    found[name] = Found(each["Size"], each["ETag"].strip('"'), each["LastModified"])
            else:
                if not page.get("IsTruncated"):
                    return found

    def children(self, below: str = "") -> tuple[list[str], dict[str, Found]]:
        """Return the names of the folders directly below a name (`""` or `a/b/`), and the objects there, by name."""
        folders: list[str] = []
        found: dict[str, Found] = {}
        more: dict[str, str] = {}
        start = self._root + below
        while True:
            page = self._call("list_objects_v2", Prefix=start, Delimiter="/", MaxKeys=_PER_LISTING, **more)
            folders += [
                each["Prefix"].removeprefix(start).rstrip("/") for each in page.get("CommonPrefixes", [])
            ]
            for each in page.get("Contents", []):
                if name := each["Key"].removeprefix(start):
                    found[name] = Found(each["Size"], each["ETag"].strip('"'), each["LastModified"])
            if not page.get("IsTruncated"):
                return sorted(folders), found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def fetch(self, wanted: Mapping[str, Path]) -> None:
        """Fetch objects into files, many at once. Raises FileNotFoundError where one is not there any more."""
        if not wanted:
            return
        for path in wanted.values():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        names, paths = [self._full(name) for name in wanted], [str(path) for path in wanted.values()]
        with self._told():
            self._files.get(names, paths, batch_size=_AT_ONCE)

    def read(self, name: str) -> bytes:
        """Return an object's content. Raises FileNotFoundError."""
        with self._told():
            content: bytes = self._files.cat_file(self._full(name))
        return content

    def put(self, given: Mapping[str, Path]) -> dict[str, str]:
        """Put files under names, many at once; return name -> ETag."""
        small = {name: path for name, path in given.items() if path.stat().st_size < _IN_ONE_PUT}
        large = {name: path for name, path in given.items() if name not in small}
        with self._told():
            self._files.put([str(path) for path in large.values()], [self._full(name) for name in large])
        etags = {name: self._etag(name) for name in large}
        # One by one through the pool of connections: what is put tells its ETag only so.
        return etags | dict(zip(small, self._together(self._put_one, small.items()), strict=True))

    def write(self, name: str, content: bytes) -> str:
        """Put some bytes under a name; return their ETag."""
        answer = self._call("put_object", Key=self._root + name, Body=content)
        return str(answer["ETag"]).strip('"')

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; one that is not there is no error."""
        wanted = [self._root + name for name in names]
        for start in range(0, len(wanted), _PER_LISTING):
            some = [{"Key": key} for key in wanted[start : start + _PER_LISTING]]
            self._call("delete_objects", Delete={"Objects": some, "Quiet": True})

    def probe(self) -> None:
        """Put, read and delete a small object of its own. Raises SettingsError and Stopped."""
        name = f".probe-{secrets.token_hex(4)}"
        self.write(name, b"corso-loader doctor")
        self.read(name)
        self.delete([name])

    def _put_one(self, given: tuple[str, Path]) -> str:
        return self.write(given[0], given[1].read_bytes())

    def _together(self, act: Callable[[Any], str], given: Iterable[Any]) -> Sequence[str]:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

        with ThreadPoolExecutor(_AT_ONCE, "bucket") as pool:
            return list(pool.map(act, given))

    def _etag(self, name: str) -> str:
        return str(self._call("head_object", Key=self._root + name)["ETag"]).strip('"')

    def _full(self, name: str) -> str:
        return f"{self.address.bucket}/{self._root}{name}"

    def _call(self, method: str, **given: Any) -> Mapping[str, Any]:
        with self._told():
            answer: Mapping[str, Any] = self._files.call_s3(method, Bucket=self.address.bucket, **given)
        self._has_answered, self._files.retries = True, _REPEATED_LATER
        return answer

    @cached_property
    def _files(self) -> Any:
        try:
            # Who keeps everything on disk needs none of it.
            import s3fs  # noqa: PLC0415
        except ImportError:
            message = f"{self.address}: the library that speaks to a bucket is missing: pip install 'corso-loader[s3]'"
            raise SettingsError(message) from None
        # It tells every failure with a trace, and it is told of below.
        logging.getLogger("s3fs").setLevel(logging.CRITICAL)
        config = {
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"mode": "standard", "max_attempts": _TRIES},
            "max_pool_connections": 2 * _AT_ONCE,
        }
        # What was listed is never believed again.
        files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True, config_kwargs=config)
        files.retries = _REPEATED_AT_FIRST
        return files

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what fails into one sentence; that an object is not there stays FileNotFoundError."""
        try:
            yield
        except CorsoError:
            raise
        except Exception as error:
            _LOG.debug("%s: %s", self.address, error)
            code, reason = _code_of(error), _reason_of(error)
            if code in _NOT_THERE:
                raise FileNotFoundError(str(self.address)) from error
            if reason is None:
                raise
            raise self._error(reason) from error

    def _error(self, reason: str) -> CorsoError:
        if self._has_answered:
            message = f"{self.address}: {reason}; what was kept there is whole, and the same command goes on with it"
            return Stopped(message)
        return SettingsError(f"{self.address}: {reason}")


def fetched(path: Path) -> Path:
    """Return where a single file is on this machine, fetched where `path` is an address; perhaps there is none."""
    if not is_in_a_bucket(path):
        return path
    address = BucketAddress.parse(str(path))
    local = address.parent.working_folder() / address.name
    local.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        bucket_at(address.parent).fetch({address.name: local})
    return local


_NOT_THERE = {"NoSuchKey", "404"}

_REASONS = {
    "NoSuchBucket": "there is no such bucket: make it, or mend the address",
    "AccessDenied": "no access: the credentials may not list, read, write and delete there",
    "403": "no access: the credentials may not list, read, write and delete there",
    "InvalidAccessKeyId": "the access key is not known there: see AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "the secret does not fit the access key: see AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session's token has expired: renew AWS_SESSION_TOKEN",
    "PermanentRedirect": "the bucket is in another region: see AWS_REGION and AWS_ENDPOINT_URL",
    "AuthorizationHeaderMalformed": "the bucket is in another region: see AWS_REGION",
    "RequestTimeTooSkewed": "this machine's clock is off: set it by NTP",
    "SlowDown": "the bucket asks for fewer requests: try again later",
    "QuotaExceeded": "the bucket is full: make room",
    "XMinioStorageFull": "the bucket is full: make room",
}
"""What a server answers -> what to do. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""


def _code_of(error: BaseException) -> str:
    """Return what the server called it; s3fs makes errors of the system of it, and keeps its own as their cause."""
    seen: BaseException | None = error
    passed: set[int] = set()
    # What was raised again by hand may be its own context.
    while seen is not None and id(seen) not in passed:
        passed.add(id(seen))
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        seen = seen.__cause__ or seen.__context__
    return ""


def _reason_of(error: BaseException) -> str | None:
    """Say in a few words what failed; None for what is no failure of the bucket's."""
    code = _code_of(error)
    if code in _REASONS:
        return _REASONS[code]
    name = type(error).__name__
    if code:
        return f"it answered {code}"
    if "NoCredentials" in name or "PartialCredentials" in name:
        return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if "ProfileNotFound" in name:
        return "there is no such profile: see AWS_PROFILE"
    module = type(error).__module__.partition(".")[0]
    is_connection = isinstance(error, ConnectionError | TimeoutError)
    if module in {"botocore", "aiobotocore", "aiohttp", "fsspec"} or is_connection:
        return f"it does not answer ({name}): is AWS_ENDPOINT_URL right, and is it up?"
    return None
