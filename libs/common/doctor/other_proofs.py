"""Why WeChat's signature, Telegram's secret or a web visitor's token does not hold."""

from __future__ import annotations

from collections.abc import Iterator

from libs.common.channel import Account
from libs.common.channels.web.visitor import visitor_from
from libs.common.channels.wechat.envelope import decrypt, is_signed
from libs.common.channels.wechat.inbound import OLDEST_S
from libs.common.channels.wechat.occurrence import app_id_of
from libs.common.channels.wechat.wire import encrypted_part
from libs.common.doctor.findings import Case, Finding, header
from libs.common.errors import BadSignatureError, GatewayError, MalformedPayloadError
from libs.common.providers.normal import moment

_AES_KEY = 43


def wechat_causes(case: Case) -> Iterator[Finding]:
    """Yield why WeChat's proof does not hold."""
    query = case.request.query
    absent = [name for name in ("timestamp", "nonce") if not query.get(name)]
    sealed = _sealed(case)
    wanted = "msg_signature" if case.account.secrets.get("aes_key") else "signature"
    if not query.get(wanted):
        absent.append(wanted)
    if case.account.secrets.get("aes_key") and not sealed:
        yield Finding(
            code="plain_not_sealed",
            words="The account has an aes_key, but the body is not encrypted.",
            advice="Choose secure mode in the console, or take the aes_key from the account.",
        )
        return
    if absent:
        yield Finding(
            code="missing_query",
            words=f"The address lacks {', '.join(absent)}.",
            advice="WeChat sends them in the query: a proxy must pass the query on.",
        )
        return
    yield _late(case, wanted, sealed) or Finding(
        code="wrong_token",
        words="The account's token is not the one that signed; or the query or body was changed.",
        advice="Copy the Token from the console again; it is not the app secret.",
    )


def _late(case: Case, wanted: str, sealed: str) -> Finding | None:
    query = case.request.query
    signed = [case.account.secrets.get("token", ""), query["timestamp"], query["nonce"]]
    signed += [sealed] if wanted == "msg_signature" else []
    at, now = moment(query["timestamp"]), case.request.received_at
    if not is_signed(query[wanted], *signed) or at is None or now is None:
        return None
    ago = (now - at).total_seconds()
    when = "old" if ago > 0 else "ahead of the clock here"
    return Finding(
        code="clock_skew",
        words=f"The signature holds, but its time is {abs(ago):.0f} s {when}; {OLDEST_S} s are "
        "allowed.",
        advice="Set the clock by NTP; for an older capture say when it came with --at.",
    )


def _sealed(case: Case) -> str:
    try:
        return encrypted_part(case.request.body)
    except MalformedPayloadError:
        return ""


def wechat_envelope(case: Case) -> Finding | None:
    """Return why a signed envelope does not open; None where it does, or there is none."""
    key, sealed = case.account.secrets.get("aes_key", ""), _sealed(case)
    if not sealed:
        return None
    if not key:
        return Finding(
            code="sealed_without_key",
            words="The body is encrypted, and the account has no aes_key.",
            advice="Store the EncodingAESKey as aes_key, or choose plain mode in the console.",
        )
    if len(key) != _AES_KEY:
        return Finding(
            code="aes_key_form",
            words=f"The aes_key has {len(key)} characters; an EncodingAESKey has {_AES_KEY}.",
            advice="Copy it again, without the = that some tools add.",
        )
    try:
        decrypt(key, sealed)
    except GatewayError:
        return Finding(
            code="wrong_aes_key",
            words="The signature holds, but the aes_key does not open the body.",
            advice="Copy the EncodingAESKey again; after a change keep the old one as "
            "aes_key_previous.",
        )
    return _foreign(case, key, sealed)


def _foreign(case: Case, key: str, sealed: str) -> Finding | None:
    app_id = app_id_of(case.account)
    try:
        decrypt(key, sealed, app_id=app_id)
    except GatewayError:
        return Finding(
            code="app_id_mismatch",
            words=f"The body is sealed for another app than {app_id}.",
            advice="Correct the account's app_id: it begins with wx and stands in the console.",
        )
    return None


def telegram_causes(case: Case) -> Iterator[Finding]:
    """Yield why Telegram's secret does not fit."""
    name = "x-telegram-bot-api-secret-token"
    given = header(case.request, name)
    if not given:
        yield Finding(
            code="missing_header",
            words=f"The header {name} is absent.",
            advice="Call setWebhook again with secret_token; without it Telegram sends none.",
        )
    elif given == case.account.secrets.get("bot_token"):
        yield Finding(
            code="other_secret",
            words="The header holds the bot token instead of the secret token.",
            advice="Give setWebhook the account's secret_token, and revoke the bot token.",
        )
    else:
        yield Finding(
            code="wrong_secret",
            words="The header is not the account's secret_token.",
            advice="Call setWebhook again with the account's secret_token.",
        )


def web_causes(case: Case) -> Iterator[Finding]:
    """Yield why a web visitor's token does not fit."""
    scheme, _, token = header(case.request, "authorization").partition(" ")
    if scheme.lower() != "bearer" or not token:
        yield Finding(
            code="missing_header",
            words="There is no header Authorization: Bearer with a visitor token.",
            advice="The page must ask for a token first and send it with each request.",
        )
        return
    owner = next((other for other in case.others if _accepts(case, other)), None)
    if owner is not None:
        yield Finding(
            code="other_account",
            words=f"The visitor token belongs to account {owner.slug}.",
            advice="The page's script tag names another account than its address.",
        )
        return
    yield Finding(
        code="wrong_secret",
        words="The visitor token was not signed with the account's visitor_key.",
        advice="After a change of visitor_key pages draw a new token; the old ones are void.",
    )


def _accepts(case: Case, other: Account) -> bool:
    if other.channel != "web":
        return False
    try:
        visitor_from(other, header(case.request, "authorization"), case.request.received_at)
    except BadSignatureError:
        return False
    return True
