"""Any bytes make `parse` return or raise `MalformedPayloadError`; no webhook is answered by 5xx."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.channel import Parsed
from libs.common.channels import CHANNELS
from libs.common.channels.wechat.envelope import decrypt, encrypt
from libs.common.channels.wechat.wire import encrypted_part, fields_of
from libs.common.errors import MalformedPayloadError
from libs.common.simulate.signing import signed
from tests.channels.conformance import FIXTURES, SUBJECTS, Subject, fixtures_of, strings
from tests.channels.mutation import damaged
from tests.ingest.harness import Here, account, ingest_here, path_of
from tests.soak import sized

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
ROUNDS = 25
fuzzed = settings(max_examples=sized(60, 500), deadline=None, derandomize=True)


def read(subject: Subject, body: bytes) -> Parsed | None:
    """Return what `parse` makes of a body that is proven; None for the one permitted failure."""
    try:
        return subject.channel.parse(subject.account, subject.sign(body))
    except MalformedPayloadError:
        return None


@pytest.mark.parametrize(("subject", "name", "body"), FIXTURES.values(), ids=FIXTURES)
def test_f3_a_damaged_structure_is_read_or_refused_by_name(
    subject: Subject, name: str, body: bytes
) -> None:
    chance = random.Random(name)  # noqa: S311  # repeatable on purpose
    for _ in range(ROUNDS):
        parsed = read(subject, damaged(body, chance))
        for event in parsed.events if parsed else ():
            assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
            assert not [text for text in strings(msgspec.to_builtins(event)) if "\0" in text]
            assert 0 < len(event.event_id) <= 256


@fuzzed
@given(body=st.binary(max_size=300))
def test_the_readers_of_wechat_take_any_bytes(body: bytes) -> None:
    for reader in (fields_of, encrypted_part):
        try:
            reader(body)
        except MalformedPayloadError:
            continue


@fuzzed
@given(
    message=st.binary(max_size=200),
    cut=st.integers(0, 120),
    flip=st.integers(0, 400),
    key=st.sampled_from([KEY, KEY[:-1], "A" * 43, "\0" * 43, "ä" * 43, ""]),
    app_id=st.sampled_from(["", "wx1", "wx2"]),
)
def test_the_envelope_of_wechat_opens_or_refuses_by_name(
    message: bytes, cut: int, flip: int, key: str, app_id: str
) -> None:
    sealed = encrypt(KEY, message, app_id="wx1", random=bytes(16))
    assert decrypt(KEY, sealed, app_id="wx1") == message
    at = flip % len(sealed)
    for damaged_text in (sealed[cut:], sealed[:at] + "A" + sealed[at + 1 :], sealed + "=", ""):
        try:
            decrypt(key, damaged_text, app_id=app_id)
        except MalformedPayloadError:
            continue


@fuzzed
@given(ciphertext=st.text(max_size=200), key=st.text(max_size=50))
def test_the_envelope_of_wechat_takes_any_text(ciphertext: str, key: str) -> None:
    with pytest.raises(MalformedPayloadError):
        decrypt(key, ciphertext)


# --- over HTTP ---------------------------------------------------------------------------------


@pytest.fixture
async def here(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Here:  # type: ignore[misc]
    async with ingest_here(nats_url, tmp_path_factory.mktemp("spool")) as running:
        yield running


@pytest.mark.parametrize("channel", sorted(CHANNELS))
async def test_f3_no_body_makes_a_webhook_route_fail(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    chance = random.Random(channel)  # noqa: S311  # repeatable on purpose
    external = SUBJECTS[channel].account.external_id.encode()
    bodies = [
        body.replace(external, one.external_id.encode()) for body in fixtures_of(channel).values()
    ]
    for body in bodies:
        for given_body in (body, damaged(body, chance)):
            answer = await here.post(one, signed(one, given_body, now=datetime.now(UTC)))
            assert answer.status == 200, given_body
        unsigned = msgspec.structs.replace(
            signed(one, body, now=datetime.now(UTC)),
            headers={"content-type": "application/json"},
            query={},
        )
        assert (await here.post(one, unsigned)).status in {400, 401, 403}


ODD_REQUESTS = [
    (method, tail)
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
    for tail in ("", "/", "/..", "/%00", "/%ff", "?hub.mode=subscribe&hub.challenge=1", "?a=%ff")
]


@pytest.mark.parametrize("channel", sorted(CHANNELS))
async def test_no_odd_request_makes_a_webhook_route_fail(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    for method, tail in ODD_REQUESTS:
        url = f"{here.base_url}{path_of(one)}{tail}"
        async with here.http.request(method, url, data=b"{", allow_redirects=False) as answer:
            assert answer.status < 500, (method, tail)
