"""What a channel declares to carry, it carries: by identical calls, harmless ones first."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.channel import Carried, HttpCall, HttpReply, Outbound
from libs.common.channels import CHANNELS
from libs.common.errors import AmbiguousSendError, NotSentError, RejectedError, ThrottledError
from libs.common.events import MediaPart
from tests.channels.conformance import SUBJECTS, Subject, fixtures_of, play
from tests.channels.conformance_content import (
    EVERY_ANSWER,
    SIGNALS,
    message_with,
    shown,
    signal_of,
)
from tests.channels.event_rows import ROWS
from tests.soak import sized

CARRIED = {
    f"{name}: {what}": (subject, what)
    for name, subject in SUBJECTS.items()
    for what in sorted(subject.channel.carries - SIGNALS)
}
SIGNED = {
    f"{name}: {what}": (subject, what)
    for name, subject in SUBJECTS.items()
    for what in sorted(subject.channel.carries & SIGNALS)
}
on_each_content = pytest.mark.parametrize(("subject", "what"), CARRIED.values(), ids=CARRIED)
on_each_signal = pytest.mark.parametrize(("subject", "what"), SIGNED.values(), ids=SIGNED)


def calls_of(subject: Subject, message: Outbound) -> list[HttpCall]:
    return play(subject.channel.send(subject.account, message), EVERY_ANSWER)[0]


def is_ours(subject: Subject) -> bool:
    """Tell whether no provider is called: the web plugin's visitor is served by ourselves."""
    return subject.channel.name == "web"


@on_each_content
def test_c01_b19_what_is_declared_can_be_sent(subject: Subject, what: Carried) -> None:
    made = calls_of(subject, message_with(subject, what))
    assert bool(made) is not is_ours(subject)
    assert all(call.body or call.upload for call in made)
    assert [call for call in made if not call.harmless] or is_ours(subject)


@on_each_content
def test_repeating_a_send_makes_the_same_calls(subject: Subject, what: Carried) -> None:
    message = message_with(subject, what)
    assert shown(calls_of(subject, message)) == shown(calls_of(subject, message))


@on_each_content
def test_what_the_visitor_does_not_see_comes_first(subject: Subject, what: Carried) -> None:
    harmless = [call.harmless for call in calls_of(subject, message_with(subject, what))]
    assert harmless == sorted(harmless, reverse=True)


@on_each_content
def test_no_secret_is_in_any_call_shown(subject: Subject, what: Carried) -> None:
    made = calls_of(subject, message_with(subject, what))
    text = repr(made)
    for secret in (*subject.account.secrets.values(), "fetched-token-sample", "hello"):
        assert secret not in text
    assert "link-proof-sample" not in text


def test_quoting_changes_what_is_sent() -> None:
    for name, subject in SUBJECTS.items():
        if "quote" not in subject.channel.carries or is_ours(subject):
            continue
        plain = calls_of(subject, message_with(subject, "text"))
        quoting = calls_of(subject, message_with(subject, "quote"))
        assert shown(plain) != shown(quoting), name


WITHOUT_TEMPLATES = {n: it for n, it in SUBJECTS.items() if "template" not in it.channel.carries}


@pytest.mark.parametrize("subject", WITHOUT_TEMPLATES.values(), ids=WITHOUT_TEMPLATES)
def test_what_cannot_be_carried_is_refused_before_any_call(subject: Subject) -> None:
    exchange = subject.channel.send(subject.account, message_with(subject, "template"))
    with pytest.raises(RejectedError) as caught:
        next(exchange)
    assert caught.value.reason == "bad_content"


# --- signs and media ---------------------------------------------------------------------------


@on_each_signal
def test_a_declared_sign_is_shown_by_harmless_calls(subject: Subject, what: Carried) -> None:
    signal = subject.channel.signal
    assert signal is not None
    made, _ = play_all(signal(subject.account, signal_of(subject, what)))
    assert bool(made) is not is_ours(subject)
    assert all(call.harmless for call in made)
    for secret in (*subject.account.secrets.values(), "fetched-token-sample", "read-1"):
        assert secret not in repr(made)


def play_all(exchange: object) -> tuple[list[HttpCall], object]:
    return play(exchange, EVERY_ANSWER)  # type: ignore[arg-type]  # whatever it returns


def test_signs_are_declared_where_there_are_any() -> None:
    for name, channel in CHANNELS.items():
        assert (channel.signal is not None) is bool(channel.carries & SIGNALS), name


WITH_MEDIA = {name: it for name, it in SUBJECTS.items() if it.channel.media}
LOOKUP = HttpReply(
    status=200,
    body=b'{"url":"https://cdn.example/f","mime_type":"image/jpeg","file_size":9,"id":"M",'
    b'"ok":true,"result":{"file_id":"M","file_path":"photos/1.jpg","file_size":9},'
    b'"status":"succeeded"}',
)


@pytest.mark.parametrize("subject", WITH_MEDIA.values(), ids=WITH_MEDIA)
@pytest.mark.parametrize("kind", ["image", "audio", "video", "file"])
def test_a_file_of_a_visitor_is_led_to_by_harmless_calls(subject: Subject, kind: str) -> None:
    fetch = subject.channel.media
    assert fetch is not None
    part = MediaPart(kind=kind, media_id="media-1")  # type: ignore[arg-type]  # one of the kinds
    token = "fetched-token-sample" if subject.channel.token else ""
    asked, last = play(fetch(subject.account, part, token), LOOKUP)
    assert last.method == "GET"
    for call in (*asked, last):
        assert call.harmless
        for secret in (*subject.account.secrets.values(), "fetched-token-sample"):
            assert secret not in repr(call)


# --- the documented tables ---------------------------------------------------------------------

ROW_CASES = {
    f"{channel}: {row}": (channel, names)
    for channel, rows in ROWS.items()
    for row, names in rows.items()
}


@pytest.mark.parametrize(("channel", "names"), ROW_CASES.values(), ids=ROW_CASES)
def test_c01_every_documented_row_has_a_fixture(channel: str, names: tuple[str, ...]) -> None:
    assert set(names) <= set(fixtures_of(channel))


def test_rows_are_of_known_channels() -> None:
    assert set(ROWS) <= set(CHANNELS)


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
@settings(max_examples=sized(30, 200), deadline=None, derandomize=True)
@given(
    status=st.sampled_from([200, 201, 202, 400, 401, 403, 404, 409, 429, 500, 503]),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["error", "errcode", "messages", "sentMessages", "id", "result", "message"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=9,
        ).map(lambda value: repr(value).replace("'", '"').encode("utf-8", "replace")),
    ),
)
def test_any_answer_of_a_provider_is_one_of_our_outcomes(
    subject: Subject, status: int, body: bytes
) -> None:
    message = message_with(subject, "text")
    answer = HttpReply(status=status, body=body)
    with contextlib.suppress(ThrottledError, NotSentError, AmbiguousSendError, RejectedError):
        play(subject.channel.send(subject.account, message), answer)
