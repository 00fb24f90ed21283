"""Which replicas of a service answer now: looked up by name, asked, and chosen in turn.

A replica is written as `http://host:port`, or `http://host:port#9090` where its `/readyz` is on
port 9090 of the same host. A host name may have several addresses: each is a replica of its own,
and they are looked up anew all the time, so that replicas come and go. Without a port to ask, a
replica is ready whose port takes a connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

import aiohttp
import msgspec
from yarl import URL

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
ANSWERS_WITHIN_S = 2.0
"""A replica that does not say within this time that it is ready counts as not ready."""
MAX_PORT = 65535
_OK = 200


class Source(msgspec.Struct, frozen=True):
    """Where replicas of a service are: an origin whose host is a name or an address."""

    origin: URL
    probe_port: int | None = None


class Backend(msgspec.Struct, frozen=True):
    """One replica: where it answers, where it is asked, and the name for its certificate."""

    origin: str
    probe: str | None = None
    server_name: str | None = None


def source(text: str) -> Source:
    """Read `http://host:port[#probe port]`.

    Raises:
        ValueError: It is none, or has a path.
    """
    url = URL(text)
    plain = url.with_fragment(None)
    if url.scheme not in {"http", "https"} or not url.host or plain.path_qs != "/":
        raise ValueError(text)
    if not url.fragment:
        return Source(plain.origin())
    if not url.fragment.isdecimal() or not 0 < int(url.fragment) <= MAX_PORT:
        raise ValueError(text)
    return Source(plain.origin(), int(url.fragment))


class Backends:
    """The replicas of one service; `run` keeps looking.

    Args:
        sources: Where they are.
        http: Asks them.
    """

    def __init__(self, sources: Sequence[Source], http: aiohttp.ClientSession) -> None:
        self._http = http
        self._found: dict[Source, tuple[Backend, ...]] = dict.fromkeys(sources, ())
        self._ready: frozenset[Backend] = frozenset()
        self._turn = 0

    @property
    def ready(self) -> int:
        """How many are ready."""
        return len(self._ready)

    @property
    def known(self) -> int:
        """How many there are."""
        return len(self._all())

    def choose(self) -> list[Backend]:
        """Return all of them in the order to be tried: the ready ones in turn, then the others."""
        found = self._all()
        self._turn += 1
        start = self._turn % len(found) if found else 0
        turned = found[start:] + found[:start]
        return sorted(turned, key=lambda one: one not in self._ready)

    def fails(self, one: Backend) -> None:
        """Take note that *one* took no connection; it is asked again soon."""
        self._ready -= {one}

    async def run(self) -> None:
        """Look up and ask, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Look up and ask once."""
        sources = list(self._found)
        for one, found in zip(sources, await asyncio.gather(*map(_resolved, sources)), strict=True):
            self._found[one] = found or self._found[one]  # a name server that is away changes none
        asked = self._all()
        told = await asyncio.gather(*map(self._is_ready, asked))
        ready = frozenset(one for one, yes in zip(asked, told, strict=True) if yes)
        for changed in sorted(self._ready ^ ready, key=lambda one: one.origin):
            told_now = {"backend": changed.origin, "ready": changed in ready}
            log.info("front.backend", extra=told_now)
        self._ready = ready

    def _all(self) -> list[Backend]:
        return list(dict.fromkeys(one for found in self._found.values() for one in found))

    async def _is_ready(self, one: Backend) -> bool:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                return await (self._says_so(one.probe) if one.probe else _connects(one.origin))
        except (aiohttp.ClientError, OSError):  # TimeoutError is one
            return False

    async def _says_so(self, probe: str) -> bool:
        async with self._http.get(probe, allow_redirects=False) as answer:
            return answer.status == _OK


async def _connects(origin: str) -> bool:
    url = URL(origin)
    _, writer = await asyncio.open_connection(url.host, url.port)
    writer.close()
    return True


async def _resolved(one: Source) -> tuple[Backend, ...]:
    """Return a replica for each address; none where the name is not known now."""
    origin = one.origin
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            found = await asyncio.get_running_loop().getaddrinfo(
                origin.host or "", origin.port, type=socket.SOCK_STREAM
            )
    except OSError:
        return ()
    hosts = sorted({str(address[0]) for *_, address in found})
    return tuple(_backend(one, host) for host in _one_family(hosts))


def _one_family(hosts: list[str]) -> list[str]:
    """Keep IPv4 where a name has both: it is the same replica."""
    old = [host for host in hosts if not isinstance(ip_address(host.split("%")[0]), IPv6Address)]
    return old or hosts


def _backend(one: Source, host: str) -> Backend:
    origin = one.origin.with_host(host)
    probe = None
    if one.probe_port is not None:
        probe = str(URL.build(scheme="http", host=host, port=one.probe_port, path="/readyz"))
    named = one.origin.host if one.origin.scheme == "https" else None
    return Backend(str(origin), probe, named)
