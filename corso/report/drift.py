"""Drift: how far what Corso answers is from what its reference documents. Counted, told, and never in a run's way."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

MOST_PATHS_TOLD = 20
"""Paths that a sentence names: an API may answer a new field for every order."""


@dataclass(frozen=True)
class Drift:
    """How far what Corso answered is from what its reference documents: API path -> how often."""

    records: int = 0
    """Records that were read, those of other stores included."""
    other_store: int = 0
    """Records of another store; they are left out."""
    wrong_type: Mapping[str, int] = field(default_factory=dict)
    """Values of another type than documented; they are null in the frame, but for numbers that came as text."""
    missing: Mapping[str, int] = field(default_factory=dict)
    """Documented as always there, but not in the answer."""
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Fields that the reference does not name; they are ignored."""
    new_values: Mapping[str, int] = field(default_factory=dict)
    """`path: value` of values that the reference does not name, where it names them; they are kept."""
    rounded: Mapping[str, int] = field(default_factory=dict)
    """Numbers with more decimals than are read, or with noise of binary fractions; see `schemas.wire.without_noise`."""

    @classmethod
    def around(cls, drift: Mapping[str, Sequence[str]]) -> Self:
        """Return the drift of one answer around its records (`corso.api.listing.Page.drift`)."""
        return cls(unknown=Counter(drift.get("unknown", ())), missing=Counter(drift.get("missing", ())))

    def __add__(self, other: "Drift") -> "Drift":
        """Put two parts of one listing together."""
        return Drift(
            self.records + other.records,
            self.other_store + other.other_store,
            Counter(self.wrong_type) + Counter(other.wrong_type),
            Counter(self.missing) + Counter(other.missing),
            Counter(self.unknown) + Counter(other.unknown),
            Counter(self.new_values) + Counter(other.new_values),
            Counter(self.rounded) + Counter(other.rounded),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; `Drift(**data)` makes it again."""
        return {
            "records": self.records,
            "other_store": self.other_store,
            # Not `asdict`, which takes a Counter apart.
            "wrong_type": dict(self.wrong_type),
            "missing": dict(self.missing),
            "unknown": dict(self.unknown),
            "new_values": dict(self.new_values),
            "rounded": dict(self.rounded),
        }


def sentences(drift: Drift) -> tuple[str, ...]:
    """Say how answers differ from the contract, one sentence a kind of difference."""
    kinds = (
        ("Corso answered fields that its reference does not name", drift.unknown),
        ("Corso left out fields that its reference calls required", drift.missing),
        ("Corso answered values of another type than documented", drift.wrong_type),
        ("Corso answered values that its reference does not name", drift.new_values),
        ("Corso answered numbers with the noise of binary fractions, which were rounded", drift.rounded),
    )
    return tuple(f"{what}: {', '.join(_told(counts))}." for what, counts in kinds if counts)


def _told(counts: Mapping[str, int]) -> Iterator[str]:
    paths = sorted(counts.items())
    for path, count in paths[:MOST_PATHS_TOLD]:
        yield f"{path} ({'once' if count == 1 else f'{count:,} times'})"
    if len(paths) > MOST_PATHS_TOLD:
        yield f"and {len(paths) - MOST_PATHS_TOLD:,} more"
