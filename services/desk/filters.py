"""Which sessions a filter means: as a plain test, and as queries the store can answer.

Filters compose by AND; the values of one filter by OR. As every session is in exactly one list,
a filter is one query a list, and these never overlap.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.documents import ListName, Session
from libs.common.store.api import In, Range, Value, Where

Party = Literal["bot", "agent"]
Snoozed = Literal["false", "true", "all"]
"""Sessions that are not snoozed, only these, or both."""

LISTS: tuple[ListName, ...] = ("bot_hosted", "unassigned", "assigned", "ended")
OPEN: tuple[ListName, ...] = ("bot_hosted", "unassigned", "assigned")
PARTIES: tuple[Party, ...] = ("bot", "agent")
OWNED = frozenset({"assigned", "ended"})
"""Lists whose sessions may have assignees."""
ME, NEW, OTHERS = "me", "new", "others"


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller chose; an empty tuple leaves that filter out.

    Attributes:
        me: The calling agent.
        parties: `bot`: in `bot_hosted` or with the bot switched on; `agent`: the rest.
        assignees: `me`: I am an assignee; `new`: unassigned; `others`: taken, and not by me; or
            agent ids.
        snoozed: Whether those that are put aside are left out, or the only ones.
    """

    me: str
    lists: tuple[ListName, ...] = OPEN
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    parties: tuple[Party, ...] = ()
    assignees: tuple[str, ...] = ()
    snoozed: Snoozed = "false"

    @property
    def only_snoozed(self) -> bool:
        """Whether nothing else is meant."""
        return self.snoozed == "true"

    def named(self) -> frozenset[str]:
        """Return the agents that are asked for by id or as `me`."""
        words = {NEW, OTHERS}
        return frozenset(self.me if a == ME else a for a in self.assignees if a not in words)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a filter inside one list.

    Attributes:
        where: What the store is asked.
        order: The index to walk, newest first; its last two fields are `updated_at` and `id`. Of
            the snoozed ones: `snoozed`, which wakes first.
        lead: The values of the index's fields before these two.
        minus: Of `where`, the sessions to leave out: mine, for `others`. None: nothing.
        spare: Of `minus`, those with one of these assignees stay.
    """

    where: Where
    order: str
    lead: tuple[Value, ...]
    minus: Where | None = None
    spare: frozenset[str] = frozenset()


def matches(session: Session, wanted: SessionFilter) -> bool:
    """Tell whether *session* is among what *wanted* means."""
    return (
        session.list in wanted.lists
        and (not wanted.channels or session.channel in wanted.channels)
        and (not wanted.accounts or session.account in wanted.accounts)
        and (not wanted.parties or party_of(session) in wanted.parties)
        and (not wanted.assignees or _assigned_as(session, wanted))
        and (wanted.snoozed == "all" or (session.snoozed_until is not None) == wanted.only_snoozed)
    )


def party_of(session: Session) -> Party:
    """Return with whom the visitor talks."""
    return "bot" if session.bot or session.list == "bot_hosted" else "agent"


def pieces(wanted: SessionFilter) -> tuple[Piece, ...]:
    """Return the queries whose results together are what *wanted* means.

    They do not leave out what is snoozed: no index has what is not.
    """
    found = (_piece(wanted, name) for name in dict.fromkeys(wanted.lists))
    kept = (piece for piece in found if piece is not None)
    return tuple(map(_put_aside, kept)) if wanted.only_snoozed else tuple(kept)


def _assigned_as(session: Session, wanted: SessionFilter) -> bool:
    if session.list == "unassigned":
        return NEW in wanted.assignees
    if session.list not in OWNED:
        return False
    if wanted.named() & set(session.assignee_ids):
        return True
    others = OTHERS in wanted.assignees and session.owner is not None
    return others and wanted.me not in session.assignee_ids


def _piece(wanted: SessionFilter, name: ListName) -> Piece | None:
    where: dict[str, Value | In | Range] = {"list": name}
    if len(set(wanted.parties)) == 1:
        if name != "bot_hosted":
            where["bot"] = "bot" in wanted.parties
        elif "bot" not in wanted.parties:
            return None
    for field, values in (("channel", wanted.channels), ("account", wanted.accounts)):
        if values:
            where[field] = _any_of(values)
    if wanted.assignees:
        return _piece_of_assignees(wanted, name, where)
    return _walked(where)


def _piece_of_assignees(
    wanted: SessionFilter, name: ListName, where: dict[str, Value | In | Range]
) -> Piece | None:
    if name == "unassigned":
        return _walked(where) if NEW in wanted.assignees else None
    if name not in OWNED:
        return None
    named = wanted.named()
    if OTHERS not in wanted.assignees:
        return _walked(where | {"assignee_ids": _any_of(sorted(named))}) if named else None
    if name == "ended":  # an ended session may have had nobody
        where["owner"] = Range(ge="")
    if wanted.me in named:
        return _walked(where)
    return msgspec.structs.replace(
        _walked(where), minus=where | {"assignee_ids": wanted.me}, spare=named
    )


def _put_aside(piece: Piece) -> Piece:
    """Return what of *piece* is snoozed: the index holds nothing else."""
    snoozed = {"snoozed_until": Range()}
    minus = None if piece.minus is None else {**piece.minus, **snoozed}
    where = {**piece.where, **snoozed}
    return msgspec.structs.replace(piece, where=where, minus=minus, order="snoozed", lead=())


def _walked(where: Where) -> Piece:
    """Choose the index that leaves the fewest rows to look at."""
    for field, order in (("assignee_ids", "assignee"), ("account", "account")):
        value = where.get(field)
        if isinstance(value, str):
            return Piece(where=where, order=order, lead=(value,))
    return Piece(where=where, order="list", lead=(str(where["list"]),))


def _any_of(values: tuple[str, ...] | list[str]) -> Value | In:
    unique = tuple(dict.fromkeys(values))
    return unique[0] if len(unique) == 1 else In(unique)
