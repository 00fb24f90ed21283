"""Driving a send: what was answered is never asked again, what failed is."""

from __future__ import annotations

from collections.abc import Generator

import msgspec
import pytest

from libs.common.channel import Exchange, HttpCall, HttpReply, OutgoingFile, Sent, Upload
from libs.common.errors import (
    AmbiguousSendError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from services.notifier.deliver import CutOffError, Transcript, cautious, drive

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


FILE = OutgoingFile(id="att_1", name="a.png", mime_type="image/png", size_bytes=3)


def uploaded(key: str = "t", *, keyed: bool = False, link: str = "") -> Exchange:
    """A file brought to the provider, a look whether it is ready, then the message."""
    upload = Upload(file=msgspec.structs.replace(FILE, link=link), field="file")
    yield HttpCall(url=f"upload?{key}", upload=upload, harmless=True)
    yield HttpCall(url="look", method="GET", harmless=True)
    reply = yield HttpCall(url="message", idempotent=keyed)
    if reply.status == 429:
        raise ThrottledError("429")
    return Sent(via="message")


async def test_harmless_calls_are_no_part_of_the_message() -> None:
    transcript = Transcript()
    with pytest.raises(ThrottledError):
        await drive(uploaded(), Script(OK, OK, TOO_FAST), transcript)
    assert not transcript.begun
    assert transcript.failed is not None
    assert not transcript.failed.harmless


async def test_a_message_that_begins_again_does_not_bring_the_file_again_but_looks_again() -> None:
    transcript = Transcript()
    with pytest.raises(ThrottledError):
        await drive(uploaded(link="then"), Script(OK, OK, TOO_FAST), transcript)
    transcript.restart()
    again = Script(OK, OK)
    assert (await drive(uploaded(link="now"), again, transcript)).via == "message"
    assert again.called == ["look", "message"]


async def test_with_another_token_the_file_is_brought_again() -> None:
    transcript = Transcript()
    with pytest.raises(ThrottledError):
        await drive(uploaded("old"), Script(OK, OK, TOO_FAST), transcript)
    transcript.restart()
    again = Script(OK, OK, OK)
    await drive(uploaded("new"), again, transcript)
    assert again.called == ["upload?new", "look", "message"]


CUT: dict[str, tuple[bool, list[str], bool]] = {
    "the first call that may be out already is not made": (False, ["upload?t", "look"], True),
    "with a retry key it is": (True, ["upload?t", "look", "message"], False),
}


@pytest.mark.parametrize(("keyed", "called", "cut_off"), CUT.values(), ids=CUT)
async def test_after_a_cut_harmless_calls_are_made_again(
    keyed: bool, called: list[str], cut_off: bool
) -> None:
    script = Script(OK, OK, OK)
    work = drive(uploaded(keyed=keyed), cautious(script), Transcript())
    if cut_off:
        with pytest.raises(CutOffError):
            await work
    else:
        assert (await work).via == "message"
    assert script.called == called
