"""How much of its allowance a provider says is used, from the headers of its answers. Pure.

Source: Meta Graph API, "Rate Limits": `X-App-Usage` is an object with `call_count`, `total_time`
and `total_cputime`, each in percent of what is allowed; `X-Business-Use-Case-Usage` has a list of
such objects by business id. At 100 % calls are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

HEADERS = ("x-app-usage", "x-business-use-case-usage")
_PERCENTS = ("call_count", "total_time", "total_cputime")
_MOST_CHARS = 20_000


def quota_used(headers: Mapping[str, str]) -> float | None:
    """Return the greatest share that is used, 1.0 for all of it; None where nothing is told.

    Args:
        headers: Of an answer, with lower-case names.
    """
    percents = [
        percent
        for name in HEADERS
        if (text := headers.get(name))
        for percent in _percents(_decoded(text))
    ]
    return max(percents) / 100 if percents else None


def _decoded(text: str) -> Any:
    if len(text) > _MOST_CHARS:
        return None
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


def _percents(said: Any) -> Iterator[float]:
    """Yield what is told at the top, or below each business."""
    if not isinstance(said, dict):
        return
    yield from _numbers(said)
    for rows in said.values():
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                yield from _numbers(row)


def _numbers(row: Mapping[str, Any]) -> Iterator[float]:
    for name in _PERCENTS:
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6:
            yield float(value)
