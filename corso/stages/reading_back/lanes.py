"""Lanes: how far each cursor of a pass has come, and what its pages said of the listing's order; no requests here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from corso.api.listing import Page
from schemas.wire import JsonObject, instant

OrderBy = Literal["asc", "desc"]


@dataclass
class Lane:
    """One cursor: how far it has come."""

    name: str
    """What it is called in the checkpoint."""
    order_by: OrderBy
    after: str | None = None
    """The cursor behind which its next page begins."""
    pages: int = 0
    """Read since it began, the last time that it did."""
    largest: int = 0
    """Records of its largest page."""
    all_pages: int = 0
    """Read since the pass began."""
    all_records: int = 0
    """The records of those."""
    start: str | None = None
    """When the first record that it read was created, ISO 8601."""
    edge: str | None = None
    """When the last record that it read was created, ISO 8601."""
    updated: str | None = None
    """When that record was changed last."""
    is_in_order: bool = True
    """Whether creation has risen, or fallen, all the way."""
    has_ended: bool = False
    """Whether it came to the listing's other end."""
    is_given_up: bool = False
    """Whether what it has read proves nothing about what it has not."""
    restarts: int = 0

    @property
    def edge_at(self) -> datetime | None:
        """The instant of `edge`."""
        return _kept(self.edge)

    @property
    def updated_at(self) -> datetime | None:
        """The instant of `updated`."""
        return _kept(self.updated)

    @property
    def goes_its_way(self) -> bool:
        """Whether creation was seen to rise, or to fall, as it should: a server may ignore which way it was asked."""
        return self.is_in_order and self.start != self.edge

    def take(self, page: Page) -> None:
        """Note a page that was read."""
        last = self.edge_at
        for record in page.orders:
            created = instant(record.get("createdOn"))
            if created is None:
                self.is_in_order = False
                continue
            if last is not None and (created < last if self.order_by == "asc" else created > last):
                self.is_in_order = False
            last = created
        self.start = self.start or _latest(page.orders[:1], "createdOn")
        self.edge = last.isoformat() if last else None
        self.updated = _latest(page.orders[-1:], "updatedOn")
        self.pages += 1
        self.largest = max(self.largest, len(page.orders))
        self.has_ended = not page.has_next

    def begin_again(self) -> None:
        """Go back to its end of the listing."""
        self.after, self.pages, self.start, self.edge, self.updated = None, 0, None, None, None
        self.is_in_order = True
        self.restarts += 1


@dataclass(frozen=True)
class Top:
    """The newest records when the newest-first cursor began: its first page."""

    created: str | None = None
    """The latest creation among them, ISO 8601."""
    updated: str | None = None
    """The latest change among them."""

    @classmethod
    def of(cls, records: Sequence[JsonObject]) -> Self:
        """Return the top of a first page."""
        return cls(_latest(records, "createdOn"), _latest(records, "updatedOn"))

    @property
    def created_at(self) -> datetime | None:
        """The instant of `created`."""
        return _kept(self.created)

    @property
    def updated_at(self) -> datetime | None:
        """The instant of `updated`."""
        return _kept(self.updated)


def _latest(records: Sequence[JsonObject], key: str) -> str | None:
    found = [each for each in (instant(record.get(key)) for record in records) if each]
    return max(found).isoformat() if found else None


def _kept(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
