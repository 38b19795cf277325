"""The contract file is OpenAPI 3.1, grades everything that it says, and is what the sandbox does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from schemathesis.specs.openapi import definitions

from sandbox import rules
from sandbox.readers import Problem, Problems, Reader

CONTRACT_PATH = Path(__file__).parents[2] / "schemas" / "corso_api.yaml"
CONTRACT: dict[str, Any] = yaml.safe_load(CONTRACT_PATH.read_text(encoding="utf-8"))
GRADES = {"documented", "inferred", "assumed"}
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = {
    ("post", "/oauth/token"): "documented",
    ("get", "/orders"): "documented",
    ("post", "/orders"): "inferred",
    ("get", "/orders/{orderId}"): "documented",
    ("post", "/orders/{orderId}"): "inferred",
    ("delete", "/orders/{orderId}"): "documented",
    ("get", "/orders/{orderId}/fulfillments"): "documented",
    ("post", "/orders/{orderId}/fulfillments"): "documented",
}


def test_the_contract_is_valid_openapi_3_1():
    """By the specification's own schema; and that schema would notice."""
    validator = jsonschema_rs.Draft202012Validator(definitions.OPENAPI_31)
    assert [error.message for error in validator.iter_errors(CONTRACT)] == []
    assert not validator.is_valid(CONTRACT | {"paths": {"orders": {"get": 5}}})


def test_every_reference_leads_somewhere():
    """Inside the file."""
    references = list(find_references(CONTRACT))
    assert references
    for reference in references:
        target: Any = CONTRACT
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]


def find_references(part: Any) -> Iterator[str]:
    """Return every `$ref` below a part of the contract."""
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from find_references(value)
    elif isinstance(part, list):
        for value in part:
            yield from find_references(value)


def test_every_operation_is_there_with_its_grade():
    """As the description of the API grades them."""
    graded = {
        (method, path): item[method]["x-grade"]
        for path, item in CONTRACT["paths"].items()
        for method in METHODS
        if method in item
    }
    assert graded == OPERATIONS


@pytest.mark.parametrize("kind", sorted(CONTRACT["components"]))
def test_every_component_has_a_grade(kind: str):
    """Schemas, and all else that is shared."""
    for name, component in CONTRACT["components"][kind].items():
        assert component.get("x-grade") in GRADES, f"{kind}/{name}"


def test_all_grades_are_grades():
    """Nothing is misspelled."""
    written = re.findall(r"x-grade: (\w+)", CONTRACT_PATH.read_text(encoding="utf-8"))
    assert set(written) == GRADES


def test_every_answer_to_a_limited_request_may_be_429():
    """All operations but the token's share the limit."""
    for method, path in OPERATIONS:
        answers = CONTRACT["paths"][path][method]["responses"]
        assert ("429" in answers) == (path != "/oauth/token")
    assert "Retry-After" in CONTRACT["components"]["responses"]["TooManyRequests"]["headers"]


READERS = {
    "OrderInput": rules.read_order,
    "LineItemInput": rules.read_line_item,
    "Customer": rules.read_customer,
    "Address": rules.read_address,
    "FulfillmentInput": rules.read_fulfillment,
    "CancelOrder": rules.read_cancellation,
}


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_sandbox_requires_what_the_contract_requires(name: str):
    """Of an empty object, the missing fields are exactly those that the contract names."""
    missing = [problem.path for problem in problems_of(READERS[name], {}) if problem.message == "is required"]
    assert sorted(missing) == sorted(CONTRACT["components"]["schemas"][name]["required"])


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_sandbox_reads_the_fields_that_the_contract_has(name: str):
    """A value that no field may have is a problem of every field of the contract, and of no other."""
    fields = CONTRACT["components"]["schemas"][name]["properties"]
    body = dict.fromkeys([*fields, "surprise"])
    problems = problems_of(READERS[name], body)
    assert sorted(problem.path for problem in problems) == sorted(fields)


def problems_of(reader: Reader, body: dict[str, Any]) -> list[Problem]:
    """Read a body and return its problems, without those between fields."""
    problems: Problems = []
    reader(body, "", problems)
    return [problem for problem in problems if problem.path]
