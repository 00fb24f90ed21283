"""The rules of sending that hold for every channel, on every channel of the registry."""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.common.channel import HttpReply
from libs.common.errors import AmbiguousSendError, NotSentError
from tests.channels.conformance import SUBJECTS, TAKEN, Subject, outbound, play, strings

on_each_subject = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)


def needs_provider(subject: Subject) -> bool:
    """Tell whether sending needs a provider; the web plugin's visitor is served by ourselves."""
    return subject.channel.name != "web"


LONG = "A sentence of some words. " * 700


@on_each_subject
def test_too_fast_proves_that_nothing_was_sent(subject: Subject) -> None:
    assert refused(subject, HttpReply(status=429), NotSentError) is needs_provider(subject)


@on_each_subject
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_proves_nothing(subject: Subject, status: int) -> None:
    assert refused(subject, HttpReply(status=status), AmbiguousSendError) is needs_provider(subject)


@on_each_subject
@pytest.mark.parametrize("error", [NotSentError("refused"), AmbiguousSendError("cut")], ids=repr)
def test_a_network_failure_passes_through_unchanged(subject: Subject, error: Exception) -> None:
    assert refused(subject, error, type(error)) is needs_provider(subject)


def refused(subject: Subject, answer: HttpReply | Exception, failure: type[Exception]) -> bool:
    """Have the first call answered so; tell whether there was one, after checking the failure."""
    exchange = subject.channel.send(subject.account, outbound(subject, "hello"))
    try:
        next(exchange)
    except StopIteration:
        return False
    with pytest.raises(failure) as caught:
        exchange.throw(answer) if isinstance(answer, Exception) else exchange.send(answer)
    assert not any(secret in str(caught.value) for secret in secrets_of(subject))
    return True


@on_each_subject
@pytest.mark.parametrize("text", ["hello", LONG], ids=["short", "long"])
def test_repeating_a_send_makes_identical_calls(subject: Subject, text: str) -> None:
    message = outbound(subject, text)
    first, sent = play(subject.channel.send(subject.account, message), TAKEN)
    again, sent_again = play(subject.channel.send(subject.account, message), TAKEN)
    assert (first, sent) == (again, sent_again)
    assert sent.via
    assert bool(first) is needs_provider(subject)
    keys = [call.headers.get("x-line-retry-key") for call in first if call.idempotent]
    assert len(set(keys)) == len(keys)


CALLING = {name: subject for name, subject in SUBJECTS.items() if needs_provider(subject)}


@pytest.mark.parametrize("subject", CALLING.values(), ids=CALLING)
def test_the_whole_text_goes_out_in_order_and_within_the_limit(subject: Subject) -> None:
    text = " ".join(f"word{number}" for number in range(4000))
    made, _ = play(subject.channel.send(subject.account, outbound(subject, text)), TAKEN)
    bodies = b" ".join(call.body for call in made).decode()
    places = [bodies.find(f"word{number}") for number in range(0, 4000, 100)]
    assert -1 not in places
    assert places == sorted(places)
    longest = max(len(piece) for call in made for piece in strings(json.loads(call.body)))
    assert longest <= subject.channel.text_limit


@on_each_subject
def test_a_provider_may_be_replaced_by_api_base(subject: Subject) -> None:
    local = msgspec.structs.replace(subject.account, api_base="http://127.0.0.1:9/stub")
    made, _ = play(subject.channel.send(local, outbound(subject, "hello")), TAKEN)
    assert all(call.url.startswith("http://127.0.0.1:9/stub/") for call in made)
    made, _ = play(subject.channel.send(subject.account, outbound(subject, "hello")), TAKEN)
    assert all(call.url.startswith("https://") for call in made)


WITH_TOKEN = {name: it for name, it in SUBJECTS.items() if it.channel.token}


@pytest.mark.parametrize("answer", [HttpReply(status=429), HttpReply(status=500)], ids=repr)
@pytest.mark.parametrize("subject", WITH_TOKEN.values(), ids=WITH_TOKEN)
def test_fetching_a_token_fails_by_name(subject: Subject, answer: HttpReply) -> None:
    fetch = subject.channel.token
    assert fetch is not None
    account = msgspec.structs.replace(
        subject.account, secrets={**subject.account.secrets, "app_id": "wx1"}
    )
    exchange = fetch(account)
    next(exchange)
    with pytest.raises((NotSentError, AmbiguousSendError)):
        exchange.send(answer)
    _, token = play(fetch(account), TAKEN)
    assert (token.value, token.expires_in_s) == ("fetched-token-sample", 7200)
    assert token.value not in repr(token)


def secrets_of(subject: Subject) -> list[str]:
    return [*subject.account.secrets.values(), "fetched-token-sample"]


@on_each_subject
def test_no_secret_and_no_text_is_in_any_repr(subject: Subject) -> None:
    message = outbound(subject, "a private word")
    made, sent = play(subject.channel.send(subject.account, message), TAKEN)
    shown = repr((subject.account, message, made, sent))
    for hidden in (*secrets_of(subject), "a private word"):
        assert hidden not in shown
