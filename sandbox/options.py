"""How a sandbox behaves: every choice in one value, for the command and for tests that build the app themselves."""

from dataclasses import dataclass, field
from typing import Literal

from sandbox.faults import Faults
from sandbox.filters import FilterModes
from sandbox.limits import LimitChange, WindowModel
from sandbox.listing import OrderByMode, PageSizes
from sandbox.quota_headers import HeaderForm, HeaderMode

DuplicateMode = Literal["reject-400", "reject-409", "existing", "accept"]
"""What a second create of the same source id answers; Corso does not say."""


@dataclass(frozen=True)
class SandboxOptions:
    """How the sandbox behaves; every field is an option of the command, described there."""

    client_id: str = "sandbox"
    client_secret: str = "sandbox"  # noqa: S105 - it opens nothing but a sandbox
    audience: str | None = None
    """The only audience that gets a token; None lets all pass."""
    token_lifetime_s: int = 3600
    stores: frozenset[str] = frozenset()
    """The stores of the client, spelled as by `records.store_key`; empty means any."""
    limit: int = 1000
    """Requests a window; 0 means no limit."""
    window_s: float = 10.0
    window_model: WindowModel = "fixed"
    limit_changes: tuple[LimitChange, ...] = ()
    foreign_per_s: float = 0.0
    """Requests a second of others, who use the same quota."""
    headers: HeaderMode = "always"
    header_form: HeaderForm = "classic"
    early_grace_s: float = 0.0
    """How long after a 429 a request that arrives was under way by then, and does not count as early."""
    page_sizes: PageSizes = field(default_factory=PageSizes)
    latency_s: float = 0.0
    duplicates: DuplicateMode = "reject-400"
    filters: FilterModes = field(default_factory=FilterModes)
    listing_lag_s: float = 0.0
    """How long a new order is missing from the listing."""
    order_by: OrderByMode = "works"
    cursor_lifetime_s: float = 0.0
    """How long a cursor is good; 0 means for ever."""
    normalise: bool = False
    extra_fields: bool = False
    revoke_after: int | None = None
    """API requests that a token is good for; None means any number."""
    forbid_after: int | None = None
    """API requests in all until the rest gets 403; None means never."""
    faults: Faults = field(default_factory=Faults)
