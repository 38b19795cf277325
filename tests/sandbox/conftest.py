"""One sandbox without a rate limit for all tests that need nothing else of it."""

from collections.abc import Iterator

import httpx
import pytest

from tests.sandbox_process import RunningSandbox, running_sandbox


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[RunningSandbox]:
    """A sandbox with the defaults, but for the rate limit. Tests keep apart by ids of their own."""
    with running_sandbox("--limit", "0") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def api(shared_sandbox: RunningSandbox) -> Iterator[httpx.Client]:
    """A client of the shared sandbox that carries a token."""
    with shared_sandbox.client() as client:
        yield client
