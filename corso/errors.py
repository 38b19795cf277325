"""Everything that can go wrong, as one tree; the class decides what may happen next.

```
CorsoError                         exit code
├ UsageError                       2    the caller can mend it: nothing was sent
│ ├ SettingsError                       loader.yaml, credentials, command line
│ └ ExportError                         an export file is not as agreed
├ ApiError                              one request's end (never leaves the engine by itself)
│ ├ NotSent                             no byte left: resend freely
│ ├ RateLimited                         429: resend after `retry_after_s`; not an attempt
│ ├ OutcomeUnknown                      bytes left, no usable answer: look up first, never resend blindly
│ │ └ DoneWithoutId                     it says done, but not under which id: look that up
│ ├ Rejected                            4xx: this operation is wrong; settle it and go on
│ ├ NotFound                            404: the record is not there
│ └ NotAuthorised                  3    401 after a fresh token, or 403: stop everything
├ Stopped                          3    a guard of ours stopped the run
│ └ Outage                              Corso gives no usable answer for too long: time alone heals it
├ Parked                           75   too long a wait: try again at `resume_at`
│ └ LeaseHeld                           another loader holds the store, or these credentials, on a shared ledger
├ Interrupted                      130  SIGINT or SIGTERM; states are intact
└ LedgerError                      3
  ├ IllegalTransition                   an operation was in another state than expected
  ├ LedgerInUse                         another loader holds the ledger, or sends with the same credentials
  ├ LeaseLost                           another loader took over: this one may not write
  └ LedgerTooNew                        written by a newer version of this program
```
"""

from datetime import datetime
from enum import Enum


class CorsoError(Exception):
    """Base of every error that this program raises on purpose."""

    exit_code = 3


class UsageError(CorsoError):
    """What was asked for cannot be done as it stands; nothing was sent."""

    exit_code = 2


class SettingsError(UsageError):
    """loader.yaml, the credentials or the command line are not usable."""


class ExportError(UsageError):
    """An export file is missing, unreadable or not what its profile says."""


class ApiError(CorsoError):
    """How one request ended, other than well.

    `status` is the HTTP status or None where no answer was read; `body` the answer's text, bounded.
    """

    def __init__(self, message: str, *, status: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class NotSent(ApiError):
    """The request surely never reached the server: refused, never connected, no connection free."""


class RateLimited(ApiError):
    """The server answered 429."""

    def __init__(self, message: str, *, retry_after_s: float, body: str = "") -> None:
        super().__init__(message, status=429, body=body)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(ApiError):
    """The request may have been carried out: no usable answer was read (time-out, reset, 5xx, unreadable body)."""


class DoneWithoutId(OutcomeUnknown):
    """The server says that it is done (2xx) and not under which id: the look-up finds it, and nothing is wrong with the server."""


class Rejected(ApiError):
    """The server refused this request for good (a 4xx other than 401, 403, 404, 429)."""


class NotFound(ApiError):
    """The server knows no such record (404)."""


class NotAuthorised(ApiError):
    """The credentials do not work (401 with a fresh token, a refused token request) or may not do this (403)."""


class Stopped(CorsoError):
    """A guard stopped the run: too many quarantined or rejected, circuit open."""


class Outage(Stopped):
    """Corso gave no usable answer for longer than this run is willing to ask."""


class Parked(CorsoError):
    """The API, or another loader's turn, asks to wait longer than this run is willing to."""

    exit_code = 75

    def __init__(self, message: str, *, resume_at: datetime) -> None:
        super().__init__(message)
        self.resume_at = resume_at


class LeaseHeld(Parked):
    """Another loader works on the store, or sends with these credentials; should it be dead, it is free at `resume_at`."""


class Interrupted(CorsoError):
    """The operator asked to stop; what was in flight is settled or will be looked up."""

    exit_code = 130


class LedgerError(CorsoError):
    """The ledger cannot be used as it is."""


class IllegalTransition(LedgerError):
    """An operation was not in the state that a transition starts from."""


class LedgerInUse(LedgerError):
    """Another loader holds the ledger, or sends with the same credentials."""


class LeaseLost(LedgerError):
    """Another loader took over: this one may not write, and nothing of what it wanted to write was written."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer version of this program."""


class Verdict(Enum):
    """What may happen next to an operation whose request ended with an error."""

    RESEND = "resend"
    """No byte left: send it again after a pause."""
    WAIT = "wait"
    """The server said when: back to planned, not an attempt."""
    LOOK_UP = "look up"
    """It may be there: find out before anything else."""
    SETTLE = "settle"
    """It is refused: record why and go on with the others."""
    STOP = "stop"
    """Nothing else will work either."""


def verdict(error: ApiError) -> Verdict:
    """Say what may happen next after `error` ended a request that creates or changes a record."""
    match error:
        case NotSent():
            return Verdict.RESEND
        case RateLimited():
            return Verdict.WAIT
        case NotAuthorised():
            return Verdict.STOP
        case Rejected() | NotFound():
            return Verdict.SETTLE
        case _:
            return Verdict.LOOK_UP
