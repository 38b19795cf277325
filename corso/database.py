"""Where a database server is: a URL that never shows its password, and the ledger that stands there.

Nothing is connected to here, and no library of a database is imported: `corso.delivery` speaks to the ledger,
`pipelines.home` hands Dagster its own.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit

_SCHEMES = {"postgresql", "postgres"}
_SECRETS = {"password", "sslpassword", "passfile"}


@dataclass(frozen=True)
class DatabaseUrl:
    """The URL of a PostgreSQL database; as text it is `host:port/name` and nothing else of it."""

    scheme_specific: str = field(repr=False)
    """All behind the scheme, from `//` on; it may hold a password."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `postgresql://user@host:port/name?options`. Raises ValueError, which repeats nothing of the text."""
        scheme, mark, rest = text.strip().partition("://")
        if not mark or scheme.partition("+")[0] not in _SCHEMES:
            message = "must be the URL of a PostgreSQL database: postgresql://user@host:5432/name"
            raise ValueError(message)
        found = cls(f"//{rest}")
        try:
            _ = found.name
        except ValueError:
            message = "is no URL: characters such as / ? # @ in a user's name or password are written as %2F %3F %23 %40"
            raise ValueError(message) from None
        return found

    @property
    def has_password(self) -> bool:
        """Whether a password stands in it, before the host or among the options."""
        parts = urlsplit(self.scheme_specific)
        options = {key.lower() for key, _ in parse_qsl(parts.query)}
        return parts.password is not None or bool(options & _SECRETS)

    @property
    def name(self) -> str:
        """What messages call it."""
        parts = urlsplit(self.scheme_specific)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname or 'localhost'}{port}{parts.path or '/'}"

    def __str__(self) -> str:
        return self.name

    def spoken_by(self, driver: str) -> str:
        """Return the whole URL, password and all, for this driver. Show it to nobody."""
        return f"postgresql+{driver}:{self.scheme_specific}"


@dataclass(frozen=True)
class SharedLedger:
    """A ledger on a database server, which many stores and workers share."""

    url: DatabaseUrl
    mark: Path
    """Where it is noted for this store how many commits there have been (`corso.delivery.mark`)."""

    def __str__(self) -> str:
        return self.url.name


LedgerPlace = Path | SharedLedger
"""Where a ledger is: an SQLite file, or a database server."""
