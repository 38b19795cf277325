"""reference/api.md: what of the API is documented, inferred and assumed, from the contract that tests hold the loader to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from handbook.markdown import table

_CONTRACT = Path(__file__).resolve().parents[1] / "schemas" / "corso_api.yaml"
_METHODS = {"get", "post", "put", "patch", "delete"}
_INTRODUCTION = """\
# The API's contract

What a loader uses of the Corso Commerce API, each part with how sure it is. *documented*: stated in Corso's reference.
*inferred*: follows from a documented sentence. *assumed*: nobody told us; the loader survives if it is wrong, and
[the API, and how to find out](../the_api.md) says how you see it. Made from `schemas/corso_api.yaml`, an OpenAPI 3.1 file.
"""


def api_page() -> str:
    """Return the page."""
    return "\n".join(_lines(yaml.safe_load(_CONTRACT.read_text(encoding="utf-8")))) + "\n"


def _lines(contract: dict[str, Any]) -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Operations\n"
    rows = [
        (
            f"`{method.upper()} {path}`",
            operation["x-grade"],
            operation["summary"],
            operation.get("description", ""),
        )
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    ]
    yield from table(("operation", "how sure", "does", "to know"), rows)
    yield "\n## Objects and fields\n"
    yield "A field whose grade differs from its object's stands in a row of its own.\n"
    yield from table(("object", "how sure", "to know"), _objects(contract["components"]["schemas"]))
    yield "\n## Answers and headers\n"
    answers = contract["components"].get("responses", {}) | contract["components"].get("headers", {})
    yield from table(
        ("name", "how sure", "to know"),
        [
            (f"`{name}`", each.get("x-grade", ""), each.get("description", ""))
            for name, each in answers.items()
        ],
    )


def _objects(schemas: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, schema in schemas.items():
        grade = schema.get("x-grade", "")
        yield f"`{name}`", grade, schema.get("description", "")
        for field, declared in _fields(schema):
            if declared.get("x-grade", grade) != grade:
                yield f"`{name}.{field}`", declared["x-grade"], declared.get("description", "")


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from schema.get("properties", {}).items()
    for part in schema.get("allOf", ()):
        yield from part.get("properties", {}).items()
