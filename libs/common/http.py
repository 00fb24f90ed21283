"""The one door for outgoing HTTP: provider calls, media, bots, webhooks out, push endpoints.

https only, the address checked where it is dialled, no cookies, no proxy from the environment,
answers capped in bytes and time; redirects are followed for downloads only. Its failures say
whether a repeat is safe, and hold neither URL, header nor body: those carry tokens and text.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from libs.common.channel import HttpCall, HttpReply
from libs.common.errors import AmbiguousSendError, NotSentError, RejectedError
from libs.common.files.api import Files
from libs.common.multipart import Form, open_form
from libs.common.targets import (
    AllowedBase,
    ForbiddenTargetError,
    SocketFactory,
    allowed_base,
    check,
    dialler,
    is_inside,
    is_loopback,
    is_public,
    origin_of,
    parsed,
)
from libs.common.traced_call import traced

__all__ = [
    "AllowedBase",
    "Door",
    "Download",
    "ForbiddenTargetError",
    "allowed_base",
    "is_loopback",
    "is_public",
    "open_door",
]

MAX_ANSWER_BYTES = 256 * 1024
"""Largest answer, before and after decompression; providers answer a send with below 2 KiB."""
CONNECT_S = 5.0
KEEPALIVE_S = 4.0
"""Idle seconds before we close: below the 5 s after which Node.js and Apache do, since a request
that meets a closing connection is ambiguous."""
CONNECTIONS = 256
REDIRECTS = 3
"""Redirects that a download follows; media of providers lie one or two behind."""
SILENCE_S = 15.0
"""Seconds without a byte after which a download is given up."""
SLOW_AFTER_S = 30.0
"""Seconds of waiting after which a download must have come with `SLOWEST` at least, and within
which its headers must be here: who drips must not hold a place for all the time there is."""
SLOWEST = 16 * 1024
"""Bytes a second, on average since the beginning."""
_ERROR_STATUS = 400
_REDIRECTS = range(300, 400)
_FOLLOWED = frozenset({301, 302, 303, 307, 308})


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is still coming in; `headers` has lower-case names.

    Reading `chunks` raises `NotSentError` when it breaks off or takes too long, and
    `RejectedError` (`too_large`) at the cap.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class _TooLargeError(Exception):
    """The answer exceeds the cap, or cannot be decompressed within it."""


class Door:
    """Performs calls. Make it with `open_door`."""

    def __init__(
        self,
        public: aiohttp.ClientSession,
        local: aiohttp.ClientSession,
        inside: aiohttp.ClientSession,
        files: Files | None = None,
        stand_in: str = "",
    ) -> None:
        self._public = public
        self._local = local
        self._inside = inside
        self._files = files
        self._stand_in = origin_of(parsed(stand_in)) if stand_in else ""

    async def perform(
        self,
        call: HttpCall,
        *,
        timeout_s: float,
        allow: AllowedBase | None = None,
        workspace: str = "",
        kept: int = 0,
    ) -> HttpReply:
        """Make one call, once, and return the answer of any status but a redirect.

        An error status whose body is too large, too slow or cut is returned with an empty body:
        the status alone says what became of the call.

        Args:
            call: What to send.
            timeout_s: Seconds for everything, from the name to the last byte of the answer.
            allow: The origin that may be http and on loopback, from `allowed_base`.
            workspace: Whose stored file `call.upload` names.
            kept: Where the status alone counts, how many bytes of the body to read at most: it
                may be larger, cut or never end. Nothing that came compressed is kept.

        Raises:
            NotSentError: No connection came about (refused, name, TLS), or the file of an upload
                could not be read to its end: repeat safely.
            AmbiguousSendError: The connection stood, and no whole answer came.
            ForbiddenTargetError: The target may not be called, now or later.
            RejectedError: The answer was a redirect (`redirected`), the call cannot be written, or
                the file of an upload is gone (`file_missing`).
        """
        url = parsed(call.url)
        session = self._session(url, allow)
        form = await open_form(workspace, call.upload, self._files) if call.upload else None
        try:
            exchange = _exchange(session, url, call, form, timeout_s, kept)
            return await traced(exchange, call, url.host)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(type(error).__name__) from None
        except aiohttp.InvalidURL:  # odd spellings of addresses
            raise ForbiddenTargetError from None
        except (aiohttp.ClientError, OSError, _TooLargeError) as error:  # TimeoutError too
            if form and form.incomplete:
                raise NotSentError("the file could not be read to its end") from None
            raise AmbiguousSendError(type(error).__name__) from None
        except ValueError:  # a header or method with control characters: refused unwritten
            raise RejectedError("the call cannot be written", reason="rejected") from None

    @asynccontextmanager
    async def download(
        self,
        call: HttpCall,
        *,
        timeout_s: float,
        max_bytes: int,
        allow: AllowedBase | None = None,
    ) -> AsyncIterator[Download]:
        """Make a call and hand out its answer as it comes in, of any status.

        Up to `REDIRECTS` redirects are followed, each checked like a call of its own. The headers
        of *call* hold credentials: they go to its own origin only. Nothing of a download is ever
        doubtful, so whatever the network does is `NotSentError`.

        Args:
            call: What to fetch, a GET without a body.
            timeout_s: Seconds for everything, until the last byte is read.
            max_bytes: Largest body; a larger one is given up where that is known.
            allow: The origin that may be http and on loopback; no other may redirect to it.

        Raises:
            NotSentError: No answer, or it broke off or drips: fetch again.
            ForbiddenTargetError: The target, or one it redirects to, may not be called.
            RejectedError: `too_large`, `redirected` too often, or compressed though we asked for
                plain bytes (`rejected`).
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        async with AsyncExitStack() as opened:
            try:
                async with asyncio.timeout(min(timeout_s, SLOW_AFTER_S)):
                    answer = await self._followed(call, allow, timeout_s)
            except aiohttp.InvalidURL:
                raise ForbiddenTargetError from None
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError too
                raise NotSentError(type(error).__name__) from None
            except ValueError:
                raise RejectedError("the call cannot be written", reason="rejected") from None
            opened.callback(answer.close)
            yield Download(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                chunks=_chunks(answer, deadline, max_bytes),
            )

    async def _followed(
        self, call: HttpCall, allow: AllowedBase | None, timeout_s: float
    ) -> aiohttp.ClientResponse:
        """Return the first answer that is no redirect."""
        url = parsed(call.url)
        headers = dict(call.headers)
        for _ in range(REDIRECTS + 1):
            session = self._session(url, allow)
            answer = await _request(session, url, call.method, headers, _patience(timeout_s))
            if answer.status not in _REDIRECTS:
                return answer
            answer.close()
            target = _target(answer)
            if origin_of(target) != origin_of(url):
                headers = {}
            if session is self._public:
                allow = None  # who is outside must not lead inside
            url = target
        raise RejectedError("too many redirects", reason="redirected")

    def _session(self, url: URL, allow: AllowedBase | None) -> aiohttp.ClientSession:
        """Return the pool for *url*.

        Raises:
            ForbiddenTargetError: It may not be called.
        """
        if allow is not None and origin_of(url) == allow.origin:
            inside = allow.inside or allow.origin == self._stand_in
            return self._inside if inside else self._local
        check(url)
        return self._public


