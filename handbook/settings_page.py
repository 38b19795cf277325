"""reference/configuration.md: every key of loader.yaml, from the models that read it, and every environment variable."""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from corso import calendar, settings
from corso.calendar import Span
from corso.settings import Loader, RoleFiles
from corso.storage.address import BucketAddress
from handbook.markdown import fenced, table
from pipelines.field_texts import field_texts

EXAMPLES = {
    "store.id": "9359",
    "store.time_zone": "America/New_York",
    "store.currency": "USD",
    "store.fulfillment_locations": "{default: 12, North: 14}",
    "exports.profile": "shopify",
    "exports.ROLE.files": '["in/orders*.csv", "late/orders*.csv.gz"]',
    "exports.ROLE.delimiter": '";"',
    "exports.ROLE.encoding": "cp1252",
    "exports.ROLE.duplicate_headers": "number",
    "exports.ROLE.skip_lines": "2",
    "exports.ROLE.skip_rows": "1",
    "corso.environment": "staging",
    "corso.base_url": "https://api.example/v1",
    "corso.token_url": "https://auth.example/oauth/token",
    "corso.audience": "api.example",
    "corso.token_encoding": "form",
    "corso.timeout_s": "60",
    "corso.ca_file": "company-ca.pem",
    "fallbacks": '{line_items.sku: "{source_line_item_id}"}',
    "corrections": '"corrections/{batch}/*.csv"',
    "limits.share": "0.5",
    "limits.calendar": '[{days: mon-fri, hours: "09:00-21:00", share: 0.3}]',
    "limits.calendar.SPAN.days": '"sat,sun"',
    "limits.calendar.SPAN.hours": '"21:00-09:00"',
    "limits.calendar.SPAN.share": "0.95",
    "limits.max_in_flight": "16",
    "limits.requests_per_second": "5",
    "limits.patience_s": "3600",
    "limits.outage_s": "300",
    "limits.memory": "4GiB",
    "validation.max_quarantined": "0.2",
    "upload.canary": "50",
    "upload.max_rejected": "0.01",
    "upload.listing_delay_s": "10",
    "upload.when_unverifiable": "resend",
    "upload.cancel_with_delete": "false",
    "reconcile.ignore": "[notes, line_items.vendor]",
    "reconcile.mode": "listing",
    "reconcile.fulfillment_requests": "5000",
    "report.personal_data": "show",
    "ledger.url": '"postgresql://loader@db.example/corso"',
    "nightly.markers": "[_DONE]",
    "nightly.quiet_s": "120",
    "nightly.due_by": '"07:00"',
    "nightly.days": "mon-sat",
    "workdir": "/data/corso/work",
}
"""Key -> a value as it is written in loader.yaml; a test reads each with the models."""

_PAGES = Path(__file__).resolve().parents[1] / "docs"
_PAGE = re.compile(r"docs/([a-z_/]+\.md)")

VARIABLES = {
    "CORSO_CLIENT_ID": "The client id that Corso gave you.",
    "CORSO_CLIENT_SECRET": "Its secret. Never in loader.yaml, never in a log.",
    "CORSO_LEDGER_URL": "A PostgreSQL database for the ledger, with its password: [the ledger](../ledger.md).",
    "CORSO_DAGSTER_URL": "A PostgreSQL database for Dagster's runs.",
    "CORSO_LOADER_CONFIG": "Which loader.yaml, or which folder of stores, Dagster serves: [every night](../nightly.md).",
    "CORSO_LOG": "`json`: JSON lines on standard error, as with `--log json`.",
    "CORSO_FULL_ERRORS": "`1` shows the texts of unexpected errors, which may hold personal data: [security](../security.md).",
    "CORSO_LOG_LEVEL": "`debug` adds the operations that were accepted.",
    "CORSO_EXECUTOR": "Where a run's steps are carried out; in the run's own process if it is not set.",
    "CORSO_RUN_START": "How the code server starts a run: `forkserver`, forked from a process that has imported everything, or `spawn`, a new one.",
    "CORSO_BROKER_URL": "The Redis server between runs and Celery's workers.",
    "CORSO_SCRATCH": "Where working copies of a bucket are kept; by default `corso-loader` in the user's cache folder.",
    "CORSO_METRICS_DIR": "Where each run writes its metrics for node-exporter.",
    "CORSO_ALERT_WEBHOOK": "An https URL that takes alerts as JSON.",
    "CORSO_ALERT_MAIL": "A mail server for alerts: `smtp://user:password@host:587` or `smtps://…:465`.",
    "CORSO_ALERT_FROM": "The alerts' sender.",
    "CORSO_ALERT_TO": "Their receivers, parted by commas.",
    "CORSO_ALERT_UI": "The address of Dagster's web UI, for a link in the alert.",
    "DAGSTER_HOME": "The folder of the Dagster instance; by default `dagster` in the workdir.",
    "NO_COLOR": "Anything: no colours on a terminal, either.",
}
"""Environment variable -> what it is for; a test holds it against those that the code reads."""

