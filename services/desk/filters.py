"""Which sessions a filter means: as a plain test, and as queries the store can answer.

Filters compose by AND; the values of one filter by OR. As every session is in exactly one list,
a filter is one query a list, and these never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from libs.common.documents import ListName, Session
from libs.common.store.api import All, In, Range, Value, Where
from services.desk.scope import WHOLE, Scope

Party = Literal["bot", "agent"]
Snoozed = Literal["false", "true", "all"]
"""Sessions that are not snoozed, only these, or both."""

LISTS: tuple[ListName, ...] = ("bot_hosted", "unassigned", "assigned", "ended")
OPEN: tuple[ListName, ...] = ("bot_hosted", "unassigned", "assigned")
PARTIES: tuple[Party, ...] = ("bot", "agent")
OWNED = frozenset({"assigned", "ended"})
"""Lists whose sessions may have assignees."""
ME, NEW, OTHERS = "me", "new", "others"

Conditions = dict[str, Value | In | All | Range]
_BEHIND = "\x01"
"""Before whatever follows in an order of text: behind one name, and before the next."""


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller chose; an empty tuple leaves that filter out.

    Attributes:
        me: The calling agent.
        parties: `bot`: in `bot_hosted` or with the bot switched on; `agent`: the rest.
        assignees: `me`: I am an assignee; `new`: unassigned; `others`: taken, and not by me; or
            agent ids.
        tags: Words that the session itself was tagged with: one of them is enough.
        snoozed: Whether those that are put aside are left out, or the only ones.
        scope: What the caller sees at all: composed with the rest, whatever was chosen.
    """

    me: str
    lists: tuple[ListName, ...] = OPEN
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    parties: tuple[Party, ...] = ()
    assignees: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    snoozed: Snoozed = "false"
    scope: Scope = WHOLE

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
        sifted: Not all of `where` is meant: each row is to be looked at. They are few.
    """

    where: Where
    order: str
    lead: tuple[Value, ...]
    minus: Where | None = None
    spare: frozenset[str] = frozenset()
    sifted: bool = False


def matches(session: Session, wanted: SessionFilter) -> bool:
    """Tell whether *session* is among what *wanted* means."""
    return (
        session.list in wanted.lists
        and (not wanted.channels or session.channel in wanted.channels)
        and (not wanted.accounts or session.account in wanted.accounts)
        and (not wanted.parties or party_of(session) in wanted.parties)
        and (not wanted.assignees or _assigned_as(session, wanted))
        and (not wanted.tags or not set(wanted.tags).isdisjoint(session.tags))
        and (wanted.snoozed == "all" or (session.snoozed_until is not None) == wanted.only_snoozed)
        and wanted.scope.session(session)
    )


def party_of(session: Session) -> Party:
    """Return with whom the visitor talks."""
    return "bot" if session.bot or session.list == "bot_hosted" else "agent"


def pieces(wanted: SessionFilter) -> tuple[Piece, ...]:
    """Return the queries whose results together are what *wanted* means; no two overlap.

    They do not leave out what is snoozed: no index has what is not.
    """
    kept = [piece for name in dict.fromkeys(wanted.lists) for piece in _pieces(wanted, name)]
    return tuple(map(_put_aside, kept)) if wanted.only_snoozed else tuple(kept)


def walks(piece: Piece) -> tuple[Piece, ...]:
    """Return the walks of indexes that find what *piece* asks for: one a tag.

    A session with two of the tags is found twice.
    """
    tags = piece.where.get("tags")
    if not isinstance(tags, In) or piece.order != "list":
        return (piece,)
    return tuple(
        msgspec.structs.replace(
            piece, where={**piece.where, "tags": tag}, order="tag", lead=(str(tag),)
        )
        for tag in tags.values
    )


def _assigned_as(session: Session, wanted: SessionFilter) -> bool:
    if session.list == "unassigned":
        return NEW in wanted.assignees
    if session.list not in OWNED:
        return False
    if wanted.named() & set(session.assignee_ids):
        return True
    others = OTHERS in wanted.assignees and session.owner is not None
    return others and wanted.me not in session.assignee_ids


def _pieces(wanted: SessionFilter, name: ListName) -> list[Piece]:
    where = _where(wanted, name)
    if where is None:
        return []
    teams = wanted.scope.teams
    if teams is None:
        return _present(_piece(wanted, name, where))
    seen = tuple(sorted({"", *teams}))
    found = _present(_piece(wanted, name, where | {"team": In(seen)}))
    if name in OWNED:
        mine = [_piece_of_mine(wanted, where | {"team": gap}) for gap in _between(seen)]
        found += [piece for piece in mine if piece is not None]
    return found


def _present(piece: Piece | None) -> list[Piece]:
    return [] if piece is None else [piece]


def _where(wanted: SessionFilter, name: ListName) -> Conditions | None:
    """Return the conditions of *wanted* in one list, without assignees; None: nothing fits."""
    where: Conditions = {"list": name}
    if len(set(wanted.parties)) == 1:
        if name != "bot_hosted":
            where["bot"] = "bot" in wanted.parties
        elif "bot" not in wanted.parties:
            return None
    limited = (
        ("channel", wanted.channels, wanted.scope.channels),
        ("account", wanted.accounts, wanted.scope.accounts),
    )
    for field, chosen, seen in limited:
        values = [value for value in chosen if value in seen] if chosen and seen else chosen or seen
        if values:
            where[field] = _any_of(values)
        elif chosen:
            return None
    if wanted.tags:
        where["tags"] = _any_of(wanted.tags)
    return where


def _between(seen: tuple[str, ...]) -> list[Range]:
    """Return the ranges of what is not among *seen*, which is sorted and begins with nothing."""
    ends: tuple[str | None, ...] = (*seen[1:], None)
    return [Range(ge=low + _BEHIND, lt=high) for low, high in zip(seen, ends, strict=True)]


def _piece_of_mine(wanted: SessionFilter, where: Conditions) -> Piece | None:
    """Return what a caller sees of other teams: sessions that they are on."""
    mine = _walked(where | {"assignee_ids": wanted.scope.agent})
    named = wanted.named()
    if not wanted.assignees or wanted.scope.agent in named:
        return mine
    if not named:
        return None
    return msgspec.structs.replace(mine, sifted=True)


def _piece(wanted: SessionFilter, name: ListName, where: Conditions) -> Piece | None:
    if not wanted.assignees:
        return _walked(where)
    if name == "unassigned":
        return _walked(where) if NEW in wanted.assignees else None
    if name not in OWNED:
        return None
    named = wanted.named()
    if OTHERS not in wanted.assignees:
        return _walked(where | {"assignee_ids": _any_of(sorted(named))}) if named else None
    if name == "ended":  # an ended session may have had nobody
        where = where | {"owner": Range(ge="")}
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
    for field, order in (("assignee_ids", "assignee"), ("tags", "tag"), ("account", "account")):
        value = where.get(field)
        if isinstance(value, str):
            return Piece(where=where, order=order, lead=(value,))
    return Piece(where=where, order="list", lead=(str(where["list"]),))


def _any_of(values: Sequence[str]) -> Value | In:
    unique = tuple(dict.fromkeys(values))
    return unique[0] if len(unique) == 1 else In(unique)
