"""The listing's filters, and how they may behave where Corso's reference can be read in two ways.

The reference says of `customerEmail` and `orderNameOrNumber` that each is required with the other, which can
also mean: always. Whether `sourceOrderId` works for every client nobody knows until they try.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.readers import Problem, Problems

SourceFilterMode = Literal["works", "refused", "ignored"]
EmailFilterMode = Literal["works", "refused"]
Conditions = tuple[tuple[str, ...], tuple[str, ...]]
"""SQL of our own, and what came from outside for it."""


@dataclass(frozen=True, slots=True)
class FilterModes:
    """How the filters behave."""

    refuse_unfiltered: bool = False
    """A listing without any filter answers 400."""
    source: SourceFilterMode = "works"
    """What `sourceOrderId` does; ignored means that the answer is as if it had not been given."""
    email: EmailFilterMode = "works"
    """What `customerEmail` with `orderNameOrNumber` does."""


def read_filters(parameters: Mapping[str, str], modes: FilterModes, problems: Problems) -> Conditions:
    """Read the filters, and add what is wrong with them to the problems."""
    by_email = _by_email(parameters, modes, problems)
    by_source = _by_source(parameters, modes, problems)
    conditions = by_email[0] + by_source[0]
    if modes.refuse_unfiltered and not conditions and not problems:
        problems.append(Problem("customerEmail", "is required"))
        problems.append(Problem("orderNameOrNumber", "is required"))
    return conditions, by_email[1] + by_source[1]


def _by_email(parameters: Mapping[str, str], modes: FilterModes, problems: Problems) -> Conditions:
    """Read customerEmail and orderNameOrNumber, which need each other (documented)."""
    email = parameters.get("customerEmail")
    name = parameters.get("orderNameOrNumber")
    if modes.email == "refused":
        given = [name for name in ("customerEmail", "orderNameOrNumber") if name in parameters]
        problems.extend(Problem(name, "is no parameter of this listing") for name in given)
    elif email is not None and name is not None:
        return ("email = ?", "(order_name = ? OR order_number = ?)"), (email.casefold(), name, name)
    elif email is not None:
        problems.append(Problem("orderNameOrNumber", "is required with customerEmail"))
    elif name is not None:
        problems.append(Problem("customerEmail", "is required with orderNameOrNumber"))
    return (), ()


def _by_source(parameters: Mapping[str, str], modes: FilterModes, problems: Problems) -> Conditions:
    source_order_id = parameters.get("sourceOrderId")
    if source_order_id is None or modes.source == "ignored":
        return (), ()
    if modes.source == "refused":
        problems.append(Problem("sourceOrderId", "is no parameter of this listing"))
    return ("source_order_id = ?",), (source_order_id,)
