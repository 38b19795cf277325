"""What stands below a model's fields in the source: the text of a field for a page, kept where its author wrote it.

pydantic would read these texts too (`use_attribute_docstrings`), at each start of each command; only pages want them.
"""

import ast
import inspect
from types import ModuleType


def field_texts(*modules: ModuleType) -> dict[tuple[str, str], str]:
    """Return (class, field) -> the text below the field, in one line; empty where there is none."""
    return {
        (node.name, field.target.id): _text(below)
        for module in modules
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
        for field, below in zip(node.body, [*node.body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def _text(node: ast.stmt | None) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return " ".join(str(node.value.value).split()) if is_text else ""  # type: ignore[union-attr]  # checked in is_text
