"""Schemathesis makes requests from the contract, right ones and wrong ones; the sandbox answers as it says.

No schema can say that the total is the sum of its parts, so the first test meets refusals of orders that
the contract's schemas allow; the last one mends the total and lets no refusal pass.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from tests.sandbox.bodies import a_fulfillment, an_order
from tests.sandbox.test_contract import CONTRACT
from tests.sandbox_process import RunningSandbox, running_sandbox

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
]
"""Those of schemathesis that hold a single answer against the contract."""

# Tokens are the tests' own affair: a request that schemathesis spoils by its token would be mended by ours.
contract = schemathesis.openapi.from_dict(CONTRACT)
contract.config.generation.update(with_security_parameters=False)
right_requests = schemathesis.openapi.from_dict(CONTRACT)
right_requests.config.generation.update(
    modes=[schemathesis.GenerationMode.POSITIVE], with_security_parameters=False
)
within_bounds = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox with a limit that is never reached, so that its headers are on every answer."""
    with running_sandbox("--limit", "1000000", "--duplicates", "existing") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def token(sandbox: RunningSandbox) -> str:
    """A token, and an order with a fulfillment, so that id 1 is there."""
    with sandbox.client() as client:
        assert client.post("/orders", json=an_order()).json()["orderId"] == 1
        assert client.post("/orders/1/fulfillments", json=a_fulfillment()).status_code == 201
    return sandbox.token()


@pytest.mark.slow
@contract.exclude(path="/oauth/token").parametrize()
@within_bounds
def test_the_api_answers_as_the_contract_says(
    case: schemathesis.Case[Any], sandbox: RunningSandbox, token: str
):
    """Every operation on orders and fulfillments."""
    answer = case.call(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {token}"})
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.slow
@contract.include(path="/oauth/token").parametrize()
@within_bounds
def test_the_token_endpoint_answers_as_the_contract_says(
    case: schemathesis.Case[Any], sandbox: RunningSandbox
):
    """It lives on a server of its own."""
    answer = case.call(base_url=sandbox.root_url)
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.slow
@right_requests.include(operation_id="createOrder").parametrize()
@within_bounds
def test_an_order_that_fits_the_contract_is_created(
    case: schemathesis.Case[Any], sandbox: RunningSandbox, token: str
):
    """Once its total is the sum of its parts, nothing else is asked of it."""
    assert isinstance(case.body, dict)
    case.body |= {"shippingMoney": 5, "subtotalMoney": 39.98, "taxMoney": 2.5, "totalMoney": 47.48}
    answer = case.call(base_url=sandbox.base_url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (200, 201), answer.text
    case.validate_response(answer, checks=CHECKS)
    listed = httpx.get(
        f"{sandbox.base_url}/orders", headers={"Authorization": f"Bearer {token}"}, verify=False
    )
    contract["/orders"]["GET"].validate_response(listed)
