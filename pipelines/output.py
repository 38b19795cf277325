"""What every verb prints with: one line, or facts as JSON, on standard output.

Nothing but the standard library is imported here: `status` must not wait for frames or progress bars. What is said of a
batch, and how far it is, stands in `screen`.
"""

import json
import sys
from typing import Any


def say(text: str = "") -> None:
    """Print one line of facts."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(facts: Any) -> None:
    """Print facts as JSON."""
    say(json.dumps(facts, indent=1, ensure_ascii=False, default=str))
