"""Driving a send: what was answered is never asked again, what failed is."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from libs.common.channel import Exchange, HttpCall, HttpReply, Sent
from libs.common.errors import (
    AmbiguousSendError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from services.notifier.deliver import Transcript, drive, cautious

OK = HttpReply(status=200)
TOO_FAST = HttpReply(status=429)


class Script:
    """The outside: gives the next answer, keeps what was called."""

    def __init__(self, *answers: HttpReply | GatewayError) -> None:
        self.answers = list(answers)
        self.called: list[str] = []

    async def __call__(self, call: HttpCall) -> HttpReply:
        self.called.append(call.url)
        answer = self.answers.pop(0)
        if isinstance(answer, GatewayError):
            raise answer
        return answer


def parts(count: int) -> Exchange:
    """A message of several calls, as most channels send a long text."""
    for number in range(count):
        reply = yield HttpCall(url=f"part {number}")
        if reply.status == 429:
            raise ThrottledError("429")
        if reply.status >= 400:
            raise RejectedError("no")
    return Sent(provider_ids=tuple(str(number) for number in range(count)))


def reply_else_push() -> Exchange:
    """LINE's way, with a network failure that it handles itself."""
    try:
        reply = yield HttpCall(url="reply")
        refused = reply.status == 400
    except NotSentError:
        refused = True
    if refused:
        reply = yield HttpCall(url="push", idempotent=True)
        if reply.status == 429:
            raise ThrottledError("429")
        return Sent(via="push")
    return Sent(via="reply")


def nothing() -> Exchange:
    yield from ()
    return Sent(via="web")


async def test_calls_are_made_one_after_the_other() -> None:
    script = Script(OK, OK)
    assert await drive(parts(2), script, Transcript()) == Sent(provider_ids=("0", "1"))
    assert script.called == ["part 0", "part 1"]


async def test_a_send_without_calls_makes_none() -> None:
    transcript = Transcript()
    assert (await drive(nothing(), Script(), transcript)).via == "web"
    assert transcript.failed is None


async def test_a_second_try_makes_only_the_call_that_failed_and_those_behind() -> None:
    transcript = Transcript()
    first = Script(OK, TOO_FAST)
    with pytest.raises(ThrottledError):
        await drive(parts(3), first, transcript)
    assert transcript.failed is not None
    assert transcript.failed.url == "part 1"
    assert transcript.begun
    second = Script(OK, OK)
    assert (await drive(parts(3), second, transcript)).provider_ids == ("0", "1", "2")
    assert second.called == ["part 1", "part 2"]


async def test_a_refusal_that_the_channel_handled_is_not_asked_again() -> None:
    transcript = Transcript()
    with pytest.raises(ThrottledError):
        await drive(reply_else_push(), Script(HttpReply(status=400), TOO_FAST), transcript)
    assert not transcript.begun, "a refused reply put nothing out"
    again = Script(OK)
    assert (await drive(reply_else_push(), again, transcript)).via == "push"
    assert again.called == ["push"]


async def test_a_network_failure_that_the_channel_handled_is_remembered_too() -> None:
    transcript = Transcript()
    with pytest.raises(ThrottledError):
        await drive(reply_else_push(), Script(NotSentError("refused"), TOO_FAST), transcript)
    again = Script(OK)
    assert (await drive(reply_else_push(), again, transcript)).via == "push"
    assert again.called == ["push"]


async def test_a_network_failure_is_raised_where_the_call_was_made() -> None:
    where: list[str] = []

    def watching() -> Generator[HttpCall, HttpReply, Sent]:
        try:
            yield HttpCall(url="a")
        except AmbiguousSendError:
            where.append("at the call")
            raise
        return Sent()

    with pytest.raises(AmbiguousSendError):
        await drive(watching(), Script(AmbiguousSendError("cut")), Transcript())
    assert where == ["at the call"]


async def test_after_a_cut_only_calls_with_a_retry_key_are_made() -> None:
    script = Script(OK)
    with pytest.raises(AmbiguousSendError):
        await drive(reply_else_push(), cautious(script), Transcript())
    assert script.called == []

    def push() -> Exchange:
        yield HttpCall(url="push", idempotent=True)
        return Sent(via="push")

    assert (await drive(push(), cautious(script), Transcript())).via == "push"
    assert script.called == ["push"]
