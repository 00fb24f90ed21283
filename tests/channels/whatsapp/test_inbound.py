"""WhatsApp's webhooks, one sentence each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.channels.conformance import SUBJECTS, fixtures_of
from tests.channels.meta_family import parsed, told

SUBJECT = SUBJECTS["whatsapp"]
FIXTURES = fixtures_of("whatsapp")

USUAL = {
    "visitor": "US.1234567890",
    "occurred_at": "2025-10-09T08:53:20Z",
    "message_id": "wamid.A1",
    "profile": {"name": "Ada", "username": "ada.l", "phone": "15557770000"},
}
"""What most fixtures say; a case names the rest."""

CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "a text": ("text", [{"parts": [{"type": "text", "text": "hi"}]}]),
    "an older visitor is the phone number": (
        "text_without_bsuid",
        [
            {
                "visitor": "15557770000",
                "profile": {"name": "Ada", "phone": "15557770000"},
                "parts": [{"type": "text", "text": "hi"}],
            }
        ],
    ),
    "the contact with the same number tells the user id": (
        "text_bsuid_in_contact",
        [{"parts": [{"type": "text", "text": "hi"}]}],
    ),
    "a visitor without a number is found by user id": (
        "text_without_phone",
        [
            {
                "profile": {"name": "Ada", "username": "ada.l"},
                "parts": [{"type": "text", "text": "hi"}],
            }
        ],
    ),
    "a message without contacts": (
        "text_without_contacts",
        [{"profile": {"phone": "15557770000"}, "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "a group is the visitor, the person the author": (
        "text_in_group",
        [
            {
                "visitor": "GROUP-1",
                "parts": [{"type": "text", "text": "hi all"}],
                "author": "US.1234567890",
            }
        ],
    ),
    "milliseconds are told from seconds": (
        "text_in_milliseconds",
        [{"occurred_at": "2025-10-09T08:53:20.123000Z", "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "a reply names what it answers": (
        "reply",
        [{"parts": [{"type": "text", "text": "yes that one"}], "reply_to": "wamid.OUT1"}],
    ),
    "a forwarded message": (
        "forwarded",
        [{"parts": [{"type": "text", "text": "look"}], "forwarded": True}],
    ),
    "a question about a product": (
        "about_product",
        [
            {
                "parts": [
                    {"type": "text", "text": "in blue?"},
                    {"type": "share", "title": "SKU-1", "description": "catalog CAT-1"},
                ]
            }
        ],
    ),
    "a message from an ad brings its referral": (
        "message_from_ad",
        [
            {
                "parts": [{"type": "text", "text": "price?"}],
                "referral": {
                    "source": "ad",
                    "ref": "clid-1",
                    "ad_id": "6045",
                    "headline": "Shoes",
                    "url": "https://fb.example/ad",
                },
            }
        ],
    ),
    "a post is no ad": (
        "message_from_post",
        [
            {
                "parts": [{"type": "text", "text": "more?"}],
                "referral": {
                    "source": "post",
                    "ref": "autumn",
                    "headline": "News",
                    "url": "https://fb.example/post",
                },
            }
        ],
    ),
    "a caption follows its picture": (
        "image",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "image",
                        "media_id": "MEDIA-1",
                        "mime_type": "image/jpeg",
                        "sha256": "q83v",
                    },
                    {"type": "text", "text": "receipt"},
                ]
            }
        ],
    ),
    "a film": (
        "video",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "video",
                        "media_id": "MEDIA-2",
                        "mime_type": "video/mp4",
                        "sha256": "q83v",
                    }
                ]
            }
        ],
    ),
    "a voice message": (
        "voice",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "audio",
                        "media_id": "MEDIA-3",
                        "mime_type": "audio/ogg; codecs=opus",
                        "sha256": "q83v",
                    }
                ]
            }
        ],
    ),
    "a document has a name": (
        "document",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "file",
                        "media_id": "MEDIA-4",
                        "mime_type": "application/pdf",
                        "name": "a.pdf",
                        "sha256": "q83v",
                    },
                    {"type": "text", "text": "see page 2"},
                ]
            }
        ],
    ),
    "a sticker": (
        "sticker",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "sticker",
                        "media_id": "MEDIA-5",
                        "mime_type": "image/webp",
                        "sha256": "q83v",
                    }
                ]
            }
        ],
    ),
    "a place": (
        "location",
        [
            {
                "parts": [
                    {
                        "type": "location",
                        "latitude": 13.75,
                        "longitude": 100.5,
                        "name": "Office",
                        "address": "1 Road",
                    }
                ]
            }
        ],
    ),
    "each card is a part": (
        "contacts",
        [
            {
                "parts": [
                    {
                        "type": "contact",
                        "name": "Bo Li",
                        "phones": ["+1 555 888"],
                        "emails": ["bo@example.com"],
                    },
                    {"type": "contact", "phones": ["1555999"]},
                ]
            }
        ],
    ),
    "a reaction": ("reaction", [{"target": "wamid.OUT1", "emoji": "\U0001f44d"}]),
    "a reaction taken back": ("reaction_taken_back", [{"target": "wamid.OUT1"}]),
    "a template's button": (
        "button",
        [
            {
                "parts": [{"type": "action", "title": "Yes", "payload": "YES"}],
                "reply_to": "wamid.OUT1",
            }
        ],
    ),
    "a button": (
        "button_reply",
        [{"parts": [{"type": "action", "title": "Yes", "payload": "b-1"}]}],
    ),
    "a row of a list": (
        "list_reply",
        [
            {
                "parts": [{"type": "action", "title": "Tuesday", "payload": "row-2"}],
                "reply_to": "wamid.OUT1",
            }
        ],
    ),
    "a form's answers as text": (
        "form_reply",
        [{"parts": [{"type": "action", "title": "Sent", "payload": '{"size":"M"}'}]}],
    ),
    "a form's answers as an object": (
        "form_reply_as_object",
        [{"parts": [{"type": "action", "title": "flow", "payload": '{"size":"M"}'}]}],
    ),
    "a permission to call": (
        "call_permission",
        [
            {
                "parts": [
                    {
                        "type": "action",
                        "title": "call_permission",
                        "payload": '{"response":"accept"}',
                    }
                ]
            }
        ],
    ),
    "an interaction of a new type is named": (
        "interactive_of_new_type",
        [{"parts": [{"type": "unsupported", "what": "hologram_reply"}]}],
    ),
    "a cart": (
        "order",
        [
            {
                "parts": [
                    {
                        "type": "order",
                        "catalog": "CAT-1",
                        "note": "gift wrap",
                        "items": [["SKU-1", "2", "12.5", "EUR"]],
                    }
                ]
            }
        ],
    ),
    "a changed number is the same person": (
        "number_changed",
        [
            {
                "visitor": "US.999",
                "previous": "US.1234567890",
                "detail": "user_changed_number",
                "profile": {"phone": "15557779999"},
            }
        ],
    ),
    "a changed number of an older visitor": (
        "number_changed_without_bsuid",
        [
            {
                "visitor": "15557779999",
                "previous": "15557770000",
                "detail": "customer_changed_number",
                "profile": {"phone": "15557779999"},
            }
        ],
    ),
    "a changed user id is the same person": (
        "user_id_changed",
        [
            {
                "visitor": "US.999",
                "previous": "US.1234567890",
                "detail": "user_changed_user_id",
                "profile": {},
            }
        ],
    ),
    "a new security code is no new person": (
        "identity_key_changed",
        [
            {
                "kind": "system",
                "data": {"type": "customer_identity_changed", "body": "new security code"},
            }
        ],
    ),
    "an edit": (
        "edited",
        [{"target": "wamid.A1", "parts": [{"type": "text", "text": "hi there"}]}],
    ),
    "a revoked message": ("revoked", [{"target": "wamid.A1"}]),
    "unsupported content is named": (
        "unsupported",
        [{"parts": [{"type": "unsupported", "what": "poll"}]}],
    ),
    "unsupported content of older bodies": (
        "unsupported_of_old",
        [{"parts": [{"type": "unsupported", "what": "Message type unknown"}]}],
    ),
    "a sent status returns our id": (
        "sent",
        [
            {
                "occurred_at": "2025-10-09T08:53:40Z",
                "status": "sent",
                "targets": ["wamid.OUT1"],
                "metadata": "msg_42",
            }
        ],
    ),
    "a status by phone number alone": (
        "delivered",
        [
            {
                "visitor": "15557770000",
                "occurred_at": "2025-10-09T08:53:40Z",
                "status": "delivered",
                "targets": ["wamid.OUT1"],
            }
        ],
    ),
    "a status whose contact tells the user id": (
        "delivered_with_contact",
        [{"occurred_at": "2025-10-09T08:53:40Z", "status": "delivered", "targets": ["wamid.OUT1"]}],
    ),
    "a status without a phone number": (
        "read",
        [{"occurred_at": "2025-10-09T08:53:40Z", "status": "read", "targets": ["wamid.OUT1"]}],
    ),
    "a played voice message": (
        "played",
        [{"occurred_at": "2025-10-09T08:53:40Z", "status": "played", "targets": ["wamid.OUT1"]}],
    ),
    "a failure has a reason and a code": (
        "failed",
        [
            {
                "visitor": "15557770000",
                "occurred_at": "2025-10-09T08:53:40Z",
                "status": "failed",
                "targets": ["wamid.OUT1"],
                "reason": "window_closed",
                "provider_code": "131047",
            }
        ],
    ),
    "a failure of another reason": (
        "failed_undeliverable",
        [
            {
                "occurred_at": "2025-10-09T08:53:40Z",
                "status": "failed",
                "targets": ["wamid.OUT1"],
                "reason": "bad_recipient",
                "provider_code": "131026",
            }
        ],
    ),
    "readers of a group are told apart": (
        "read_in_group",
        [
            {
                "visitor": "GROUP-1",
                "occurred_at": "2025-10-09T08:53:40Z",
                "status": "read",
                "targets": ["wamid.OUT1"],
            },
            {
                "visitor": "GROUP-1",
                "occurred_at": "2025-10-09T08:53:40Z",
                "status": "read",
                "targets": ["wamid.OUT1"],
            },
        ],
    ),
    "a status word of old": (
        "deleted_of_old",
        [
            {
                "occurred_at": "2025-10-09T08:53:40Z",
                "kind": "message_status",
                "data": {"id": "wamid.OUT1", "status": "deleted"},
            }
        ],
    ),
    "an error about the number": (
        "number_error",
        [
            {
                "visitor": "",
                "occurred_at": "1970-01-01T00:00:00Z",
                "kind": "error",
                "data": {
                    "code": "131031",
                    "title": "Account locked",
                    "error_data.details": "policy",
                },
            }
        ],
    ),
    "an action of the only contact": (
        "user_action",
        [
            {
                "kind": "user_action",
                "data": {
                    "action_type": "marketing_messages_link_click",
                    "timestamp": "1760000000",
                    "marketing_messages_link_click_data.url": "https://shop.example/",
                },
            }
        ],
    ),
    "a message from the phone app": (
        "phone_app_echo",
        [{"message_id": "wamid.E1", "parts": [{"type": "text", "text": "from my phone"}]}],
    ),
    "a picture from the phone app": (
        "phone_app_image",
        [
            {
                "message_id": "wamid.E1",
                "parts": [
                    {
                        "type": "media",
                        "kind": "image",
                        "media_id": "MEDIA-9",
                        "mime_type": "image/jpeg",
                    }
                ],
            }
        ],
    ),
    "an edit from the phone app": (
        "phone_app_edit",
        [{"target": "wamid.E1", "parts": [{"type": "text", "text": "better"}]}],
    ),
    "a message revoked in the phone app": ("phone_app_revoke", [{"target": "wamid.E1"}]),
    "a reaction from the phone app names the number": (
        "phone_app_reaction",
        [{"target": "wamid.A1", "emoji": "\U0001f44d", "author": "15550001111"}],
    ),
    "control passed to us": (
        "control_passed",
        [
            {
                "visitor": "15557770000",
                "change": "passed",
                "owner": "customer_service",
                "previous": "ai_agent",
            }
        ],
    ),
    "control taken": (
        "control_taken",
        [
            {
                "visitor": "15557770000",
                "change": "taken",
                "owner": "customer_service",
                "previous": "ai_agent",
            }
        ],
    ),
    "a copy on standby": (
        "standby_text",
        [{"standby": True, "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "another application's send request on standby": (
        "standby_echo",
        [
            {
                "message_id": "wamid.S1",
                "standby": True,
                "parts": [{"type": "text", "text": "from the other"}],
            }
        ],
    ),
    "another application's template on standby": (
        "standby_template_echo",
        [
            {
                "visitor": "15557770000",
                "message_id": "wamid.S2",
                "standby": True,
                "parts": [
                    {
                        "type": "template",
                        "name": "hello",
                        "language": "en_US",
                        "text": "hello",
                    }
                ],
            }
        ],
    ),
    "a status on standby": (
        "standby_status",
        [
            {
                "visitor": "15557770000",
                "occurred_at": "2025-10-09T08:53:40Z",
                "standby": True,
                "status": "read",
                "targets": ["wamid.S1"],
            }
        ],
    ),
    "an opt-out": ("opted_out", [{"change": "opt_out", "detail": "marketing_messages"}]),
    "an opt-in": (
        "opted_in",
        [{"profile": {}, "change": "opt_in", "detail": "marketing_messages"}],
    ),
    "a changed user id, as once announced": (
        "user_id_update",
        [{"visitor": "US.999", "previous": "US.1234567890", "detail": "changed", "profile": None}],
    ),
    "a call keeps its session to itself": (
        "call",
        [
            {
                "kind": "call",
                "data": {
                    "id": "wacid.1",
                    "from": "15557770000",
                    "to": "15550001111",
                    "event": "connect",
                    "timestamp": "1760000000",
                    "direction": "USER_INITIATED",
                },
            }
        ],
    ),
    "a call by us belongs to the called": (
        "call_by_us_ended",
        [
            {
                "visitor": "15557770000",
                "kind": "call",
                "data": {
                    "id": "wacid.2",
                    "from": "15550001111",
                    "to": "15557770000",
                    "event": "terminate",
                    "timestamp": "1760000000",
                    "direction": "BUSINESS_INITIATED",
                    "status": "COMPLETED",
                    "duration": "12",
                },
            }
        ],
    ),
    "a status of a call": (
        "call_status",
        [
            {
                "visitor": "15557770000",
                "occurred_at": "2025-10-09T08:53:40Z",
                "kind": "call_status",
                "data": {"id": "wacid.2", "status": "ringing"},
            }
        ],
    ),
    "news of a group": (
        "group_update",
        [
            {
                "visitor": "",
                "occurred_at": "1970-01-01T00:00:00Z",
                "kind": "group_lifecycle_update",
                "data": {
                    "groups.0.group_id": "GROUP-1",
                    "groups.0.type": "group_create",
                    "groups.0.timestamp": "1760000000",
                },
            }
        ],
    ),
}


@pytest.mark.parametrize(("fixture", "expected"), CASES.values(), ids=CASES)
def test_a_fixture_says(fixture: str, expected: list[dict[str, Any]]) -> None:
    events = parsed(SUBJECT, FIXTURES[fixture])
    rows = [told(event, USUAL) for event in events]
    for row in rows:
        row.pop("alias", None)  # see the next table
    assert rows == expected


ALIASES: dict[str, tuple[str, str]] = {
    "the number beside the user id": ("text", "15557770000"),
    "the number of the contact": ("text_bsuid_in_contact", "15557770000"),
    "a number alone is no alias": ("text_without_bsuid", ""),
    "a user id alone": ("text_without_phone", ""),
    "a group has none": ("text_in_group", ""),
    "a new number": ("number_changed", "15557779999"),
    "a new number that is the visitor": ("number_changed_without_bsuid", ""),
}


@pytest.mark.parametrize(("fixture", "alias"), ALIASES.values(), ids=ALIASES)
def test_d4_the_number_is_an_alias_of_the_user_id(fixture: str, alias: str) -> None:
    (event,) = parsed(SUBJECT, FIXTURES[fixture])
    assert event.alias == alias


BUSINESS = msgspec.structs.replace(SUBJECT.account, external_id="waba:WABA-1")

NOTICES = {
    "a template's status": ("template_status", "message_template_status_update", "APPROVED"),
    "a number's quality": ("number_quality", "phone_number_quality_update", "FLAGGED"),
    "a partner's update, below a portfolio": ("partner_update", "account_update", "PARTNER_ADDED"),
}


@pytest.mark.parametrize(("fixture", "kind", "event"), NOTICES.values(), ids=NOTICES)
def test_news_of_the_business_account_are_its_own(fixture: str, kind: str, event: str) -> None:
    request = SUBJECT.sign(FIXTURES[fixture])
    (notice,) = SUBJECT.channel.parse(BUSINESS, request).events
    assert told(notice, {})["kind"] == kind
    assert told(notice, {})["data"]["event"] == event
    assert not SUBJECT.channel.parse(SUBJECT.account, request).events


def change(field: str = "messages", **value: Any) -> dict[str, Any]:
    value = {"metadata": {"phone_number_id": "PN-1"}, **value}
    entry = {"id": "WABA-1", "changes": [{"field": field, "value": value}]}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def message(**more: Any) -> dict[str, Any]:
    text = {"type": "text", "text": {"body": "hi"}}
    return {"id": "wamid.A1", "from": "1555", "timestamp": "1760000000", **text, **more}


KEYS = {
    "a message": ("text", "message:wamid.A1"),
    "its copy on standby": ("standby_text", "standby.message:wamid.A1"),
    "an edit, by its own id": ("edited", "edit:wamid.B4"),
    "a revocation, by its own id": ("revoked", "revoke:wamid.B5"),
    "a system message": ("number_changed", "system:wamid.A1"),
    "an echo": ("phone_app_echo", "echo:wamid.E1"),
}


@pytest.mark.parametrize(("fixture", "expected"), KEYS.values(), ids=KEYS)
def test_what_has_an_id_is_known_by_it(fixture: str, expected: str) -> None:
    (event,) = parsed(SUBJECT, FIXTURES[fixture])
    assert event.event_id == expected


def test_each_status_of_a_message_is_an_occurrence() -> None:
    fixtures = ("sent", "delivered", "read", "played", "failed", "read_in_group", "standby_status")
    keys = [event.event_id for name in fixtures for event in parsed(SUBJECT, FIXTURES[name])]
    assert len(set(keys)) == len(keys) == 8


def test_a_status_is_the_same_with_and_without_contacts() -> None:
    (one,) = parsed(SUBJECT, FIXTURES["delivered"])
    (other,) = parsed(SUBJECT, FIXTURES["delivered_with_contact"])
    assert one.event_id == other.event_id
    assert (one.visitor, other.visitor) == ("15557770000", "US.1234567890")


def test_contacts_are_matched_by_id_and_never_by_position() -> None:
    contacts = [
        {"wa_id": "1666", "user_id": "US.666", "profile": {"name": "Bo"}},
        {"wa_id": "1555", "user_id": "US.555", "profile": {"name": "Ada"}},
    ]
    messages = [
        message(),
        message(id="wamid.A2", **{"from": "1666"}),
        message(id="wamid.A3", **{"from": "1777"}),
    ]
    events = parsed(SUBJECT, change(contacts=contacts, messages=messages))
    people = [(event.visitor, event.profile.name) for event in events]  # type: ignore[union-attr]
    assert people == [("US.555", "Ada"), ("US.666", "Bo"), ("1777", "")]


def test_a_message_of_unknown_kind_says_whose_it_is() -> None:
    (event,) = parsed(SUBJECT, FIXTURES["unknown_type"])
    assert event.visitor == "US.1234567890"
    assert event.occurred_at.year == 2025


OLD = {
    "old messages are counted": "history",
    "the phone's address book is counted": "address_book",
    "an empty standby is counted": "standby_empty",
    "a requested welcome is counted": "welcome_requested",
}


@pytest.mark.parametrize("fixture", OLD.values(), ids=OLD)
def test_what_carries_nothing_to_keep(fixture: str) -> None:
    found = SUBJECT.channel.parse(SUBJECT.account, SUBJECT.sign(FIXTURES[fixture]))
    assert (found.events, found.ignored) == ((), 1)


def test_a_number_may_be_a_number() -> None:
    body = change(metadata={"phone_number_id": 4711}, messages=[message(**{"from": 1555})])
    account = msgspec.structs.replace(SUBJECT.account, external_id="4711")
    request = SUBJECT.sign(msgspec.json.encode(body))
    (event,) = SUBJECT.channel.parse(account, request).events
    assert event.visitor == "1555"
    assert SUBJECT.channel.addressees is not None
    assert SUBJECT.channel.addressees(request) == {("whatsapp", "4711")}


def test_contacts_of_the_wrong_shape_cost_no_message() -> None:
    events = parsed(SUBJECT, change(contacts={"a": 1}, messages=[message()]))
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["MessageReceived", "Unparsed"]


def test_a_list_of_something_new_is_kept_and_a_new_detail_is_not() -> None:
    message_event, kept = parsed(SUBJECT, FIXTURES["unknown_list"])
    usual = {**USUAL, "alias": "15557770000"}
    assert told(message_event, usual) == {"parts": [{"type": "text", "text": "hi"}]}
    assert told(kept, {})["raw"] == '{"holograms":[{"id":"H-1"}]}'
    assert told(kept, {})["reason"] == "unknown_kind"


def test_a_change_that_changes_nothing_is_no_new_identity() -> None:
    system = {"type": "user_changed_number", "user_id": "US.1", "previous_user_id": "US.1"}
    (event,) = parsed(SUBJECT, change(messages=[message(type="system", system=system)]))
    assert told(event, {})["kind"] == "system"
    assert event.visitor == "US.1"


def test_ids_have_no_nul() -> None:
    (event,) = parsed(SUBJECT, change(messages=[message(**{"from": "15\x0055", "id": "w\x00"})]))
    assert (event.visitor, event.event_id) == ("1555", "message:w")


REASONS = {
    "the window was over": (131047, "window_closed"),
    "not reachable": (131026, "bad_recipient"),
    "opted out": (131050, "blocked"),
    "too many of the same kind": (131049, "policy"),
    "in an experiment": (130472, "policy"),
    "the file could not be fetched": (131053, "bad_content"),
    "the template is paused": (132015, "policy"),
    "no payment": (131042, "policy"),
    "a code that is not known": (139999, "rejected"),
}


@pytest.mark.parametrize(("code", "reason"), REASONS.values(), ids=REASONS)
def test_d21_a_failure_after_acceptance_has_a_stable_reason(code: int, reason: str) -> None:
    failed = {
        "id": "wamid.OUT1",
        "status": "failed",
        "timestamp": "1760000020",
        "recipient_id": "15557770000",
        "biz_opaque_callback_data": "msg_1",
        "errors": [{"code": code, "title": "t"}, {"code": 1}],
    }
    (event,) = parsed(SUBJECT, change(statuses=[failed]))
    found = told(event, {})
    wanted = {"status": "failed", "reason": reason, "provider_code": str(code)}
    assert {name: found[name] for name in wanted} == wanted
    assert found["metadata"] == "msg_1"
