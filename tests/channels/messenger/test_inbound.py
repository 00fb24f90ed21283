"""Messenger's webhooks, one sentence each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.channels.conformance import SUBJECTS, fixtures_of
from tests.channels.meta_family import parsed, told

SUBJECT = SUBJECTS["messenger"]
FIXTURES = fixtures_of("messenger")


def item(**what: Any) -> dict[str, Any]:
    sender, recipient = {"id": "PSID-7"}, {"id": "1001"}
    return {"sender": sender, "recipient": recipient, "timestamp": 1760000000123, **what}


def page(*items: Any, key: str = "messaging") -> dict[str, Any]:
    return {"object": "page", "entry": [{"id": "1001", "time": 1760000000500, key: list(items)}]}


def key_of(what: Any, *, key: str = "messaging") -> str:
    (event,) = parsed(SUBJECT, page(what, key=key))
    return event.event_id


USUAL = {"visitor": "PSID-7", "occurred_at": "2025-10-09T08:53:20.123000Z", "message_id": "m_1"}
"""What most fixtures say; a case names the rest."""

CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "a text": ("text", [{"parts": [{"type": "text", "text": "hi"}]}]),
    "escaped characters become text": (
        "text_not_ascii",
        [{"parts": [{"type": "text", "text": "sch\xf6n \U0001f600"}]}],
    ),
    "ids and times of the wrong type are read all the same": (
        "text_numeric_ids",
        [{"visitor": "7000000000000007", "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "a message without a time has the entry's": (
        "text_without_timestamp",
        [{"occurred_at": "2025-10-09T08:53:20.500000Z", "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "U+0000 is dropped": ("text_with_nul", [{"parts": [{"type": "text", "text": "ab"}]}]),
    "half an emoji becomes a replacement character": (
        "text_half_emoji",
        [{"parts": [{"type": "text", "text": "ok \ufffd"}]}],
    ),
    "several attachments are parts of one message": (
        "images",
        [
            {
                "parts": [
                    {"type": "media", "kind": "image", "url": "https://cdn.example/a.jpg"},
                    {"type": "media", "kind": "image", "url": "https://cdn.example/b.jpg"},
                ]
            }
        ],
    ),
    "the text comes before what is attached": (
        "media_with_text",
        [
            {
                "parts": [
                    {"type": "text", "text": "see these"},
                    {"type": "media", "kind": "video", "url": "https://cdn.example/a.mp4"},
                    {"type": "media", "kind": "audio", "url": "https://cdn.example/b.mp3"},
                    {"type": "media", "kind": "file", "url": "https://cdn.example/c.pdf"},
                ]
            }
        ],
    ),
    "a sticker that comes twice is one part": (
        "sticker",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "sticker",
                        "url": "https://cdn.example/s.png",
                        "sticker_id": "369239263222822",
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
                        "name": "Ada's place",
                    }
                ]
            }
        ],
    ),
    "a place without coordinates is unsupported": (
        "location_without_place",
        [{"parts": [{"type": "unsupported", "what": "location"}]}],
    ),
    "a shared link whose payload is null": (
        "shared_link",
        [
            {
                "parts": [
                    {"type": "text", "text": "https://shop.example/"},
                    {"type": "share", "title": "A page", "url": "https://shop.example/"},
                ]
            }
        ],
    ),
    "a shared reel": (
        "shared_reel",
        [{"parts": [{"type": "share", "title": "A reel", "url": "https://cdn.example/r.mp4"}]}],
    ),
    "a product is a share": (
        "product",
        [
            {
                "parts": [
                    {
                        "type": "share",
                        "title": "Shirt",
                        "url": "https://cdn.example/p.jpg",
                        "description": "12 EUR",
                    }
                ]
            }
        ],
    ),
    "an appointment tells when": (
        "appointment",
        [
            {
                "parts": [
                    {
                        "type": "share",
                        "title": "appointment_booking",
                        "description": "booking B-1, status CONFIRMED, "
                        "start 2025-10-09T09:53:20+00:00, end 2025-10-09T10:53:20+00:00, "
                        "timezone Asia/Bangkok",
                    }
                ]
            }
        ],
    ),
    "an attachment of a new type is named": (
        "attachment_of_new_type",
        [{"parts": [{"type": "unsupported", "what": "hologram"}]}],
    ),
    "a quick reply is an action, not a text": (
        "quick_reply",
        [{"parts": [{"type": "action", "title": "Red", "payload": "COLOR_RED"}]}],
    ),
    "a reply names what it answers": (
        "reply",
        [{"parts": [{"type": "text", "text": "yes that one"}], "reply_to": "m_0"}],
    ),
    "a message from an ad brings its referral": (
        "message_from_ad",
        [
            {
                "parts": [{"type": "text", "text": "price?"}],
                "referral": {
                    "source": "ADS",
                    "ref": "spring",
                    "ad_id": "6045",
                    "headline": "Shoes",
                    "url": "https://cdn.example/ad.jpg",
                },
            }
        ],
    ),
    "a bare command is an action": (
        "command",
        [{"parts": [{"type": "action", "title": "/flights"}]}],
    ),
    "a message that Meta will not pass on": (
        "unsupported",
        [{"parts": [{"type": "unsupported", "what": "unsupported"}]}],
    ),
    "a message of nothing still has a part": (
        "empty_message",
        [{"parts": [{"type": "unsupported", "what": "empty"}]}],
    ),
    "an unsent message": ("unsent", [{"target": "m_1"}]),
    "an echo belongs to the recipient and returns our id": (
        "echo",
        [
            {
                "message_id": "m_4",
                "parts": [{"type": "text", "text": "we are open"}],
                "app_id": "900000000000001",
                "metadata": "msg_17",
            }
        ],
    ),
    "an echo of a template shows its cards": (
        "echo_of_template",
        [
            {
                "message_id": "m_4",
                "parts": [
                    {"type": "share", "title": "Choose"},
                    {"type": "share", "title": "Red", "description": "12 EUR"},
                ],
                "app_id": "26390203743090",
            }
        ],
    ),
    "the page's own unsent message": ("echo_unsent", [{"target": "m_4"}]),
    "a tapped button with its referral": (
        "postback",
        [
            {
                "message_id": "m_5",
                "parts": [{"type": "action", "title": "Talk to us", "payload": "HUMAN"}],
                "referral": {"source": "SHORTLINK", "ref": "spring"},
            }
        ],
    ),
    "a reaction": ("reaction", [{"target": "m_4", "emoji": "\u2764\ufe0f"}]),
    "a reaction without emoji is translated": (
        "reaction_named",
        [{"target": "m_4", "emoji": "\U0001f62e"}],
    ),
    "a reaction taken back": ("reaction_taken_back", [{"target": "m_4"}]),
    "a reaction by the page names the page": (
        "reaction_by_page",
        [{"target": "m_1", "emoji": "\U0001f44d", "author": "1001"}],
    ),
    "an edit with its version, though it comes as text": (
        "edited",
        [{"target": "m_1", "parts": [{"type": "text", "text": "I meant blue"}], "version": 1}],
    ),
    "a delivery of messages": (
        "delivered",
        [{"status": "delivered", "targets": ["m_4", "m_6"], "watermark": "2025-10-09T08:53:21Z"}],
    ),
    "a delivery without time or ids has its watermark": (
        "delivered_without_mids",
        [
            {
                "occurred_at": "2025-10-09T08:53:21Z",
                "status": "delivered",
                "watermark": "2025-10-09T08:53:21Z",
            }
        ],
    ),
    "a reading up to a moment": ("read", [{"status": "read", "watermark": "2025-10-09T08:53:22Z"}]),
    "an existing thread opened by a link": (
        "referral",
        [
            {
                "kind": "referral",
                "data": {"type": "OPEN_THREAD"},
                "referral": {"source": "SHORTLINK", "ref": "spring"},
            }
        ],
    ),
    "a lead's answers, its time in seconds": (
        "lead",
        [
            {
                "occurred_at": "2025-10-09T08:53:20Z",
                "kind": "referral",
                "data": {
                    "type": "LEAD_COMPLETE",
                    "lead.data.0.question": "Your size?",
                    "lead.data.0.answer": "M",
                },
                "referral": {"source": "ADS", "ad_id": "6045"},
            }
        ],
    ),
    "an opt-in keeps its token to itself": (
        "opted_in",
        [{"change": "opt_in", "detail": "notification_messages news"}],
    ),
    "an opt-out": ("opted_out", [{"change": "opt_out", "detail": "notification_messages"}]),
    "a checkbox opt-in knows only a reference": (
        "opted_in_by_checkbox",
        [{"visitor": "user_ref:REF-1", "change": "opt_in", "detail": "cart-1"}],
    ),
    "a linked account keeps its code to itself": (
        "account_linked",
        [{"kind": "account_linking", "data": {"status": "linked"}}],
    ),
    "a thread passed on": (
        "thread_passed",
        [{"change": "passed", "owner": "9002", "previous": "9001"}],
    ),
    "a thread taken": ("thread_taken", [{"change": "taken", "owner": "9001", "previous": "9002"}]),
    "a thread asked for": ("thread_requested", [{"change": "requested", "owner": "9003"}]),
    "roles of apps concern the account": (
        "app_roles",
        [{"visitor": "", "change": "roles", "owner": "9001"}],
    ),
    "a policy notice concerns the account": (
        "policy",
        [
            {
                "visitor": "",
                "kind": "policy_enforcement",
                "data": {"action": "block", "reason": "spam"},
            }
        ],
    ),
    "feedback on an answer": (
        "response_feedback",
        [{"kind": "response_feedback", "data": {"feedback": "Good response", "mid": "m_4"}}],
    ),
    "answers of a feedback template are flattened": (
        "customer_feedback",
        [
            {
                "kind": "messaging_feedback",
                "data": {
                    "feedback_screens.0.screen_id": "0",
                    "feedback_screens.0.questions.q1.type": "csat",
                    "feedback_screens.0.questions.q1.payload": "5",
                },
            }
        ],
    ),
    "answers of an information form": (
        "customer_information",
        [
            {
                "kind": "customer_information",
                "data": {
                    "screens.0.screen_id": "s",
                    "screens.0.responses.0.key": "city",
                    "screens.0.responses.0.value": "Berlin",
                },
            }
        ],
    ),
    "a coupon template": (
        "coupon",
        [{"kind": "template", "data": {"type": "coupon", "coupon_id": "C-1"}}],
    ),
    "a form": ("form", [{"kind": "form", "data": {"id": "F-1"}}]),
    "a cart": (
        "order",
        [
            {
                "message_id": "raw_2vk4tb5qkrpndivw7xgtjiudw4",
                "parts": [
                    {"type": "order", "note": "gift wrap", "items": [["SKU-1", "2", "12.5", "EUR"]]}
                ],
            }
        ],
    ),
    "a game played": (
        "game_play",
        [{"kind": "game_play", "data": {"game_id": "G-1", "score": "10"}}],
    ),
    "the context of a handover": (
        "hop_context",
        [{"kind": "hop_context", "data": {"0.app_id": "9001", "0.metadata": "note"}}],
    ),
    "a copy on standby": (
        "standby_text",
        [{"standby": True, "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "a postback on standby has no payload": (
        "standby_postback",
        [
            {
                "message_id": "postback_do7yutzxpr7n2alz2drtu5nsj4",
                "standby": True,
                "parts": [{"type": "action", "title": "Talk to us"}],
            }
        ],
    ),
    "another application's answer on standby": (
        "standby_echo",
        [
            {
                "message_id": "m_4",
                "standby": True,
                "parts": [{"type": "text", "text": "we are open"}],
                "app_id": "9002",
            }
        ],
    ),
    "news of the page's templates": (
        "template_status",
        [
            {
                "visitor": "",
                "occurred_at": "2025-10-09T08:53:20.500000Z",
                "kind": "messenger_template_status_update",
                "data": {"event": "APPROVED", "message_template_id": "77"},
            }
        ],
    ),
    "a label put on a person": (
        "inbox_label",
        [
            {
                "occurred_at": "2025-10-09T08:53:20.500000Z",
                "kind": "inbox_labels",
                "data": {
                    "action": "add",
                    "label.id": "L-1",
                    "label.page_label_name": "vip",
                    "user.id": "PSID-7",
                },
            }
        ],
    ),
    "a film": (
        "video",
        [{"parts": [{"type": "media", "kind": "video", "url": "https://cdn.example/a.mp4"}]}],
    ),
    "a voice message": (
        "audio",
        [{"parts": [{"type": "media", "kind": "audio", "url": "https://cdn.example/a.mp3"}]}],
    ),
    "a file": (
        "file",
        [{"parts": [{"type": "media", "kind": "file", "url": "https://cdn.example/a.pdf"}]}],
    ),
    "a sticker that comes once": (
        "sticker_alone",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "sticker",
                        "url": "https://cdn.example/s.png",
                        "sticker_id": "369239263222822",
                    }
                ]
            }
        ],
    ),
    "a shared link in its payload": (
        "shared_link_in_payload",
        [{"parts": [{"type": "share", "title": "A page", "url": "https://shop.example/"}]}],
    ),
    "a shared post": (
        "shared_post",
        [{"parts": [{"type": "share", "title": "A post", "url": "https://cdn.example/post"}]}],
    ),
    "a shared post of Instagram": (
        "shared_instagram_post",
        [{"parts": [{"type": "share", "title": "A post", "url": "https://cdn.example/ig"}]}],
    ),
    "a shared reel of Instagram": (
        "shared_instagram_reel",
        [{"parts": [{"type": "share", "title": "A reel", "url": "https://cdn.example/r.mp4"}]}],
    ),
    "a template's card": (
        "template",
        [
            {
                "parts": [
                    {
                        "type": "share",
                        "title": "Red",
                        "url": "https://cdn.example/red.jpg",
                        "description": "12 EUR",
                    }
                ]
            }
        ],
    ),
    "a message from the checkbox plugin knows only a reference": (
        "text_from_checkbox",
        [{"visitor": "user_ref:REF-1", "parts": [{"type": "text", "text": "hi"}]}],
    ),
    "a reply to one's own message": (
        "reply_to_itself",
        [{"parts": [{"type": "text", "text": "and this"}], "reply_to": "m_0"}],
    ),
    "an echo of what was typed in the page's inbox": (
        "echo_from_inbox",
        [
            {
                "message_id": "m_4",
                "parts": [{"type": "text", "text": "typed in the inbox"}],
                "app_id": "26390203743090",
            }
        ],
    ),
    "an echo of a file of ours": (
        "echo_of_files",
        [
            {
                "message_id": "m_4",
                "parts": [{"type": "media", "kind": "image", "url": "https://cdn.example/a.jpg"}],
                "app_id": "900000000000001",
                "metadata": "msg_17",
            }
        ],
    ),
    "the first button that anybody taps": (
        "postback_get_started",
        [
            {
                "message_id": "m_5",
                "parts": [{"type": "action", "title": "Get Started", "payload": "GET_STARTED"}],
            }
        ],
    ),
    "a reaction that has no word": ("reaction_other", [{"target": "m_4", "emoji": "\U0001f525"}]),
    "a lead that was not finished": (
        "lead_incomplete",
        [
            {
                "kind": "referral",
                "data": {"type": "LEAD_INCOMPLETE"},
                "referral": {"source": "ADS", "ad_id": "6045"},
            }
        ],
    ),
    "an unlinked account": (
        "account_unlinked",
        [{"kind": "account_linking", "data": {"status": "unlinked"}}],
    ),
    "a warning concerns the account": (
        "policy_warning",
        [
            {
                "visitor": "",
                "kind": "policy_enforcement",
                "data": {"action": "warning", "reason": "spam"},
            }
        ],
    ),
    "a block that was lifted": (
        "policy_lifted",
        [{"visitor": "", "kind": "policy_enforcement", "data": {"action": "unblock"}}],
    ),
}


@pytest.mark.parametrize(("fixture", "expected"), CASES.values(), ids=CASES)
def test_a_fixture_says(fixture: str, expected: list[dict[str, Any]]) -> None:
    events = parsed(SUBJECT, FIXTURES[fixture])
    assert [told(event, USUAL) for event in events] == expected


KEYS = {
    "a message": ("text", "message:m_1"),
    "its copy on standby": ("standby_text", "standby.message:m_1"),
    "its end": ("unsent", "deleted:m_1"),
    "an echo": ("echo", "echo:m_4"),
    "another application's echo": ("standby_echo", "standby.echo:m_4"),
    "a postback": ("postback", "message:m_5"),
}


@pytest.mark.parametrize(("fixture", "expected"), KEYS.values(), ids=KEYS)
def test_what_has_an_id_is_known_by_it(fixture: str, expected: str) -> None:
    (event,) = parsed(SUBJECT, FIXTURES[fixture])
    assert event.event_id == expected


REACTION = {"mid": "m_4", "action": "react", "reaction": "love", "emoji": "x"}
APART: dict[str, tuple[Any, Any]] = {
    "a reaction and its end": (
        item(reaction=REACTION),
        item(reaction={**REACTION, "action": "unreact"}),
    ),
    "the same reaction later": (
        item(reaction=REACTION),
        item(reaction=REACTION, timestamp=1760000000124),
    ),
    "two edits": (
        item(message_edit={"mid": "m_1", "text": "a", "num_edit": 1}),
        item(message_edit={"mid": "m_1", "text": "a", "num_edit": 2}),
    ),
    "edits without a number": (
        item(message_edit={"mid": "m_1", "text": "a"}),
        item(message_edit={"mid": "m_1", "text": "b"}),
    ),
    "a reading and a delivery": (item(read={"watermark": 5}), item(delivery={"watermark": 5})),
    "two readings": (item(read={"watermark": 5}), item(read={"watermark": 6})),
    "deliveries of different messages": (
        item(delivery={"watermark": 5, "mids": ["m_1"]}),
        item(delivery={"watermark": 5, "mids": ["m_2"]}),
    ),
    "a button tapped twice": (
        item(postback={"payload": "A"}),
        item(postback={"payload": "A"}, timestamp=1760000000124),
    ),
}


@pytest.mark.parametrize(("one", "other"), APART.values(), ids=APART)
def test_occurrences_have_keys_of_their_own(one: Any, other: Any) -> None:
    assert key_of(one) == key_of(msgspec.json.decode(msgspec.json.encode(one)))
    assert key_of(one) != key_of(other)
    assert key_of(one) != key_of(one, key="standby")


@pytest.mark.parametrize("fixture", sorted(FIXTURES))
def test_a_redelivery_in_another_batch_has_the_same_keys(fixture: str) -> None:
    """A broken neighbour, another entry's time and other spellings change no key."""
    body = msgspec.json.decode(FIXTURES[fixture].replace(b'\\ud83d"', b'\\ufffd"'))
    first = {event.event_id for event in parsed(SUBJECT, FIXTURES[fixture])}
    for entry in body["entry"]:
        entry["time"] = 1760000999
    body["entry"].append({"id": "1001", "messaging": [item(message={"text": "half \ud83d"})]})
    again = {event.event_id for event in parsed(SUBJECT, body)}
    if fixture not in {"unknown_entry", "malformed_list"}:  # the entry itself is the item there
        assert first < again


