"""The doctor names the cause of a refused payload in plain words, and no secret."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.doctor.findings import Case
from libs.common.doctor.payload import explain
from libs.common.simulate.bodies import build, kinds, visitor_for
from libs.common.simulate.said import Said
from libs.common.simulate.scenarios import spoiled
from libs.common.simulate.signing import handshake, signed
from tests.simulate.accounts import SECRETS, account

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
WORDS = "a private word über"


def request(of: Account, kind: str = "text", *, signer: Account | None = None) -> WebhookRequest:
    said = Said(visitor=visitor_for(of.channel), message_id="4077", text=WORDS, now=NOW)
    return signed(signer or of, build(of, kind, said), now=NOW)


def with_headers(sent: WebhookRequest, **headers: str | None) -> WebhookRequest:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    merged = {**sent.headers, **names}
    kept = {name: value for name, value in merged.items() if value is not None}
    return msgspec.structs.replace(sent, headers=kept)


def with_secrets(of: Account, **secrets: str) -> Account:
    return msgspec.structs.replace(of, secrets={**of.secrets, **secrets})


def case(channel: str, **changes: Any) -> Case:
    """Return a sound case with changes: of the account's `secrets`, or of the case itself."""
    of = account(channel, plain=changes.pop("plain", False))
    sent = changes.pop("request", None) or request(of)
    of = with_secrets(of, **changes.pop("secrets", {}))
    of = msgspec.structs.replace(of, **changes.pop("account", {}))
    return Case(account=of, request=sent, **changes)


def escaped() -> WebhookRequest:
    """A Meta request as it is signed: with characters beyond ASCII escaped."""
    of = account("messenger")
    body = json.dumps(json.loads(request(of).body), separators=(",", ":")).encode()
    return signed(of, body, now=NOW)


def rewritten(change: Callable[[bytes], bytes]) -> WebhookRequest:
    sent = escaped()
    return msgspec.structs.replace(sent, body=change(sent.body))


def proof(secret: str, body: bytes) -> bytes:
    return hmac.digest(secret.encode(), body, "sha256")


def sealed_by(**secrets: str) -> WebhookRequest:
    return request(account("wechat"), signer=with_secrets(account("wechat"), **secrets))


OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode().rstrip("=")
OTHER_SECRET = {"app_secret": "another-secret", "channel_secret": "another-secret"}
LINE = request(account("line"))
META = escaped()


def other(channel: str) -> tuple[Account, ...]:
    changed = with_secrets(account(channel), **OTHER_SECRET, visitor_key="another-key")
    return (msgspec.structs.replace(changed, slug="acme-other"),)