_INTRODUCTION = """\
# Configuration

One file says what to load and where to: `loader.yaml`. `corso-loader inspect YOUR_FILES --write loader.yaml` writes one to
fill in. Relative paths are relative to it; an unknown key is an error that names the line and the nearest right key. Only
`store` and `exports` are needed. This page is made from the code that reads the file.
"""
_KINDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    time: "time of day",
    BucketAddress: "address in a bucket",
    Span: "a span, see below",
}


def settings_page() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield from fenced("yaml", _WHOLE)
    yield ""
    said = field_texts(settings, calendar)
    for key, model in sections():
        yield f"## {key or 'the file itself'}\n"
        yield f"{' '.join((inspect.getdoc(model) or '').split())}\n"
        rows = [
            (
                f"`{name}`",
                kind_of(field),
                _default(field),
                _with_links(said.get((model.__name__, name), "")),
                _example(key, name),
            )
            for name, field in model.model_fields.items()
            if key or not _is_section(field)
        ]
        yield from table(("key", "value", "default", "meaning", "example"), rows)
        yield ""
    yield "## Environment variables\n"
    yield "Secrets come from here or from a `.env` file beside loader.yaml, and from nowhere else.\n"
    yield from table(("variable", "meaning"), [(f"`{name}`", text) for name, text in VARIABLES.items()])


_WHOLE = """\
store: {id: 9359, time_zone: America/New_York, fulfillment_locations: {default: 12}}
exports: {profile: canonical, orders: "in/orders*.csv", line_items: "in/line_items*.parquet", fulfillments: "in/fulf*.csv"}
corso: {environment: staging}
fallbacks: {line_items.sku: "{source_line_item_id}"}
limits: {share: 0.8}
validation: {max_quarantined: 0.05}
workdir: work
"""


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield (dotted key, model) of the file itself and of each section in it, in the order of the file."""
    yield "", Loader
    for name, field in Loader.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        yield name, model
        if name == "exports":
            yield "exports.ROLE", RoleFiles
        if name == "limits":
            yield "limits.calendar.SPAN", Span


def keys() -> Iterator[str]:
    """Yield every key that has a value of its own, dotted."""
    for section, model in sections():
        for name, field in model.model_fields.items():
            if not _is_section(field):
                yield f"{section}.{name}".lstrip(".")


def kind_of(field: FieldInfo) -> str:
    """Return in words what may stand there."""
    return _kind(field.annotation)


def _with_links(text: str) -> str:
    """Make the pages that a text names links, those that are there."""
    return _PAGE.sub(
        lambda page: f"[{page[1]}](../{page[1]})" if (_PAGES / page[1]).exists() else page[0], text
    )


def _kind(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    inner = [_kind(each) for each in arguments if each not in {..., type(None)}]
    first = inner[0] if inner else ""
    of_several = {
        typing.Union: " or ".join(dict.fromkeys(inner)),
        types.UnionType: " or ".join(dict.fromkeys(inner)),
        typing.Annotated: first,
        tuple: f"list of {first}" if ... in arguments else "text",
        frozenset: "days",
        dict: " -> ".join(inner),
    }
    if origin is not None:
        return of_several[origin]
    return _KINDS.get(annotation) or getattr(annotation, "__name__", "").lower()


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "needed"
    if value is PydanticUndefined or value is None or value in ((), {}, "") or isinstance(value, BaseModel):
        return ""
    if value == calendar.EVERY_DAY:
        return "every day"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "the whole day" if value == (0, 1440) else f"`[{', '.join(map(str, value))}]`"
    return f"`{value.human_readable()}`" if hasattr(value, "human_readable") else f"`{value}`"


def _example(section: str, name: str) -> str:
    written = EXAMPLES.get(f"{section}.{name}".lstrip("."))
    return f"`{written}`" if written else ""


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
