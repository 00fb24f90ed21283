"""What the stream HISTORY holds: what a session became where its events alone do not tell. Pure.

What visitors and providers do is on INBOUND, and folded again from there. What people, rules, bots
and timers did is in no event; so a write that they had a part in is kept whole, with the entries
that it added. Between two such writes a session follows from its events.
"""

from __future__ import annotations

import msgspec

from libs.common import subjects
from libs.common.documents import Message, Session
from services.router.draft import cleared

_FOLDED = frozenset({"message.stored", "message.status", "message.changed"})
"""Facts that an event tells by itself."""

_encode = msgspec.json.Encoder().encode


class Was(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it was written, without its outbox, and what else the write added."""

    session: Session
    entries: tuple[Message, ...] = ()


decode_was = msgspec.json.Decoder(Was).decode


def is_decided(session: Session) -> bool:
    """Tell whether the write of *session*, its outbox still full, was more than events folded."""
    if session.rev == 1 or session.bot_id:  # what a bot remembers is told by no fact
        return True
    if session.writes or session.records or session.sends or session.timers:
        return True
    return any(fact.type not in _FOLDED for fact in session.facts)


def history(session: Session) -> tuple[str, bytes]:
    """Return the subject and the message that keep *session* as it was written."""
    said = Was(session=cleared(session), entries=session.writes)
    return subjects.was(session.workspace, session.id), _encode(said)
