"""Why a webhook request is refused, or what it would yield; without a network, store or bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from libs.common.channel import Channel, Parsed
from libs.common.channels import CHANNELS
from libs.common.doctor.findings import Case, Diagnosis, Finding, header
from libs.common.doctor.other_proofs import (
    telegram_causes,
    web_causes,
    wechat_causes,
    wechat_envelope,
)
from libs.common.doctor.signed import LINE, META, causes
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import InboundEvent, Unparsed

LARGEST_BODY = 4 * 1024 * 1024
"""The default of `RELAYDESK_MAX_BODY_BYTES`."""
_GZIP = b"\x1f\x8b"


def explain(case: Case, *, show: bool = False) -> Diagnosis:
    """Return what the gateway does with a request, and every cause that can be named.

    Args:
        case: The request and the account.
        show: Put the content of messages into `events`.
    """
    before = tuple(_unfit(case))
    if before:
        status = {"account_disabled": 404, "compressed_body": 415, "too_large": 413}
        return Diagnosis(verdict="refused", status=status.get(before[0].code, 401), findings=before)
    channel = CHANNELS[case.account.channel]
    if case.request.method == "GET":
        return _handshake(channel, case)
    try:
        channel.verify(case.account, case.request)
    except BadSignatureError:
        return Diagnosis(verdict="refused", status=401, findings=tuple(_causes(case)))
    return _read(channel, case, show=show)


def _unfit(case: Case) -> Iterator[Finding]:
    """Yield what is wrong before any signature is looked at."""
    account, request = case.account, case.request
    if not account.enabled:
        yield Finding(
            code="account_disabled",
            words=f"Account {account.slug} is switched off: its address answers 404.",
            advice="Enable the account.",
        )
    path = _path(case)
    if case.path and case.path.partition("?")[0].rstrip("/") != path:
        yield Finding(
            code="wrong_path",
            words=f"It was posted to {case.path.partition('?')[0]}; the account's is {path}.",
            advice="Correct the webhook address in the provider's console.",
        )
    if header(request, "content-encoding") not in {"", "identity"} or request.body[:2] == _GZIP:
        yield Finding(
            code="compressed_body",
            words="The body is compressed; no provider compresses, and the gateway answers 415.",
            advice="Switch compression of requests off in the proxy before the gateway.",
        )
    if len(request.body) > LARGEST_BODY:
        yield Finding(
            code="too_large",
            words=f"The body has {len(request.body)} bytes; {LARGEST_BODY} are taken by default.",
            advice="Raise RELAYDESK_MAX_BODY_BYTES if the provider really sends such bodies.",
        )
    yield from _empty_secrets(case)


def _empty_secrets(case: Case) -> Iterator[Finding]:
    for name in CHANNELS[case.account.channel].secrets[:1]:
        if not case.account.secrets.get(name):
            yield Finding(
                code="empty_secret",
                words=f"The account has no {name}: it refuses everything.",
                advice=f"Store the {name} from the provider's console.",
            )


def _path(case: Case) -> str:
    channel = CHANNELS[case.account.channel]
    key = case.account.app if channel.addressees else case.account.slug
    return f"/webhooks/{channel.endpoint}/{key}"


_CAUSES: Mapping[str, Callable[[Case], Iterator[Finding]]] = {
    "meta": lambda case: causes(case, META),
    "line": lambda case: causes(case, LINE),
    "wechat": wechat_causes,
    "telegram": telegram_causes,
    "web": web_causes,
}


def _causes(case: Case) -> Iterator[Finding]:
    named = _CAUSES.get(CHANNELS[case.account.channel].endpoint)
    if named is not None:
        yield from named(case)
        return
    yield Finding(code="bad_signature", words="The proof of origin does not hold.")


def _handshake(channel: Channel, case: Case) -> Diagnosis:
    if channel.challenge is None:
        words = f"{channel.name} has no handshake by GET."
        finding = Finding(code="wrong_method", words=words, advice="Send a POST.")
        return Diagnosis(verdict="refused", status=405, findings=(finding,))
    try:
        channel.challenge([case.account], case.request)
    except BadSignatureError as error:
        finding = Finding(
            code="handshake_refused",
            words=f"The handshake is refused: {error.detail}.",
            advice="Give the console exactly the account's verify_token (Meta) or token (WeChat).",
        )
        return Diagnosis(verdict="refused", status=403, findings=(finding,))
    return Diagnosis(verdict="accepted", status=200, events=("handshake answered",))


# --- what it says ------------------------------------------------------------------------------


def _read(channel: Channel, case: Case, *, show: bool) -> Diagnosis:
    envelope = wechat_envelope(case) if channel.name == "wechat" else None
    if envelope is not None:
        return Diagnosis(verdict="accepted without effect", status=200, findings=(envelope,))
    try:
        parsed = channel.parse(case.account, case.request)
    except MalformedPayloadError as error:
        finding = Finding(
            code="unreadable",
            words=f"It is signed, but cannot be read: {error.detail}. It is kept as it came.",
            advice="Compare it with the provider's documentation; the provider is answered 200.",
        )
        return Diagnosis(verdict="accepted without effect", status=200, findings=(finding,))
    if parsed.events:
        return Diagnosis(
            verdict="accepted",
            status=200,
            findings=tuple(_unknown(parsed)),
            events=tuple(_line(event, show=show) for event in parsed.events),
        )
    return Diagnosis(
        verdict="accepted without effect", status=200, findings=(_silent(channel, case, parsed),)
    )


def _silent(channel: Channel, case: Case, parsed: Parsed) -> Finding:
    named = channel.addressees(case.request) if channel.addressees else frozenset()
    account = case.account
    if named and (channel.name, account.external_id) not in named:
        for_whom = ", ".join(sorted(f"{name} {external_id}" for name, external_id in named))
        return Finding(
            code="not_connected",
            words=f"It speaks of {for_whom}; account {account.slug} is {channel.name} "
            f"{account.external_id}.",
            advice="Connect that page or number as an account, or correct its external_id.",
        )
    if parsed.ignored:
        return Finding(
            code="ignored",
            words=f"{parsed.ignored} items are for another account or carry nothing to keep.",
            advice=f"Where events are missing compare external_id, now {account.external_id}.",
        )
    return Finding(
        code="nothing_in_it",
        words="It holds no events, as the test button of a console sends it.",
        advice="Nothing to do.",
    )


def _unknown(parsed: Parsed) -> Iterator[Finding]:
    reasons = [event.reason for event in parsed.events if isinstance(event, Unparsed)]
    if reasons:
        yield Finding(
            code="unparsed",
            words=f"{len(reasons)} items are not understood ({', '.join(sorted(set(reasons)))}) "
            "and kept as they came.",
            advice="Find them in the console's trace; a newer version may know them.",
        )


def _line(event: InboundEvent, *, show: bool) -> str:
    line = f"{event.__struct_config__.tag} at {event.occurred_at.isoformat()}"
    line += f" key {event.event_id}"
    if show:
        return f"{line} {msgspec.json.encode(event).decode()}"
    parts = [str(part.__struct_config__.tag) for part in getattr(event, "parts", ())]
    return f"{line} ({', '.join(parts)})" if parts else line
