"""What the conversations of one batch, and the plans drawn for them, say together. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from libs.common.documents import Identity, Message, Session
from libs.common.events import IdentityChanged, SendReported
from services.router.contacts import Heard
from services.router.entry import Arrival, is_homeless, opens, own_id
from services.router.fold import name_of
from services.router.links import Link
from services.router.plan import Known, Plan, Talk

Talks = dict[Talk, list[Arrival]]


def is_closed(known: Known) -> bool:
    """Tell whether no open session was found."""
    return known.session is None or known.session.open_key is None


def named(arrivals: Iterable[Arrival]) -> set[str]:
    """Return the messages of ours that the events name."""
    return {own_id(arrival.inbound.event) for arrival in arrivals} - {""}


def needs_any(arrivals: Iterable[Arrival]) -> bool:
    """Tell whether some event may belong to a session other than the open one of its visitor id.

    It attaches to a session but does not open one, or tells of another id of the same person.
    """
    events = [arrival.inbound.event for arrival in arrivals]
    return any(event.alias or (not opens(event) and not is_homeless(event)) for event in events)


def reveals(arrivals: Iterable[Arrival]) -> bool:
    """Tell whether some event names the visitor's id on another account."""
    events = (arrival.inbound.event for arrival in arrivals)
    return any(isinstance(event, SendReported) and event.linked_visitor for event in events)


def in_turn(talks: Talks) -> list[Talks]:
    """Return *talks* in groups: who has a new id after the former one, an alias after its owner."""
    aliases = {
        Talk(talk.account, arrival.inbound.event.alias)
        for talk, arrivals in talks.items()
        for arrival in arrivals
        if arrival.inbound.event.alias
    }
    groups: tuple[Talks, Talks, Talks] = ({}, {}, {})
    for talk, arrivals in talks.items():
        groups[2 if talk in aliases else int(_renames(arrivals))][talk] = arrivals
    return [group for group in groups if group]


def _renames(arrivals: Iterable[Arrival]) -> bool:
    return any(isinstance(arrival.inbound.event, IdentityChanged) for arrival in arrivals)


def shared(plans: Mapping[Talk, Plan]) -> set[Talk]:
    """Return who has to wait because another conversation of the batch changes their session."""
    seen: set[str] = set()
    waiting: set[Talk] = set()
    for talk, drawn in plans.items():
        ids = {session.id for session in drawn.changed}
        if ids & seen:
            waiting.add(talk)
        seen |= ids
    return waiting


def entry_changes(
    plans: Mapping[Talk, Plan],
) -> tuple[dict[str, Talk], list[Message], set[Talk]]:
    """Return whose each change is, the changes, and who has to wait for another's."""
    by: dict[str, Talk] = {}
    changes: list[Message] = []
    waiting: set[Talk] = set()
    for talk, drawn in plans.items():
        for entry in (*drawn.moved, *drawn.ours):
            if entry.id in by:  # two conversations speak of one message: one after the other
                waiting.add(talk)
            else:
                by[entry.id] = talk
                changes.append(entry)
    return by, changes, waiting


def introduce(drawn: Plan, people: Mapping[str, Identity]) -> None:
    """Give a new session the contact of a visitor who was known before."""
    identity = people.get(drawn.newcomer.identity.id) if drawn.newcomer is not None else None
    if identity is None:
        return
    for session in drawn.created:
        session.contact = identity.contact
        session.contact_name = session.contact_name or name_of(identity.profile)


def unnamed(plans: Iterable[Plan]) -> list[Session]:
    """Return the new sessions without a name, of visitors whose contact may have one already."""
    return [
        session
        for drawn in plans
        for session in drawn.created
        if not session.contact_name
        and (drawn.newcomer is None or session.contact != drawn.newcomer.contact.id)
    ]


def with_strays(
    plans: Mapping[Talk, Plan], people: Mapping[str, Identity]
) -> tuple[dict[Talk, str], dict[Talk, Talk]]:
    """Return where strays wait for new sessions, under either id, and whose each place is."""
    opened: dict[Talk, str] = {}
    by: dict[Talk, Talk] = {}
    for talk, drawn in plans.items():
        who = drawn.newcomer
        if who is None or not drawn.created:
            continue
        for one in (who.identity, who.alias):
            identity = people.get(one.id) if one is not None else None
            if identity is not None and identity.strays:
                place = Talk(talk.account, identity.visitor)
                opened[place] = drawn.created[0].id
                by[place] = talk
    return opened, by


def is_stored(link: Link, drawn: Plan, people: Mapping[str, Identity]) -> bool:
    """Tell whether who is new was stored together with the alias that *link* tells of."""
    who = drawn.newcomer
    if not link.alias or who is None or who.alias is None:
        return False
    ids = {who.identity.id, who.alias.id}
    return who.alias.visitor == link.other.visitor and not ids & people.keys()


def news_of_contacts(
    plans: Mapping[Talk, Plan], known: Collection[str]
) -> tuple[dict[str, dict[str, Heard]], dict[str, Talk]]:
    """Return what the plans tell of contacts, and by whom; nothing of who is new with it.

    *known* are the ids of identities that were stored before.
    """
    news: dict[str, dict[str, Heard]] = {}
    by: dict[str, Talk] = {}
    for talk, drawn in plans.items():
        who = drawn.newcomer
        fresh = who.contact.id if who is not None and who.identity.id not in known else ""
        for session, heard in drawn.heard:
            if not session.rev and session.contact == fresh:
                continue  # the contact was stored with it
            news.setdefault(session.contact, {}).update(heard)
            by[session.contact] = talk
    return news, by
