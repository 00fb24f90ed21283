"""Who else runs this consumer, and which partitions are therefore ours.

Each replica says once a second that it is here (core NATS, nothing is stored). Each takes its even
share of the sorted list, without a leader. The server's pins decide who really gets messages, so
two replicas that see different lists for a moment cost a delay, never the order.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

import msgspec

from libs.common.bus.connection import Connection
from libs.common.bus.wire import checked_subject, pub

log = logging.getLogger(__name__)

SAY_EVERY_S = 1.0
GONE_AFTER_S = 2.5
ASK_FOR_S = 0.3


class Word(msgspec.Struct):
    """What a replica says: `hello` asks the others to speak up, `bye` gives up its share."""

    who: str
    hello: bool = False
    bye: bool = False


class Replicas:
    """The replicas of one consumer that are alive, this one included."""

    def __init__(self, connection: Connection, consumer: str, partitions: int) -> None:
        self._connection = connection
        self._subject = checked_subject(f"svc.{consumer}.here")
        self._partitions = partitions
        self._loop = asyncio.get_running_loop()
        self.name = secrets.token_hex(8)
        self._heard: dict[str, float] = {}
        self._left = False
        self._sid = connection.tap(self._subject.decode(), self._hear)

    async def enter(self) -> None:
        """Ask who is there and wait 0.3 s for answers."""
        self._say(Word(self.name, hello=True))
        await asyncio.sleep(ASK_FOR_S)

    @property
    def alone(self) -> bool:
        """Whether no other replica was heard lately."""
        return not self._others()

    def ours(self) -> set[int]:
        """Return the partitions that are this replica's share now."""
        if self._left:
            return set()
        names = sorted([*self._others(), self.name])
        first = names.index(self.name)
        return set(range(first, self._partitions, len(names)))

    def _others(self) -> list[str]:
        limit = self._loop.time() - GONE_AFTER_S
        return [name for name, heard in self._heard.items() if heard > limit]

    async def keep_saying(self) -> None:
        """Say that we are here, for ever; run as a task."""
        while True:
            self._say(Word(self.name))
            limit = self._loop.time() - GONE_AFTER_S
            for name in [name for name, heard in self._heard.items() if heard <= limit]:
                log.warning("bus.replica_silent", extra={"replica": name})
                del self._heard[name]
            await asyncio.sleep(SAY_EVERY_S)

    def leave(self) -> None:
        """Give up our share; the others take over as we let go."""
        self._left = True
        self._say(Word(self.name, bye=True))

    def close(self) -> None:
        """Hear nothing more."""
        self._connection.untap(self._sid)

    def _say(self, word: Word) -> None:
        if self._connection.is_connected:
            self._connection.write(pub(self._subject, b"", msgspec.json.encode(word)))

    def _hear(self, _subject: bytes, _reply: bytes, data: bytes, _headers: bytes) -> None:
        word = msgspec.json.decode(data, type=Word)
        if word.who == self.name:
            return
        if word.bye:
            self._heard.pop(word.who, None)
            return
        if word.who not in self._heard:
            log.info("bus.replica_joined", extra={"replica": word.who})
        self._heard[word.who] = self._loop.time()
        if word.hello and not self._left:
            self._say(Word(self.name))
