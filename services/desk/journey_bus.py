"""What the streams know of a message: bounded reads below subjects of its own workspace (I12)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from libs.common.alerts import Alert
from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.dead.letter import Letter, letter_of
from libs.common.documents import Message
from libs.common.events import Fact
from libs.common.rawlog import INGEST_ID, SPOOLED
from libs.common.subjects import ALERTS, DEAD, EVENTS, INBOUND, Stream
from services.desk.journey import Arrival, Said, Told
from services.desk.rawlog import made_at

PAGE = 100
MOST_FACTS = 500
"""Facts of a session that are looked through."""
MOST_ALERTS = 4000
"""Alerts of a workspace that are looked through."""
MOST_LETTERS = 500
MOST_PLACES = 20
"""Entries whose place on INBOUND is looked at."""
MOST_SEEN = 1024
"""Messages of a workspace that are looked through for what a webhook brought, of them `CLOSE`
behind the last that was found: what a webhook brings is published at once."""
CLOSE = 128
CLOCKS = timedelta(seconds=5)
ALERTED_WITHIN = timedelta(days=1)

_fact = msgspec.json.Decoder(Fact).decode
_alert = msgspec.json.Decoder(Alert).decode
_A_WORKSPACE, _AN_ACCOUNT, _SINK = 2, 4, 1

T = TypeVar("T")


class _Head(msgspec.Struct, frozen=True):
    event_id: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    """As much of an event, or a message to send, a fact or an alert, as says what it is of."""

    event: _Head = _Head()
    account: str = ""
    ingest_id: str = ""
    received_at: datetime | None = None
    message_id: str = ""
    message: str = ""
    session: str = ""


_envelope = msgspec.json.Decoder(_Envelope)


class StreamReader:
    """Reads for one workspace; `whole` turns false once there was more than it looks through.

    Every method raises BusUnavailableError.
    """

    def __init__(self, bus: Bus, workspace: str) -> None:
        self._bus = bus
        self._workspace = workspace
        self.whole = True

    async def places(self, entries: Sequence[Message]) -> list[Arrival]:
        """Return how *entries* lie on INBOUND, as far as they still do."""
        found = []
        for entry in [one for one in entries if one.sequence][:MOST_PLACES]:
            message = await self._bus.stored(INBOUND, entry.sequence)
            arrival = self._arrival(message) if message else None
            if arrival and (arrival.account, arrival.event) == (entry.account, entry.key):
                found.append(arrival)
        return found

    async def brought(self, ingest_id: str) -> list[Arrival]:
        """Return the events on INBOUND that the webhook *ingest_id* brought."""
        since = made_at(ingest_id)
        if since is None:
            return []
        found: list[Arrival] = []
        behind = 0
        subject = f"in.*.{self._workspace}.*.*"
        async for message in self._pages(INBOUND, subject, since - CLOCKS, MOST_SEEN, tell=False):
            behind += 1
            if message.headers.get(INGEST_ID) == ingest_id:
                arrival = self._arrival(message)
                found += [arrival] if arrival else []
                behind = 0
            if found and behind >= CLOSE:
                break
        return found

    async def facts(self, session: str, since: datetime) -> list[Told]:
        """Return what was told of *session*."""
        subject = f"ev.{self._workspace}.*.*.{session}"
        read = self._pages(EVENTS, subject, since - CLOCKS, MOST_FACTS)
        return [Told(fact=_fact(one.data), at=_time(one)) async for one in read]

    async def alerts(self, sessions: Iterable[str], since: datetime) -> list[Said]:
        """Return what agents were told of *sessions*, within a day."""
        wanted = set(sessions)
        found: list[Said] = []
        subject = f"alert.*.{self._workspace}.*"
        async for one in self._pages(ALERTS, subject, since - CLOCKS, MOST_ALERTS):
            at = _time(one)
            if at > since + ALERTED_WITHIN:
                break
            alert = _alert(one.data)
            if alert.session in wanted:
                found.append(Said(alert=alert, sink=one.subject.split(".")[_SINK], at=at))
        return found

    async def letters(self, wanted: Wanted, since: datetime | None) -> list[Letter]:
        """Return the dead letters that hold what is *wanted*."""
        workspace, found = self._workspace, []
        subjects = [f"dead.*.in.*.{workspace}.*.*"]
        for session, account in sorted(wanted.sessions.items()):
            subjects.append(f"dead.*.ev.{workspace}.*.*.{session}")
            subjects.append(f"dead.*.out.*.{account}.{session}")
        subjects += [f"dead.*.alert.*.{workspace}.*"] if wanted.sessions else []
        start = since - CLOCKS if since else None
        for subject in subjects:
            async for one in self._pages(DEAD, subject, start, MOST_LETTERS):
                letter = letter_of(one)
                if wanted.is_in(letter):
                    found.append(without_body(letter))
        return found

    async def _pages(
        self, stream: Stream, subject: str, since: datetime | None, most: int, *, tell: bool = True
    ) -> Any:
        """Yield the messages of *subject* from *since* on, no more than *most*."""
        sequence, seen = 1, 0
        while seen < most:
            read = await self._bus.read(
                stream, subject, from_sequence=sequence, since=since, limit=PAGE
            )
            for message in read:
                yield message
            if len(read) < PAGE:
                return
            seen += len(read)
            since, sequence = None, read[-1].sequence + 1
        self.whole = self.whole and not tell

    def _arrival(self, message: StoredMessage) -> Arrival | None:
        """Return *message* of INBOUND, None where it is of another workspace."""
        tokens = message.subject.split(".")
        if tokens[_A_WORKSPACE] != self._workspace:
            return None
        known = read_envelope(message.data)
        return Arrival(
            sequence=message.sequence,
            at=_time(message),
            account=known.account or tokens[_AN_ACCOUNT],
            event=known.event.event_id,
            received_at=known.received_at or _time(message),
            spooled=SPOOLED in message.headers,
        )


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What dead letters are looked for: any of these.

    Attributes:
        ids: Event ids, ingest ids, and ids of our messages.
        places: Of INBOUND.
        sessions: Their accounts by session.
        alerts: Ids of alerts.
    """

    ids: frozenset[str] = frozenset()
    places: frozenset[int] = frozenset()
    sessions: dict[str, str] = {}
    alerts: frozenset[str] = frozenset()

    def is_in(self, letter: Letter) -> bool:
        """Tell whether *letter* holds it."""
        if letter.stream == INBOUND.name and letter.source in self.places:
            return True
        known = read_envelope(letter.message.data)
        named = {known.event.event_id, known.ingest_id, known.message_id, known.message}
        named.add(letter.message.headers.get(INGEST_ID, ""))
        if letter.stream == ALERTS.name:
            named.add(_alert_id(letter.message.data))
        return bool((named - {""}) & (self.ids | self.alerts))


class _Named(msgspec.Struct, frozen=True):
    id: str = ""


def _alert_id(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_Named).id
    except (ValueError, RecursionError):
        return ""


def without_body(letter: Letter) -> Letter:
    """Return *letter* without what it holds: nobody is shown it here."""
    message = msgspec.structs.replace(letter.message, data=b"")
    return msgspec.structs.replace(letter, message=message, detail="")


def read_envelope(data: bytes) -> _Envelope:
    """Return what *data* says it is of; empty where nobody can read it."""
    try:
        return _envelope.decode(data)
    except (ValueError, RecursionError):
        return _Envelope()


def _time(message: StoredMessage) -> datetime:
    return datetime.fromtimestamp(message.stored_at_ns / 1e9, UTC)