@asynccontextmanager
async def open_door(
    resolver: AbstractResolver | None = None, *, files: Files | None = None, stand_in: str = ""
) -> AsyncIterator[Door]:
    """Open the door until the block ends.

    A pool for each exception: what was dialled under one is never reused for a call without it.

    Args:
        resolver: Replaces the system's (tests).
        files: Where the files of uploads are read.
        stand_in: The origin that the operator named as the providers' stand-in: it may lie in a
            private network where an `api_base` leads to it.

    Raises:
        ForbiddenTargetError: *stand_in* is no absolute http or https URL.
    """
    async with (
        _session(dialler(is_public), resolver) as public,
        _session(dialler(lambda a: is_loopback(a) or is_public(a)), resolver) as local,
        _session(dialler(lambda a: is_inside(a) or is_public(a)), resolver) as inside,
    ):
        yield Door(public, local, inside, files, stand_in)


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


def _patience(timeout_s: float) -> aiohttp.ClientTimeout:
    """Connecting ends before the deadline does, so a deadline that passes is always ambiguous."""
    return aiohttp.ClientTimeout(
        total=None, connect=min(CONNECT_S, timeout_s * 0.8), sock_read=SILENCE_S
    )


async def _exchange(
    session: aiohttp.ClientSession,
    url: URL,
    call: HttpCall,
    form: Form | None,
    timeout_s: float,
    kept: int,
) -> HttpReply:
    headers: dict[str, str] = dict(call.headers)
    body: bytes | AsyncIterator[bytes] | None = call.body or None
    if form:
        headers = {k: v for k, v in headers.items() if k.lower() != "content-type"}
        headers |= {"Content-Type": form.content_type, "Content-Length": str(form.size)}
        body = form.body()
    deadline = asyncio.get_running_loop().time() + timeout_s
    connect = aiohttp.ClientTimeout(total=None, connect=min(CONNECT_S, timeout_s * 0.8))
    async with asyncio.timeout_at(deadline):
        answer = await _request(session, url, call.method, headers, connect, body)
    try:
        if answer.status in _REDIRECTS:
            raise RejectedError("redirect", reason="redirected", provider_code=str(answer.status))
        async with asyncio.timeout_at(deadline):
            read = await (_beginning(answer, kept) if kept else _read(answer))
    except (aiohttp.ClientError, TimeoutError, _TooLargeError):
        if answer.status < _ERROR_STATUS and not kept:
            raise
        read = b""
    finally:
        answer.close()  # a body read to its end has given its connection back already
    lower = {name.lower(): value for name, value in answer.headers.items()}
    return HttpReply(status=answer.status, headers=lower, body=read)


