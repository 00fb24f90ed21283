"""Which bot answers in a session. Pure.

In `bot_hosted` it is one: the session's own, else the one that serves the channel. In `assigned`
those may answer whose answers are automation, and the one that somebody switched on; there the
first that knows an answer gives it, and a person is at hand for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.documents import Bot, Session
from libs.common.policy import BotRef, Policy
from services.router.room import Room


def is_hosted(session: Session) -> bool:
    """Tell whether a bot has the session, so that nobody else would answer."""
    return session.list == "bot_hosted"


def speakers(session: Session, room: Room) -> tuple[Bot, ...]:
    """Return the bots that may answer now, the one to ask first first; in `bot_hosted` only one."""
    if is_hosted(session):
        found = host(session, room)
        return (found,) if found else ()
    if session.list != "assigned":
        return ()
    bots = {bot.id: bot for bot in _in_assigned(session, room)}
    return tuple(bots.values())


def host(session: Session, room: Room) -> Bot | None:
    """Return the session's own bot, else, where it is gone or there is none, the channel's."""
    own = room.bots.get(session.bot_id)
    if own is not None:
        return own
    return next((room.bots[ref.id] for ref in _serving(room.policy, session.channel, room)), None)


def is_forsaken(session: Session, room: Room) -> bool:
    """Tell whether a bot should answer here and none is there: deleted, disabled or not loaded.

    Where no bot was ever set up nobody is missed: the session waits to be read, as people wish.
    """
    if not is_hosted(session) or host(session, room) is not None:
        return False
    return bool(session.bot_id) or any(_enabled(room.policy, session.channel))


def _in_assigned(session: Session, room: Room) -> Iterator[Bot]:
    switched_on = host(session, room) if session.bot else None
    if switched_on is not None:
        yield switched_on
    if session.automation:
        for ref in _serving(room.policy, session.channel, room, automation=True):
            yield room.bots[ref.id]


def _serving(
    policy: Policy, channel: str, room: Room, *, automation: bool = False
) -> Iterator[BotRef]:
    for ref in _enabled(policy, channel, automation=automation):
        if ref.id in room.bots:
            yield ref


def _enabled(policy: Policy, channel: str, *, automation: bool = False) -> Iterator[BotRef]:
    """Yield the channel's bots as `lookup.bot_for` ranks them: those that name it, then others."""
    wanted = [ref for ref in policy.bots if ref.enabled and (not automation or _is_automatic(ref))]
    yield from (ref for ref in wanted if channel in ref.channels)
    yield from (ref for ref in wanted if not ref.channels)


def _is_automatic(ref: BotRef) -> bool:
    return ref.automation and ref.kind != "webhook"
