"""The states of an operation, and which may follow which.

```
planned -> sending -> accepted
   ^          |-----> rejected
   |          '-----> unknown --> accepted | rejected
   '------------------'  (throttled, not sent; looked up and surely not there)
```

A planned one that was never sent becomes unknown where it may be in Corso by another way (`corso.stages.adoption`).
"""

from enum import StrEnum


class State(StrEnum):
    """Where an entry's current operation stands."""

    PLANNED = "planned"
    """To be sent; no byte of it has left, or it is known not to be there."""
    SENDING = "sending"
    """Committed before a byte leaves. Found when the ledger opens, it is as good as unknown."""
    ACCEPTED = "accepted"
    """Corso has it."""
    REJECTED = "rejected"
    """Corso refused it; only `retry` or a changed payload plans it again."""
    UNKNOWN = "unknown"
    """It may be there: to be looked up, never resent blindly."""


MAY_FOLLOW: dict[State, frozenset[State]] = {
    State.PLANNED: frozenset({State.PLANNED, State.ACCEPTED, State.REJECTED, State.SENDING, State.UNKNOWN}),
    State.SENDING: frozenset({State.PLANNED}),
    State.ACCEPTED: frozenset({State.SENDING, State.UNKNOWN}),
    State.REJECTED: frozenset({State.SENDING, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.PLANNED, State.SENDING, State.UNKNOWN}),
}
"""State -> the states that it may follow."""
