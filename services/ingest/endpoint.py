"""One kind of address below `/webhooks/`: its channels, its answers, and what it counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from aiohttp import web

from libs.common import tracing
from libs.common.channel import Channel
from libs.common.errors import BadSignatureError
from services.ingest import metrics
from services.ingest.answers import Answer, Frequent, Refused, table
from services.ingest.body import Load
from services.ingest.defects import report
from services.ingest.metrics import OUTCOMES, Outcome, readings, tally
from services.ingest.spool import SpoolUnavailableError


class Done(msgspec.Struct, frozen=True):
    """How a request ended, with an answer of its own instead of the usual one."""

    outcome: Outcome
    answer: Answer | web.StreamResponse


Work = Callable[[web.BaseRequest, str, float], Awaitable[Outcome | Done]]
"""Handles a request to the address of a key that began at a loop time.

Raises `Refused`, `BadSignatureError` and `SpoolUnavailableError` for the usual answers.
"""


class Endpoint:
    """What is served below `/webhooks/<name>/`, with counters bound once.

    Args:
        name: The path segment; `unknown` for everything else.
        channels: The channels behind it.
        load: Counts the requests under way.
        allow: Methods that the address serves.
        headers: Headers of every answer besides the usual ones.
    """

    def __init__(
        self,
        name: str,
        channels: Sequence[Channel],
        load: Load,
        *,
        allow: str,
        headers: Mapping[str, str],
    ) -> None:
        self.name = name
        self.channels = {channel.name: channel for channel in channels}
        self.shared = any(channel.addressees for channel in channels)
        self.challenge = next((c.challenge for c in channels if c.challenge), None)
        self.headers = headers
        self._load = load
        self._answers = table(allow, headers)
        for channel in channels[:1]:
            kind = {"Content-Type": channel.accepted_type} if channel.accepted else {}
            accepted = Frequent(200, channel.accepted, {**kind, **headers})
            self._answers |= {"accepted": accepted, "spooled": accepted}
        self._received = tally(metrics.RECEIVED.labels(name))
        self._ended = {o: tally(metrics.REQUESTS.labels(name, o)) for o in OUTCOMES}
        self._seconds = readings(metrics.SECONDS.labels(name))
        self._span = f"webhook {name}"
        self._about = {"http.route": f"/webhooks/{name}/{{key}}"}
        self._last = 0.0
        metrics.LAST_ACCEPTED.labels(name).set_function(lambda: self._last)

    async def serve(self, request: web.BaseRequest, key: str, work: Work) -> web.StreamResponse:
        """Answer *request* by *work* and count how it ended; never raises a failure of ours."""
        loop_time = asyncio.get_running_loop().time
        started = loop_time()
        self._received.count += 1
        self._load.open += 1
        outcome: Outcome = "error"
        done: Done | None = None
        span = tracing.request(self._span, request.headers, self._about)
        try:
            with span:
                ended = await _ended(work, request, key, started)
                if isinstance(ended, Done):
                    done, outcome = ended, ended.outcome
                else:
                    outcome = ended
                context = tracing.here()
                if tracing.recording():
                    span.set({"relaydesk.outcome": outcome})
        finally:
            self._load.open -= 1
            self._ended[outcome].count += 1
        if done is not None:
            return done.answer.to(request) if isinstance(done.answer, Answer) else done.answer
        if outcome in {"accepted", "spooled"}:
            self._seconds.add(loop_time() - started, context)
            self._last = time.time()
        return self._answers[outcome].to(request)


async def _ended(work: Work, request: web.BaseRequest, key: str, started: float) -> Outcome | Done:
    try:
        return await work(request, key, started)
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
