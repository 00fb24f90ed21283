"""The `{{variable}}` places of a bot's texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{\{\s*([\w.]{1,64})\s*\}\}")
VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""What a variable that a flow fills may be called; names with a dot come from outside."""


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with each place filled; a value that is not there leaves nothing.

    What a value itself says in braces stays as it is, so no visitor can ask for another's value.
    """
    return _PLACE.sub(lambda place: values.get(place[1], ""), text)


def named(text: str) -> tuple[str, ...]:
    """Return the names of the places in *text*, in order."""
    return tuple(_PLACE.findall(text))
