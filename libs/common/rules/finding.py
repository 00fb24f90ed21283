"""Something wrong with a policy, and at which place of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

_SHOWN = 12


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`text` says what is wrong and what is allowed; a warning does not make the policy invalid.

    `place` is like `rules[2].conditions[0].pattern`.
    """

    place: str
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def wrong(place: str, text: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(place=place, text=text)


def odd(place: str, text: str) -> Finding:
    """Return a finding that is allowed, but hardly meant."""
    return Finding(place=place, text=text, warning=True)


def unknown(place: str, what: str, name: str, allowed: Collection[str]) -> Iterator[Finding]:
    """Yield that *name* is none of those allowed, if so; *what* is their kind, as `team`."""
    if name in allowed:
        return
    names = sorted(allowed)
    listed = ", ".join(names[:_SHOWN]) or f"there is no {what} yet"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    yield wrong(place, f"{name!r} is no {what}; allowed: {listed}{more}")
