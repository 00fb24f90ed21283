"""The rules that hold for every channel, on every channel of the registry."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels import CHANNELS, by_endpoint
from libs.common.channels.wechat.wire import encrypted_part
from libs.common.errors import (
    BadSignatureError,
    MalformedPayloadError,
)
from libs.common.events import Unparsed
from libs.common.simulate.signing import handshake
from tests.channels.conformance import (
    CODE,
    FIXTURES,
    HERE,
    NOW,
    SUBJECTS,
    Subject,
    capabilities_of,
    fixtures_of,
    kind_of,
    strings,
)
from tests.channels.mutation import JUNK
from tests.soak import sized

on_each_subject = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
on_each_fixture = pytest.mark.parametrize(
    ("subject", "name", "body"), FIXTURES.values(), ids=FIXTURES
)
on_each_channel = pytest.mark.parametrize("channel", CHANNELS)
fuzzed = settings(max_examples=sized(30, 200), deadline=None, derandomize=True)


def sample(subject: Subject) -> WebhookRequest:
    """Return a signed request of the channel, with a text message where there is one."""
    bodies = fixtures_of(subject.channel.name)
    return subject.sign(bodies.get("text") or next(iter(bodies.values())))


def read(subject: Subject, request: WebhookRequest) -> Parsed | None:
    """Return what `parse` makes of it, None for the one failure that it may raise."""
    try:
        return subject.channel.parse(subject.account, request)
    except MalformedPayloadError:
        return None


# --- the registry ------------------------------------------------------------------------------


def test_every_folder_is_registered_under_its_own_name() -> None:
    folders = {path.parent.name for path in CODE.glob("*/__init__.py")}
    assert folders == set(CHANNELS) == {channel.name for channel in CHANNELS.values()}


@on_each_channel
def test_a_channel_is_found_by_its_endpoint(channel: str) -> None:
    assert CHANNELS[channel] in by_endpoint(CHANNELS[channel].endpoint)
    assert by_endpoint("nowhere") == ()


# --- verify ------------------------------------------------------------------------------------


def signed_span(subject: Subject, request: WebhookRequest) -> range:
    """Return where the proof covers the body: all of it, but for two protocols that differ."""
    if subject.channel.name in {"web", "telegram"}:
        return range(0)  # a token proves who speaks, and nothing about what they say
    if subject.channel.name == "wechat":  # plain mode signs nothing of the body
        sealed = encrypted_part(request.body).encode()
        start = request.body.find(sealed)
        return range(start, start + len(sealed))
    return range(len(request.body))


def proofs(subject: Subject, request: WebhookRequest) -> list[tuple[str, str]]:
    """Return the headers and query fields without which verification fails."""
    return [
        (place, name)
        for place in ("headers", "query")
        for name in getattr(request, place)
        if not is_verified(subject, changed(request, place, name, None))
    ]


def changed(request: WebhookRequest, place: str, name: str, value: str | None) -> WebhookRequest:
    others = {key: kept for key, kept in getattr(request, place).items() if key != name}
    return msgspec.structs.replace(
        request, **{place: others if value is None else {**others, name: value}}
    )


def is_verified(subject: Subject, request: WebhookRequest) -> bool:
    try:
        subject.channel.verify(subject.account, request)
    except BadSignatureError:
        return False
    return True


@on_each_fixture
def test_what_the_provider_signed_is_verified(subject: Subject, name: str, body: bytes) -> None:
    assert is_verified(subject, subject.sign(body)), name


@on_each_subject
def test_one_flipped_bit_anywhere_in_the_signed_bytes_is_refused(subject: Subject) -> None:
    request = sample(subject)
    for at in signed_span(subject, request):
        flipped = bytearray(request.body)
        flipped[at] ^= 1
        broken = msgspec.structs.replace(request, body=bytes(flipped))
        assert not is_verified(subject, broken), f"byte {at}"


WHOLLY_SIGNED = {
    name: subject
    for name, subject in SUBJECTS.items()
    if subject.channel.name not in {"web", "wechat", "telegram"}
}


@pytest.mark.parametrize("subject", WHOLLY_SIGNED.values(), ids=WHOLLY_SIGNED)
def test_a_shorter_or_longer_signed_body_is_refused(subject: Subject) -> None:
    request = sample(subject)
    for body in (request.body[:-1], request.body + b" ", b""):
        assert not is_verified(subject, msgspec.structs.replace(request, body=body))


@on_each_subject
def test_a_proof_that_is_absent_or_altered_is_refused(subject: Subject) -> None:
    request = sample(subject)
    needed = proofs(subject, request)
    assert needed, "nothing in the request proves its origin"
    for place, name in needed:
        value = getattr(request, place)[name]
        last = "A" if value[-1] != "A" else "B"
        wrong = {"", value[:-1], value[:-1] + last, value.upper(), value + "0", "\udc80", value[1:]}
        for given_value in wrong - {value}:
            forged = changed(request, place, name, given_value)
            assert not is_verified(subject, forged), f"{name}={given_value!r}"


@on_each_subject
def test_another_accounts_signature_is_refused(subject: Subject) -> None:
    request = sample(subject)
    secrets = {name: f"{value[:-1]}x" for name, value in subject.account.secrets.items()}
    other = msgspec.structs.replace(subject.account, secrets=secrets)
    assert not is_verified(Subject(subject.channel, other), request)


@on_each_subject
def test_an_account_without_its_secret_refuses_everything(subject: Subject) -> None:
    request = sample(subject)
    for secrets in ({}, dict.fromkeys(subject.account.secrets, "")):
        bare = msgspec.structs.replace(subject.account, secrets=secrets)
        assert not is_verified(Subject(subject.channel, bare), request)


@on_each_subject
def test_a_bare_request_is_refused(subject: Subject) -> None:
    for body in (b"", b"{}", sample(subject).body):
        request = WebhookRequest(method="POST", headers={}, query={}, body=body)
        assert not is_verified(subject, request)


# --- the handshake -----------------------------------------------------------------------------

WITH_HANDSHAKE = {name: it for name, it in SUBJECTS.items() if it.channel.challenge}


@pytest.mark.parametrize("subject", WITH_HANDSHAKE.values(), ids=WITH_HANDSHAKE)
def test_the_handshake_is_answered_only_to_who_knows_the_token(subject: Subject) -> None:
    challenge = subject.channel.challenge
    assert challenge is not None
    request = handshake(subject.account, now=NOW, echo="4711")
    assert challenge([subject.account], request) == b"4711"
    refused: list[tuple[list[Account], WebhookRequest]] = [([], request)]
    for name in request.query:
        refused.append(([subject.account], changed(request, "query", name, None)))
        if request.query[name] != "4711":
            refused.append(([subject.account], changed(request, "query", name, "wrong")))
    bare = msgspec.structs.replace(subject.account, secrets={})
    refused.append(([bare], request))
    for accounts, wrong in refused:
        with pytest.raises(BadSignatureError):
            challenge(accounts, wrong)


# --- parse -------------------------------------------------------------------------------------


@on_each_fixture
def test_a_fixture_becomes_what_the_readme_says(subject: Subject, name: str, body: bytes) -> None:
    declared = capabilities_of(subject.channel.name)
    parsed = subject.channel.parse(subject.account, subject.sign(body))
    assert [kind_of(event) for event in parsed.events] == declared.get(name), name
    assert parsed.events or parsed.ignored or not declared[name]


@on_each_channel
def test_every_declared_capability_has_a_fixture(channel: str) -> None:
    assert set(capabilities_of(channel)) == set(fixtures_of(channel))


@on_each_channel
def test_the_readme_names_version_limits_refusals_and_sources(channel: str) -> None:
    text = (CODE / channel / "README.md").read_text()
    for heading in ("## Version", "## Limits", "## Non-2xx", "## Sources", "## Capabilities"):
        assert f"\n{heading}" in text, heading
    for secret in (*CHANNELS[channel].secrets, *CHANNELS[channel].optional_secrets):
        assert f"`{secret}`" in text, secret


@on_each_fixture
def test_parsing_twice_gives_equal_events_with_unique_printable_ids(
    subject: Subject, name: str, body: bytes
) -> None:
    request = subject.sign(body)
    first = subject.channel.parse(subject.account, request)
    assert subject.channel.parse(subject.account, request) == first
    ids = [event.event_id for event in first.events]
    assert len(set(ids)) == len(ids), name
    for event_id in ids:
        assert 0 < len(event_id) <= 256
        assert event_id.isascii()
        assert event_id.isprintable()


@on_each_fixture
def test_events_travel_the_bus_unchanged(subject: Subject, name: str, body: bytes) -> None:
    for event in subject.channel.parse(subject.account, subject.sign(body)).events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event, name
        assert event.occurred_at.utcoffset() is not None


@on_each_channel
def test_an_unknown_kind_is_kept_and_counted(channel: str) -> None:
    subject = SUBJECTS[channel]
    kept = [
        event
        for name, body in fixtures_of(channel).items()
        if name.startswith("unknown")
        for event in subject.channel.parse(subject.account, subject.sign(body)).events
        if isinstance(event, Unparsed)
    ]
    assert kept, "no fixture of an unknown kind"
    assert {event.reason for event in kept} == {"unknown_kind"}
    assert all(event.raw for event in kept)


@on_each_subject
@fuzzed
@given(body=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_by_name(subject: Subject, body: bytes) -> None:
    read(subject, subject.sign(body))


@on_each_subject
@fuzzed
@given(data=st.data())
def test_damaged_bodies_are_read_or_refused_by_name(subject: Subject, data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(list(fixtures_of(subject.channel.name).values()))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        body = body or bytearray(b" ")
    read(subject, subject.sign(bytes(body)))


JSON = {name: case for name, case in FIXTURES.items() if case[2].startswith(b"{")}


def with_one_changed(value: Any, chance: random.Random) -> Any:
    """Return *value* with one node replaced by junk."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        return {**value, name: with_one_changed(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], with_one_changed(value[at], chance), *value[at + 1 :]]
    return chance.choice(JUNK)


