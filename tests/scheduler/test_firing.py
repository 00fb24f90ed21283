"""What becomes of one due timer, by what the router answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.commands import AnyCommand, Done, FireTimer, Refused
from libs.common.errors import (
    BusUnavailableError,
    GatewayError,
    NoResponderError,
    StoreUnavailableError,
)
from libs.common.events import Timer
from services.scheduler.fire import Firing
from tests.scheduler.rig import session_of, timer

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
DUE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TIMER = timer("s1", DUE)
_command: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class Router:
    """Answers every request the same way, and remembers them."""

    def __init__(self, answer: bytes | Exception) -> None:
        self._answer = answer
        self.asked: list[tuple[str, AnyCommand]] = []

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        assert timeout_s > 0
        self.asked.append((subject, _command.decode(data)))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def delivered(body: bytes, subject: str = "due.3.silent_owner.s1") -> Delivery:
    return Delivery(
        subject=subject,
        data=body,
        headers={},
        sequence=1,
        attempt=1,
        partition=3,
        pending=0,
        reply="",
    )


def refused(status: int, code: str) -> bytes:
    return msgspec.json.encode(Refused(code=code, status=status, detail=""))


DONE = msgspec.json.encode(Done(session=session_of("s1")))
BODY = msgspec.json.encode(TIMER)

CASES: dict[str, tuple[bytes, bytes | Exception, Outcome | type[GatewayError]]] = {
    "done is done": (BODY, DONE, Ack()),
    "a session that is gone needs no timer": (BODY, refused(404, "not_found"), Ack()),
    "no router is there: it waits for one": (BODY, NoResponderError(""), BusUnavailableError),
    "no answer in time: likewise": (BODY, BusUnavailableError(""), BusUnavailableError),
    "an answer nobody can read: likewise": (BODY, b"<html>", BusUnavailableError),
    "the router has no store: it waits": (
        BODY,
        refused(503, "store_unavailable"),
        StoreUnavailableError,
    ),
    "the router came to it too late: it waits": (
        BODY,
        refused(504, "deadline_passed"),
        StoreUnavailableError,
    ),
    "a bug in the router is tried again, and buried in the end": (
        BODY,
        refused(500, "internal"),
        Retry("internal"),
    ),
    "what is no timer is buried at once": (b"{", DONE, Bury("malformed", "")),
    "a kind that we do not know is buried at once": (
        BODY.replace(b"silent_owner", b"full_moon"),
        DONE,
        Bury("malformed", ""),
    ),
}


@pytest.mark.parametrize(("body", "answer", "expected"), CASES.values(), ids=CASES)
async def test_outcome(body: bytes, answer: bytes | Exception, expected: Any) -> None:
    firing = Firing(Router(answer), lambda: NOW)
    if isinstance(expected, type):
        with pytest.raises(expected):
            await firing.handle(delivered(body))
        return
    outcome = await firing.handle(delivered(body))
    if isinstance(outcome, Bury):
        outcome = Bury(outcome.code)  # the detail is for people
    assert outcome == expected


async def test_what_the_router_is_asked() -> None:
    """By the partition it came in; the same timer always under the same key, with a deadline."""
    router = Router(DONE)
    firing = Firing(router, lambda: NOW)
    for _ in range(2):
        await firing.handle(delivered(BODY))
    (subject, command), (_, again) = router.asked
    assert subject == "cmd.3.acme.timer"
    assert isinstance(command, FireTimer)
    assert (command.session, command.kind, command.due) == ("s1", "silent_owner", DUE)
    assert command.deadline > NOW
    assert command.key == again.key
    assert command.key != (await _key(timer("s1", NOW)))


async def _key(other: Timer) -> str:
    router = Router(DONE)
    await Firing(router, lambda: NOW).handle(delivered(msgspec.json.encode(other)))
    return router.asked[0][1].key
