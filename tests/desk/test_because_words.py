"""Every `because` that the code writes has words in the answer to why (D04)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from libs.common.rules.because import WORDS

ROOT = Path(__file__).parents[2]
PLACES = (ROOT / "services" / "router", ROOT / "libs" / "common" / "rules")


def literals(value: ast.expr | None) -> Iterator[str]:
    """Yield the texts that an expression may be: itself, or either side of a choice."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from literals(value.body)
        yield from literals(value.orelse)


def reasons(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "because":
            yield from literals(node.value)
        if isinstance(node, ast.Assign) and "because" in ast.unparse(node.targets[0]):
            yield from literals(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Step" and node.args[2:]:
            yield from literals(node.args[2])


def test_d04_every_because_in_use_has_words() -> None:
    files = [path for place in PLACES for path in sorted(place.rglob("*.py"))]
    used = {word for path in files for word in reasons(ast.parse(path.read_text()))}
    assert {"released", "removed", "no_rule"} <= used  # else nothing is looked at
    assert used - {"", "other"} <= set(WORDS)  # `other`: a label of a metric
