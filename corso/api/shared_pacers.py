"""The pacers of this process, one for each pair of credentials: what one stage learnt of the quota the next one knows.

Without this every stage of a run would begin with the pace of an API that tells nothing, and find out anew about
windows of which the stage before has used a part.

A pacer is lent to one client at a time: those that wait for their turn are woken within one event loop, and each stage
runs its own. Whoever comes meanwhile gets a new one. Nothing is kept beyond the process.
"""

from corso.api.pacer import Pacer
from corso.settings import Credentials, Loader

Key = tuple[str, str, str, int, float | None]
"""Where the quota is one and the same, and paced by the same settings; no secret."""

_free: dict[Key, Pacer] = {}


def key_of(loader: Loader, credentials: Credentials) -> Key:
    """Return what a pacer is kept under. The share is none of it: it is the time of day's."""
    return (
        loader.corso.base_url,
        loader.corso.token_url,
        credentials.client_id,
        loader.limits.max_in_flight,
        loader.limits.requests_per_second,
    )


def borrow(key: Key) -> Pacer | None:
    """Take the pacer that was given back last; None where there is none."""
    pacer = _free.pop(key, None)
    # One whose client ended without handing back its tickets would wait for them for ever.
    return pacer if pacer and not pacer.in_flight else None


def give_back(key: Key, pacer: Pacer) -> None:
    """Keep a pacer for the next client."""
    _free[key] = pacer
