"""doctor: what the examination found, printed as it is found."""

from dataclasses import asdict
from pathlib import Path

from corso.settings import read_settings
from corso.stages.examination import Remark, examine, exit_code_of
from pipelines.output import Colour, command_line, painted, say, say_json, say_next

_MARKS = {"good": "ok", "look": "look", "bad": "BAD", "open": "-"}
_COLOURS: dict[str, Colour] = {"good": "green", "look": "yellow", "bad": "red", "open": "bold"}


def doctor(config: Path, batch: str | None, *, offline: bool, as_json: bool) -> int:
    """Examine all that a load of a batch needs; nothing is changed."""
    settings = read_settings(config)
    remarks: list[Remark] = []
    for remark in examine(settings, batch, offline=offline):
        remarks.append(remark)
        if not as_json:
            mark = painted(f"{_MARKS[remark.level]:5}", _COLOURS[remark.level])
            say(f"{mark} {remark.about:12} {remark.sentence}")
    code = exit_code_of(remarks)
    if as_json:
        say_json({"exit_code": code, "remarks": [asdict(remark) for remark in remarks]})
    examined = [] if batch is None else ["--batch", batch]
    if code > 1:
        again = command_line("doctor", config, *examined)
        say_next(f"mend what is BAD, then {again} again (docs/runbook.md has each line)")
    else:
        say_next(f"{command_line('plan', config, *examined)}   (everything but sending)")
    return code