@pytest.mark.parametrize(("subject", "name", "body"), JSON.values(), ids=JSON)
def test_junk_in_any_place_of_a_json_body_is_read_or_refused_by_name(
    subject: Subject, name: str, body: bytes
) -> None:
    chance = random.Random(name)  # noqa: S311  # repeatable on purpose
    for _ in range(40):
        request = subject.sign(json.dumps(with_one_changed(json.loads(body), chance)).encode())
        parsed = read(subject, request)
        if subject.channel.addressees:
            try:
                subject.channel.addressees(request)
            except MalformedPayloadError:
                assert parsed is None
        for event in parsed.events if parsed else ():
            assert not [text for text in strings(msgspec.to_builtins(event)) if "\0" in text]
            assert len(event.event_id) <= 256


NESTED = {
    "brackets": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "in a list of items": b'{"events":[' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"]}",
    "elements": b"<a>" * 20_000,
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "an empty body": b"",
    "an entity": b'<!DOCTYPE x [<!ENTITY e "x">]><xml><Content>&e;</Content></xml>',
}


@on_each_subject
@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
def test_hostile_shapes_are_read_or_refused_by_name(subject: Subject, body: bytes) -> None:
    read(subject, subject.sign(body))


def test_each_channel_has_its_folder_of_samples() -> None:
    for channel in CHANNELS:
        assert (HERE / channel / "account.json").is_file(), channel
        assert fixtures_of(channel), channel