def test_an_id_too_long_to_be_one_is_quarantined() -> None:
    (event,) = parsed(SUBJECT, page(item(message={"mid": "m" * 513, "text": "hi"})))
    assert event.event_id.startswith("unparsed:")
    assert len(key_of(item(message={"mid": "m" * 512, "text": "hi"}))) <= 256


def test_a_text_is_cut_at_64_kib_and_parts_at_a_hundred() -> None:
    (event,) = parsed(SUBJECT, page(item(message={"mid": "m_1", "text": "ä" * 40_000})))
    assert event.parts[0].text == "ä" * 32_768  # type: ignore[union-attr]
    many = [{"type": "image", "payload": {"url": f"https://cdn.example/{n}"}} for n in range(150)]
    (event,) = parsed(SUBJECT, page(item(message={"mid": "m_1", "attachments": many})))
    assert len(event.parts) == 101  # type: ignore[union-attr]
    assert event.parts[100].what == "50 more parts"  # type: ignore[union-attr]


def test_changes_that_are_no_list_are_the_comments_affair() -> None:
    entry = {"id": "1001", "messaging": [item(message={"mid": "m_1"})], "changes": "not a list"}
    (event,) = parsed(SUBJECT, {"object": "page", "entry": [entry]})
    assert event.event_id == "message:m_1"
