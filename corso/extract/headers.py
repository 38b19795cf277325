"""When two headers are the same."""

import re


def normal(header: str) -> str:
    """Return a header without what does not tell headers apart: case, spaces, underscores, dots, dashes."""
    return re.sub(r"[\s_.\-]", "", header).lower()
