"""One partition of a stream: its consumer's deliveries that we hold, and the right to more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from typing import Protocol

from libs.common.bus.connection import Connection
from libs.common.bus.delivery import FOR, Delivery
from libs.common.bus.options import Observed
from libs.common.bus.pull import Pull, place
from libs.common.bus.wire import decode_headers, pub

log = logging.getLogger(__name__)

PULL_S = 1.5
"""A request lives this long; a hand-over waits for it at most."""
_KEEP_PIN_EVERY_S = 1.5
_SETTLED_FOR_S = 60.0
_SETTLED_KEPT = 2048
_IDLE_S = 0.3

ACK = b"+ACK"
TERM = b"+TERM"
NAK = b"-NAK"
IN_PROGRESS = b"+WPI"


class State(Enum):
    """Ours or not, and on the way from one to the other."""

    OFF = "off"
    ON = "on"
    ENDING = "ending"
    """No more requests; those open may still bring deliveries, which are worked on."""
    RELEASING = "releasing"
    """No requests are open; calls that run are finished, nothing new begins."""


class Held:
    """A delivery that we took and have not settled."""

    __slots__ = ("delivery", "gone", "key", "partition", "running")

    def __init__(self, delivery: Delivery, partition: Partition) -> None:
        self.delivery = delivery
        self.partition = partition
        self.key = (delivery.sequence, delivery.stored_at_ns)
        self.running = False
        """Whether a handler works on it: then it is not given back."""
        self.gone = False
        """Whether it is settled or given back: nothing is to be done with it any more."""

    @property
    def may_begin(self) -> bool:
        """Whether a handler may still take it up."""
        return not self.gone and self.partition.state is not State.RELEASING


class Gathering:
    """What a partition's new owner collects before it begins.

    The server keeps returned deliveries in a queue that it turns round while requests are open
    that it may not answer, so they come back in any order and behind newer ones (seen with server
    2.15). The new owner waits until all that the consumer has outside is here, and sorts.
    """

    def __init__(self, waiting: list[Held]) -> None:
        self.waiting = waiting
        """Deliveries that nobody works on yet."""
        self.complete = asyncio.Event()
        self._outside: int | None = None
        self._last = 0

    def expect(self, outside: int, last: int, held: Iterable[tuple[int, int]]) -> None:
        """Learn that *outside* deliveries up to sequence *last* are unsettled."""
        self._outside, self._last = outside, last
        self._check(held)

    def add(self, held: Held, all_held: Collection[tuple[int, int]]) -> None:
        """Take one that arrived; *all_held* are the keys of all that are unsettled and here."""
        self.waiting.append(held)
        if self._outside is not None and len(all_held) >= self._outside:
            self._check(all_held)

    def _check(self, held: Iterable[tuple[int, int]]) -> None:
        if self._outside is not None and self._outside <= sum(k[0] <= self._last for k in held):
            self.complete.set()


class Work(Protocol):
    """How deliveries are worked on."""

    gather_s: float
    """How long to wait for what a former owner gave back, before anything is worked on."""

    async def run(self) -> None:
        """Work until cancelled."""

    def arrived(self, held: Held) -> None:
        """Take a new delivery."""

    def full(self) -> bool:
        """Tell whether to ask for no more for now."""


class Partition:
    """Deliveries of one consumer, in order, each held at most once.

    Args:
        connection: Where to pull.
        index: The partition's number.
        target: `<stream>.<consumer>`.
        work: Who takes the deliveries.
        observe: Where to count.
        batch: Messages to request at once.
        on_pin: Called when the server lets us have the partition anew: begin to gather.
        pinned: Whether one replica has it at a time; else it never gathers.
    """

    def __init__(  # noqa: PLR0913 (made in one place)
        self,
        connection: Connection,
        index: int,
        target: str,
        work: Work,
        observe: Observed,
        *,
        batch: int,
        on_pin: Callable[[Partition], None],
        pinned: bool = True,
    ) -> None:
        self._connection = connection
        self.index = index
        self.target = target
        self._work = work
        self._observe = observe
        self._batch = batch
        self._on_pin = on_pin
        self._loop = asyncio.get_running_loop()
        self._last_arrival = float("-inf")
        self._settled: dict[tuple[int, int], float] = {}
        self.held: dict[tuple[int, int], Held] = {}
        self.state = State.OFF
        self.gathering: Gathering | None = None
        """Set from a new pin on until all that its former owner left is here again."""
        self.pull = Pull(connection, target, self._take, self.ask, pinned=pinned)

    @property
    def durable(self) -> str:
        """The name that the consumers of all partitions share."""
        return self.target.partition(".")[2].rpartition("-")[0]

    def ask(self) -> None:
        """Keep a request open; when there is no room, only as much as keeps the pin.

        A pin lapses when no request comes for its time to live, also while all is well but slow.
        One request for one message is the price of keeping it; `max_ack_pending` bounds the sum.
        """
        if self.state is not State.ON:
            return
        pull = self.pull
        pull.check_overdue()
        if self._work.full() and self.gathering is None:
            if pull.pin and self._loop.time() - pull.asked_at > _KEEP_PIN_EVERY_S:
                pull.ask(1, PULL_S)
        elif pull.wanted == 0 or (pull.pin and pull.wanted <= self._batch // 2):
            pull.ask(self._batch - pull.wanted, PULL_S)

    @property
    def idle(self) -> bool:
        """Whether nothing is held and nothing came lately."""
        return not self.held and self._loop.time() - self._last_arrival > _IDLE_S

    def _take(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        at = place(reply)
        self._last_arrival = self._loop.time()
        self._observe.pending[self.index] = at.pending
        named = decode_headers(headers)
        self._note_pin(named.pop("Nats-Pin-Id", self.pull.pin))
        if at.attempt > 1:
            self._observe.on_redelivered()
        key = (at.sequence, at.stored_ns)
        if key in self.held:
            return  # its work is going on; the acknowledgement to come covers this one too
        if self._is_over(key, named):
            self._connection.write(pub(reply, b"", ACK))
        else:
            delivery = Delivery(
                subject=subject.decode(),
                data=data,
                headers=named,
                sequence=at.sequence,
                attempt=at.attempt,
                partition=self.index,
                pending=at.pending,
                reply=reply.decode(),
                stored_at_ns=at.stored_ns,
            )
            self._hold(Held(delivery, self))
        if self.pull.wanted <= self._batch // 2:
            self.ask()

    def _is_over(self, key: tuple[int, int], headers: Mapping[str, str]) -> bool:
        """Tell whether there is nothing to do: it was brought back for another consumer, or done.

        Of what is done the acknowledgement was lost.
        """
        if headers.get(FOR, self.durable) != self.durable:
            return True
        return self._loop.time() - self._settled.get(key, float("-inf")) < _SETTLED_FOR_S

    def _hold(self, held: Held) -> None:
        self.held[held.key] = held
        self._observe.in_flight += 1
        if self.gathering is None:
            self._work.arrived(held)
        else:
            self.gathering.add(held, self.held)

    def _note_pin(self, pin: str) -> None:
        if pin != self.pull.pin:
            self.pull.pin = pin
            waiting = self.gathering.waiting if self.gathering else []
            self.gathering = Gathering(waiting)
            self._on_pin(self)

    def begin(self, gathering: Gathering) -> None:
        """Start to work on what was gathered, in stream order; nothing if a newer pin came."""
        if self.gathering is not gathering:
            return
        self.gathering = None
        for held in sorted(gathering.waiting, key=lambda each: each.key):
            if not held.gone:
                self._work.arrived(held)

    def settle(self, held: Held, word: bytes) -> None:
        """Tell the server what became of a delivery and let it go."""
        if self.held.pop(held.key, None) is None:
            return
        held.gone = True
        self._observe.in_flight -= 1
        if word is ACK or word is TERM:
            if len(self._settled) >= _SETTLED_KEPT:
                del self._settled[next(iter(self._settled))]
            self._settled[held.key] = self._loop.time()
        self._connection.write(pub(held.delivery.reply.encode(), b"", word))

    def let_go(self) -> None:
        """Give back all that is not being worked on, in stream order."""
        for held in sorted(self.held.values(), key=lambda each: each.key):
            if not held.running:
                self.settle(held, NAK)

    def beat(self) -> list[bytes]:
        """Return the signs of life for all that is held."""
        return [pub(held.delivery.reply.encode(), b"", IN_PROGRESS) for held in self.held.values()]
