"""doctor: what the examination found, printed as it is found."""

from dataclasses import asdict
from pathlib import Path

from corso.settings import read_settings
from corso.stages.examination import Remark, examine, exit_code_of
from pipelines.output import say, say_json

_MARKS = {"good": "ok", "look": "look", "bad": "BAD", "open": "-"}


def doctor(config: Path, batch: str | None, *, offline: bool, as_json: bool) -> int:
    """Examine all that a load of a batch needs; nothing is changed."""
    settings = read_settings(config)
    remarks: list[Remark] = []
    for remark in examine(settings, batch, offline=offline):
        remarks.append(remark)
        if not as_json:
            say(f"{_MARKS[remark.level]:5} {remark.about:12} {remark.sentence}")
    code = exit_code_of(remarks)
    if as_json:
        say_json({"exit_code": code, "remarks": [asdict(remark) for remark in remarks]})
    return code