async def _request(
    session: aiohttp.ClientSession,
    url: URL,
    method: str,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
    body: bytes | AsyncIterator[bytes] | None = None,
) -> aiohttp.ClientResponse:
    return await session.request(
        method, url, data=body, headers=headers, allow_redirects=False, timeout=timeout
    )


def _target(answer: aiohttp.ClientResponse) -> URL:
    """Return where a redirect leads.

    Raises:
        ForbiddenTargetError: Nowhere that may be called.
        RejectedError: It is a 3xx of another kind (`redirected`).
    """
    location = answer.headers.get("Location", "")
    if answer.status not in _FOLLOWED or not location:
        raise RejectedError("redirect", reason="redirected", provider_code=str(answer.status))
    try:
        return parsed(str(answer.url.join(URL(location))))
    except ValueError:
        raise ForbiddenTargetError from None


async def _chunks(
    answer: aiohttp.ClientResponse, deadline: float, max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield the body, which must neither drip nor come after *deadline*.

    Only the waiting for bytes makes it slow, not what is done with them.
    """
    too_large = RejectedError(f"larger than {max_bytes} bytes", reason="too_large")
    if (answer.content_length or 0) > max_bytes:
        raise too_large
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise RejectedError("the answer is compressed", reason="rejected")
    read, waited_s, clock = 0, 0.0, asyncio.get_running_loop().time
    while True:
        began = clock()
        # The next byte is too late when even all that came would be too little by then.
        slow_at = began + max(SLOW_AFTER_S, read / SLOWEST) - waited_s
        try:
            async with asyncio.timeout_at(min(deadline, slow_at)):
                piece = await answer.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise NotSentError(type(error).__name__) from None
        if not piece:
            return
        waited_s += clock() - began
        read += len(piece)
        if read > max_bytes:
            raise too_large
        yield piece


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


async def _beginning(answer: aiohttp.ClientResponse, most: int) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) >= most:
            break
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    return bytes(body[:most]) if encoding == "identity" else b""


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