FAULTS: dict[str, tuple[str, Callable[[], Case]]] = {
    "another app secret": (
        "wrong_secret",
        lambda: case("messenger", request=META, secrets={"app_secret": "old-secret"}),
    ),
    "the secret of another account": (
        "other_account",
        lambda: case(
            "line", request=request(account("line"), signer=other("line")[0]), others=other("line")
        ),
    ),
    "two secrets swapped": (
        "other_secret",
        lambda: case(
            "messenger",
            request=META,
            secrets={"app_secret": "x", "access_token": SECRETS["app_secret"]},
        ),
    ),
    "a body that was decoded and written again": (
        "body_changed",
        lambda: case("messenger", request=rewritten(lambda b: json.dumps(json.loads(b)).encode())),
    ),
    "a body with its escapes undone": (
        "body_changed",
        lambda: case(
            "messenger",
            request=rewritten(lambda b: json.dumps(json.loads(b), ensure_ascii=False).encode()),
        ),
    ),
    "a line break at the end": (
        "body_changed",
        lambda: case("messenger", request=rewritten(lambda b: b + b"\n")),
    ),
    "no signature header": (
        "missing_header",
        lambda: case("messenger", request=with_headers(META, x_hub_signature_256=None)),
    ),
    "the SHA-1 header alone": (
        "sha1_header_only",
        lambda: case(
            "messenger",
            request=with_headers(META, x_hub_signature_256=None, x_hub_signature="sha1=00"),
        ),
    ),
    "LINE's signature on Meta's address": (
        "other_provider",
        lambda: case("messenger", request=LINE),
    ),
    "base64 instead of hexadecimal": (
        "base64_not_hex",
        lambda: case(
            "messenger",
            request=with_headers(
                META, x_hub_signature_256=base64.b64encode(proof("s", META.body)).decode()
            ),
        ),
    ),
    "upper-case hexadecimal": (
        "signature_form",
        lambda: case(
            "messenger",
            request=with_headers(META, x_hub_signature_256="sha256=" + "AB" * 32),
        ),
    ),
    "hexadecimal instead of base64": (
        "hex_not_base64",
        lambda: case(
            "line",
            request=with_headers(
                LINE, x_line_signature=proof(SECRETS["channel_secret"], LINE.body).hex()
            ),
        ),
    ),
    "posted to another path": (
        "wrong_path",
        lambda: case("line", path="/webhooks/line/acme-other"),
    ),
    "an account that is switched off": (
        "account_disabled",
        lambda: case("line", account={"enabled": False}),
    ),
    "an empty secret": ("empty_secret", lambda: case("line", secrets={"channel_secret": ""})),
    "a compressed body": (
        "compressed_body",
        lambda: case("line", request=with_headers(LINE, content_encoding="gzip")),
    ),
    "a page that is not connected": (
        "not_connected",
        lambda: case("messenger", request=META, account={"external_id": "2002"}),
    ),
    "a LINE body for another bot": (
        "ignored",
        lambda: case("line", account={"external_id": "U00000000000000000000000000000002"}),
    ),
    "a clock that is off": (
        "clock_skew",
        lambda: case(
            "wechat",
            request=msgspec.structs.replace(
                request(account("wechat")), received_at=NOW + timedelta(hours=8)
            ),
        ),
    ),
    "another WeChat token": ("wrong_token", lambda: case("wechat", secrets={"token": "other"})),
    "a query that was cut": (
        "missing_query",
        lambda: case(
            "wechat", request=msgspec.structs.replace(request(account("wechat")), query={})
        ),
    ),
    "another AES key": ("wrong_aes_key", lambda: case("wechat", secrets={"aes_key": OTHER_KEY})),
    "an AES key cut short": ("aes_key_form", lambda: case("wechat", secrets={"aes_key": "abc"})),
    "sealed for another app": (
        "app_id_mismatch",
        lambda: case("wechat", request=sealed_by(app_id="wxffffffffffffffff")),
    ),
    "sealed, and no key": (
        "sealed_without_key",
        lambda: case("wechat", plain=True, request=request(account("wechat"))),
    ),
    "plain, though there is a key": (
        "plain_not_sealed",
        lambda: case("wechat", request=request(account("wechat", plain=True))),
    ),
    "a Telegram webhook set without its secret": (
        "missing_header",
        lambda: case(
            "telegram",
            request=with_headers(
                request(account("telegram")), x_telegram_bot_api_secret_token=None
            ),
        ),
    ),
    "the bot token as secret": (
        "other_secret",
        lambda: case(
            "telegram",
            request=with_headers(
                request(account("telegram")),
                x_telegram_bot_api_secret_token=SECRETS["bot_token"],
            ),
        ),
    ),
    "a web visitor without a token": (
        "missing_header",
        lambda: case("web", request=with_headers(request(account("web")), authorization=None)),
    ),
    "a visitor token of another account": (
        "other_account",
        lambda: case(
            "web", request=request(account("web"), signer=other("web")[0]), others=other("web")
        ),
    ),
    "a handshake with another token": (
        "handshake_refused",
        lambda: case(
            "messenger",
            request=handshake(account("messenger"), now=NOW),
            secrets={"verify_token": "other"},
        ),
    ),
    "a body that is no JSON": (
        "unreadable",
        lambda: case("messenger", request=signed(account("messenger"), b"<xml/>", now=NOW)),
    ),
    "the console's test button": (
        "nothing_in_it",
        lambda: case(
            "line",
            request=signed(
                account("line"),
                json.dumps({"destination": account("line").external_id, "events": []}).encode(),
                now=NOW,
            ),
        ),
    ),
}


@pytest.mark.parametrize(("code", "make"), FAULTS.values(), ids=FAULTS)
def test_d11_the_doctor_names_the_cause_and_nothing_private(
    code: str, make: Callable[[], Case]
) -> None:
    made = make()
    found = explain(made)
    assert found.findings[0].code == code, found
    assert found.findings[0].words.endswith(".")
    assert found.findings[0].advice
    shown = repr(found)
    assert "private word" not in shown
    for name, secret in {**SECRETS, **made.account.secrets}.items():
        if len(secret) > 5 and name != "app_id":
            assert secret not in shown, name


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_d11_a_sound_payload_is_accepted_and_its_events_told(channel: str) -> None:
    found = explain(case(channel))
    assert (found.verdict, found.status, found.findings) == ("accepted", 200, ())
    assert len(found.events) == 1
    assert found.events[0].startswith("message.received at 2026-03-01T09:00:00+00:00")
    assert "private word" not in repr(found)
    assert "private word" in explain(case(channel), show=True).events[0]


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_a_forged_payload_always_has_a_cause(channel: str) -> None:
    for plain in (False, True):
        of = account(channel, plain=plain)
        for kind in kinds(channel)[:3]:
            found = explain(Case(account=of, request=spoiled(request(of, kind))))
            assert (found.verdict, found.status) == ("refused", 401)
            assert found.findings
