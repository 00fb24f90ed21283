"""What differs between two moments of one thing, leaf by leaf, and how that reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from libs.common.workspace_shown import ORDER, flat

Action = Literal["create", "update", "same", "delete", "disable", "leave"]
LONGEST = 120
"""Characters of a value that are shown; `--json` has it whole."""


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A leaf that changes; absent on the side where there is none. Of secrets only `changed`."""

    field: str
    before: Any | UnsetType = UNSET
    after: Any | UnsetType = UNSET
    secret: Literal["", "changed", "same", "new", "removed"] = ""


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing of a workspace, as `rule:refunds`, and what happens to it.

    `leave`: the file does not name it, and it stays. `disable`: people are never deleted, as the
    records name them.
    """

    object: str
    action: Action
    fields: tuple[FieldChange, ...] = ()


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Return the leaves that differ."""
    return tuple(_differing(flat(before) if before else {}, flat(after) if after else {}))


def secret_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FieldChange, ...]:
    """Return what becomes of each secret; what is sealed is never shown."""
    return tuple(
        FieldChange(
            field=name,
            secret="same" if before.get(name) == value else "changed" if name in before else "new",
        )
        for name, value in after.items()
        if value
    )


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, UNSET), after.get(name, UNSET)
        if old == new or (name.endswith(ORDER) and _same_order(old, new)):
            continue
        yield FieldChange(field=name, before=old, after=new)


def _same_order(before: Any, after: Any) -> bool:
    """Tell whether what both have stands in the same order."""
    if not isinstance(before, list) or not isinstance(after, list):
        return True
    both = set(before) & set(after)
    return [one for one in before if one in both] == [one for one in after if one in both]


_SIGNS: Mapping[str, str] = {"create": "+", "update": "~", "delete": "-", "disable": "-"}


def lines(found: Iterable[ObjectChange]) -> Iterator[str]:
    """Yield a readable difference: what is added, changed, removed, and what is left as it is."""
    left = []
    for one in found:
        if one.action == "leave":
            left.append(one.object)
        elif one.action != "same":
            note = " (disabled: people are never deleted)" if one.action == "disable" else ""
            yield f"{_SIGNS[one.action]} {one.object}{note}"
            yield from (f"    {_line(field)}" for field in one.fields)
    if left:
        yield f"not in the file, and left as they are (see --prune): {', '.join(left)}"


def _line(change: FieldChange) -> str:
    if change.secret:
        return f"{change.field}: {change.secret}"
    if change.before is UNSET:
        return f"{change.field}: {_short(change.after)}"
    return f"{change.field}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: Any) -> str:
    if value is UNSET:
        return "(none)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
