"""A load generator for one kind of request, as lean as Python allows: epoll and plain sockets.

Closed loop: each connection sends the next request as soon as it has its answer (saturation).
Open loop: requests are due at Poisson times whether or not answers have come (latency); a request
that waits for a free connection is charged for its wait.
"""

from __future__ import annotations

import random
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec


class Result(msgspec.Struct, kw_only=True):
    """What one slice saw; latencies in seconds, in order of completion."""

    seconds: float
    answered: int
    refused: int
    latencies_s: list[float]

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Connections:
    """Open connections to one server; each carries one request at a time."""

    def __init__(self, port: int, number: int, request: Callable[[], bytes]) -> None:
        self._request = request
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._since: dict[int, float] = {}
        self.free: deque[int] = deque()
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(sock.fileno(), select.EPOLLIN)
            self._sockets[sock.fileno()] = sock
            self.free.append(sock.fileno())

    def send(self, since: float) -> None:
        """Send one request on a free connection; *since* is when it was due."""
        fileno = self.free.popleft()
        self._since[fileno] = since
        self._sockets[fileno].sendall(self._request())

    def answers(self, wait_s: float) -> Iterator[tuple[bool, float]]:
        """Yield (was 200, latency) of the answers that have come."""
        for fileno, _event in self._poll.poll(max(0.0, wait_s)):
            answer = self._sockets[fileno].recv(65536)
            if not answer:
                raise ConnectionError("the server closed a connection")
            self.free.append(fileno)
            latency = time.perf_counter() - self._since.pop(fileno)
            yield answer.startswith(b"HTTP/1.1 200"), latency

    @property
    def busy(self) -> int:
        return len(self._since)

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        self._poll.close()


def closed_loop(
    port: int, request: Callable[[], bytes], *, seconds: float, connections: int
) -> Result:
    """Keep every connection busy for *seconds*; then wait for the answers on their way."""
    pool = Connections(port, connections, request)
    result = Result(seconds=0.0, answered=0, refused=0, latencies_s=[])
    begun = time.perf_counter()
    end = begun + seconds
    while (now := time.perf_counter()) < end or pool.busy:
        while pool.free and now < end:
            pool.send(time.perf_counter())
        _collect(pool, result, 0.05)
    result.seconds = time.perf_counter() - begun
    pool.close()
    return result


def open_loop(
    port: int,
    request: Callable[[], bytes],
    *,
    per_second: float,
    seconds: float,
    connections: int,
    seed: int = 1,
) -> Result:
    """Send at Poisson times with the mean rate *per_second* for *seconds*."""
    chance = random.Random(seed)  # the same times for every server
    pool = Connections(port, connections, request)
    result = Result(seconds=0.0, answered=0, refused=0, latencies_s=[])
    begun = time.perf_counter()
    due = begun + chance.expovariate(per_second)
    end = begun + seconds
    while due < end or pool.busy:
        now = time.perf_counter()
        while due <= now and due < end and pool.free:
            pool.send(due)
            due += chance.expovariate(per_second)
        wait_s = 0.05 if due >= end or not pool.free else due - time.perf_counter()
        _collect(pool, result, wait_s)
    result.seconds = time.perf_counter() - begun
    pool.close()
    return result


def _collect(pool: Connections, result: Result, wait_s: float) -> None:
    for good, latency in pool.answers(wait_s):
        result.latencies_s.append(latency)
        if good:
            result.answered += 1
        else:
            result.refused += 1
