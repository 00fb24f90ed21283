"""One kind of address below `/webhooks/`: its channels, its answers, and what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

from libs.common.channel import Channel
from libs.common.errors import BadSignatureError
from services.ingest import metrics
from services.ingest.answers import Refused, answer, table
from services.ingest.body import Load
from services.ingest.defects import report
from services.ingest.metrics import OUTCOMES, Outcome
from services.ingest.spool import SpoolUnavailableError


class Done(msgspec.Struct, frozen=True):
    """How a request ended, with a response of its own instead of the usual one."""

    outcome: Outcome
    response: web.StreamResponse


Work = Callable[[web.Request, float], Awaitable[Outcome | Done]]
"""Handles a request that began at the given loop time; raises `Refused` and the errors below."""


class Endpoint:
    """What is served below `/webhooks/<name>/`, with counters bound once.

    Args:
        name: The path segment; `unknown` for everything else.
        channels: The channels behind it.
        load: Counts the requests under way.
        allow: Methods that the address serves.
        extra: Headers of every answer, underscores for hyphens.
    """

    def __init__(
        self, name: str, channels: Sequence[Channel], load: Load, *, allow: str, **extra: str
    ) -> None:
        self.name = name
        self.channels = {channel.name: channel for channel in channels}
        self.shared = any(channel.addressees for channel in channels)
        self.challenge = next((c.challenge for c in channels if c.challenge), None)
        self.extra = extra
        self._load = load
        self._answers = table(allow, **extra)
        if channels:
            accepted = answer(200, channels[0].accepted, channels[0].accepted_type, **extra)
            self._answers |= {"accepted": accepted, "spooled": accepted}
        self._received = metrics.RECEIVED.labels(name)
        self._ended = {outcome: metrics.REQUESTS.labels(name, outcome) for outcome in OUTCOMES}
        self._seconds = metrics.SECONDS.labels(name)
        self._last = metrics.LAST_ACCEPTED.labels(name)

    async def serve(self, request: web.Request, work: Work) -> web.StreamResponse:
        """Answer *request* by *work* and count how it ended; never raises a failure of ours."""
        time = asyncio.get_running_loop().time
        started = time()
        self._received.inc()
        self._load.open += 1
        outcome: Outcome = "error"
        done: Done | None = None
        try:
            ended = await _ended(work, request, started)
            if isinstance(ended, Done):
                done, outcome = ended, ended.outcome
            else:
                outcome = ended
        finally:
            self._load.open -= 1
            self._ended[outcome].inc()
        if outcome in {"accepted", "spooled"}:
            self._seconds.observe(time() - started)
            self._last.set_to_current_time()
        return done.response if done else self._answers[outcome].response()


async def _ended(work: Work, request: web.Request, started: float) -> Outcome | Done:
    try:
        return await work(request, started)
    except Refused as refused:
        return refused.outcome
    except BadSignatureError:
        return "bad_signature"
    except SpoolUnavailableError:
        return "unavailable"
    except ConnectionError:  # while answering: the client is gone
        return "disconnected"
    except Exception as error:  # noqa: BLE001 (the last resort of the HTTP edge)
        report("ingest.defect", error)
        return "error"
