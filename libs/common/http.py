"""The one door for outgoing HTTP: provider calls, media, bots, webhooks out, push endpoints.

https only, the address checked where it is dialled, no redirects, no cookies, no proxy from the
environment, answers capped in bytes and time. Its failures say whether a repeat is safe, and hold
neither URL, header nor body: those carry tokens and text.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, IPv6Network, ip_address

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from libs.common.channel import HttpCall, HttpReply
from libs.common.errors import AmbiguousSendError, NotSentError, RejectedError

MAX_ANSWER_BYTES = 256 * 1024
"""Largest answer, before and after decompression; providers answer a send with below 2 KiB."""
CONNECT_S = 5.0
KEEPALIVE_S = 4.0
"""Idle seconds before we close: below the 5 s after which Node.js and Apache do, since a request
that meets a closing connection is ambiguous."""
CONNECTIONS = 256
HTTPS_PORT = 443
FIRST_UNPRIVILEGED_PORT = 1024

_ERROR_STATUS = 400
_REDIRECTS = range(300, 400)
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
SocketFactory = Callable[[AddressInfo], socket.socket]


class ForbiddenTargetError(RejectedError):
    """The URL or the address behind its name may not be called; nothing was sent.

    The same words for every reason, so that an answer reveals nothing about the inside.
    """

    code = "forbidden_target"

    def __init__(self) -> None:
        super().__init__("target is not allowed", reason="forbidden_target")


class AllowedBase(msgspec.Struct, frozen=True):
    """The one origin that may be http and on loopback: an account's own `api_base`."""

    origin: str


class _TooLargeError(Exception):
    """The answer exceeds the cap, or cannot be decompressed within it."""


def allowed_base(api_base: str) -> AllowedBase | None:
    """Return the exception that an account's *api_base* makes; None when it is empty.

    Raises:
        ForbiddenTargetError: It is no absolute http or https URL.
    """
    return AllowedBase(_origin(_parsed(api_base))) if api_base else None


def is_public(address: str) -> bool:
    """Tell whether *address* (IPv4 or IPv6, as dialled) lies in the public internet.

    Not public: loopback, private, link-local, CGNAT, multicast, reserved, unspecified,
    IPv4-mapped and Teredo; NAT64 and 6to4 are as public as the IPv4 address inside.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            return is_public(str(ip_address(int(found) & 0xFFFFFFFF)))
        if found in _SIX_TO_FOUR:
            return is_public(str(ip_address((int(found) >> 80) & 0xFFFFFFFF)))
        if found.ipv4_mapped or found.teredo or found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def is_loopback(address: str) -> bool:
    """Tell whether *address* is this machine itself."""
    return ip_address(address.partition("%")[0]).is_loopback


class Door:
    """Performs calls. Make it with `open_door`."""

    def __init__(self, public: aiohttp.ClientSession, local: aiohttp.ClientSession) -> None:
        self._public = public
        self._local = local

    async def perform(
        self, call: HttpCall, *, timeout_s: float, allow: AllowedBase | None = None
    ) -> HttpReply:
        """Make one call, once, and return the answer of any status but a redirect.

        An error status whose body is too large, too slow or cut is returned with an empty body:
        the status alone says what became of the call.

        Args:
            call: What to send.
            timeout_s: Seconds for everything, from the name to the last byte of the answer.
            allow: The origin that may be http and on loopback, from `allowed_base`.

        Raises:
            NotSentError: No connection came about (refused, name, TLS): repeat safely.
            AmbiguousSendError: The connection stood, and no whole answer came.
            ForbiddenTargetError: The target may not be called, now or later.
            RejectedError: The answer was a redirect (`redirected`), or the call cannot be written.
        """
        url = _parsed(call.url)
        exempt = allow is not None and _origin(url) == allow.origin
        if not exempt:
            _check(url)
        session = self._local if exempt else self._public
        try:
            return await _exchange(session, url, call, timeout_s)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(type(error).__name__) from None
        except aiohttp.InvalidURL:  # odd spellings of addresses
            raise ForbiddenTargetError from None
        except (aiohttp.ClientError, OSError, _TooLargeError) as error:  # TimeoutError too
            raise AmbiguousSendError(type(error).__name__) from None
        except ValueError:  # a header or method with control characters: refused unwritten
            raise RejectedError("the call cannot be written", reason="rejected") from None


@asynccontextmanager
async def open_door(resolver: AbstractResolver | None = None) -> AsyncIterator[Door]:
    """Open the door until the block ends; *resolver* replaces the system's (tests).

    Two pools: what was dialled under an exception is never reused for a call without one.
    """
    async with (
        _session(_dialler(is_public), resolver) as public,
        _session(_dialler(lambda a: is_loopback(a) or is_public(a)), resolver) as local,
    ):
        yield Door(public, local)


def _session(dial: SocketFactory, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS,
        keepalive_timeout=KEEPALIVE_S,
        resolver=resolver,
        happy_eyeballs_delay=None,
        socket_factory=dial,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "Relaydesk", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


def _dialler(permitted: Callable[[str], bool]) -> SocketFactory:
    """Return what makes every socket.

    Here names, literals and odd spellings have all become the address that is really dialled.
    """

    def dial(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not permitted(address[0]):
            raise ForbiddenTargetError
        return socket.socket(family, kind, protocol)

    return dial


def _parsed(text: str) -> URL:
    try:
        url = URL(text)
        if url.scheme in {"http", "https"} and url.host and url.port is not None:
            return url
    except ValueError:
        pass
    raise ForbiddenTargetError from None


def _origin(url: URL) -> str:
    return f"{url.scheme}://{url.host}:{url.port}"


def _check(url: URL) -> None:
    port = url.port or 0
    fitting = port == HTTPS_PORT or port >= FIRST_UNPRIVILEGED_PORT
    if url.scheme != "https" or url.user is not None or url.password is not None or not fitting:
        raise ForbiddenTargetError


async def _exchange(
    session: aiohttp.ClientSession, url: URL, call: HttpCall, timeout_s: float
) -> HttpReply:
    deadline = asyncio.get_running_loop().time() + timeout_s
    # Connecting ends before the deadline does, so a deadline that passes is always ambiguous.
    connect = aiohttp.ClientTimeout(total=None, connect=min(CONNECT_S, timeout_s * 0.8))
    async with asyncio.timeout_at(deadline):
        answer = await session.request(
            call.method,
            url,
            data=call.body or None,
            headers=dict(call.headers),
            allow_redirects=False,
            timeout=connect,
        )
    try:
        if answer.status in _REDIRECTS:
            raise RejectedError("redirect", reason="redirected", provider_code=str(answer.status))
        async with asyncio.timeout_at(deadline):
            body = await _read(answer)
    except (aiohttp.ClientError, TimeoutError, _TooLargeError):
        if answer.status < _ERROR_STATUS:
            raise
        body = b""
    finally:
        answer.close()  # a body read to its end has given its connection back already
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return HttpReply(status=answer.status, headers=headers, body=body)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    if (answer.content_length or 0) > MAX_ANSWER_BYTES:
        raise _TooLargeError
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise _TooLargeError
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    return bytes(body) if encoding == "identity" else _inflated(bytes(body), encoding)


def _inflated(body: bytes, encoding: str) -> bytes:
    """Decompress what came compressed though we asked for none, up to the same cap."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise _TooLargeError
    try:
        plain = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, MAX_ANSWER_BYTES + 1)
    except zlib.error:
        raise _TooLargeError from None
    if len(plain) > MAX_ANSWER_BYTES:
        raise _TooLargeError
    return plain
