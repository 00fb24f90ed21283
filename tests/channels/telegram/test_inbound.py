"""Telegram's updates, one sentence each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libs.common.channel import WebhookRequest
from libs.common.errors import BadSignatureError, MalformedPayloadError
from tests.channels.conformance import SUBJECTS, fixtures_of
from tests.channels.meta_family import parsed, told

SUBJECT = SUBJECTS["telegram"]
FIXTURES = fixtures_of("telegram")

USUAL = {
    "visitor": "77",
    "occurred_at": "2025-10-09T08:53:20Z",
    "message_id": "77:5",
    "profile": {"name": "Ada Lovelace", "username": "ada_l", "language": "en"},
}
"""What most fixtures say; a case names the rest."""

CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "a text": ("text", [{"parts": [{"type": "text", "text": "hi"}]}]),
    "a link behind words is shown behind the text": (
        "text_with_hidden_link",
        [
            {
                "parts": [
                    {"type": "text", "text": "see here"},
                    {"type": "share", "url": "https://example.com/a"},
                ]
            }
        ],
    ),
    "half an emoji": ("half_emoji", [{"parts": [{"type": "text", "text": "hi �"}]}]),
    "a link's parameter comes with the start": (
        "start_with_parameter",
        [
            {
                "parts": [{"type": "text", "text": "/start spring-ad"}],
                "referral": {"source": "start", "ref": "spring-ad"},
            }
        ],
    ),
    "a reply names what it answers": (
        "reply",
        [{"parts": [{"type": "text", "text": "that one"}], "reply_to": "77:4"}],
    ),
    "a forwarded message": (
        "forwarded",
        [{"parts": [{"type": "text", "text": "look"}], "forwarded": True}],
    ),
    "a group is the visitor, the person the author": (
        "text_in_group",
        [
            {
                "visitor": "-100200300",
                "message_id": "-100200300:5",
                "group": "Acme friends",
                "parts": [{"type": "text", "text": "hi all"}],
                "author": "77",
            }
        ],
    ),
    "an anonymous administrator speaks as the group": (
        "text_by_anonymous_admin",
        [
            {
                "visitor": "-100200300",
                "message_id": "-100200300:5",
                "group": "Acme friends",
                "profile": {"name": "Acme friends"},
                "parts": [{"type": "text", "text": "welcome"}],
                "author": "-100200300",
            }
        ],
    ),
    "the largest picture, and its caption": (
        "photo",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "image",
                        "media_id": "AgAC-large",
                        "mime_type": "image/jpeg",
                        "size_bytes": 88000,
                    },
                    {"type": "text", "text": "receipt"},
                ]
            }
        ],
    ),
    "a picture of an album names it": (
        "photo_of_album",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "image",
                        "media_id": "AgAC-first",
                        "mime_type": "image/jpeg",
                        "size_bytes": 70000,
                        "album": "13400001",
                    }
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
                        "media_id": "BAAC-1",
                        "mime_type": "video/mp4",
                        "name": "trip.mp4",
                        "size_bytes": 500000,
                        "duration_ms": 12000,
                    }
                ]
            }
        ],
    ),
    "a film without sound is one part": (
        "animation",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "video",
                        "media_id": "CgAC-1",
                        "mime_type": "video/mp4",
                        "name": "wave.mp4",
                        "size_bytes": 40000,
                        "duration_ms": 3000,
                    }
                ]
            }
        ],
    ),
    "a round film": (
        "video_note",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "video",
                        "media_id": "DQAC-1",
                        "mime_type": "video/mp4",
                        "size_bytes": 300000,
                        "duration_ms": 6000,
                    }
                ]
            }
        ],
    ),
    "a sound": (
        "audio",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "audio",
                        "media_id": "CQAC-1",
                        "mime_type": "audio/mpeg",
                        "name": "song.mp3",
                        "size_bytes": 3000000,
                        "duration_ms": 180000,
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
                        "media_id": "AwAC-1",
                        "mime_type": "audio/ogg",
                        "size_bytes": 9000,
                        "duration_ms": 4000,
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
                        "media_id": "BQAC-1",
                        "mime_type": "application/pdf",
                        "name": "offer.pdf",
                        "size_bytes": 120000,
                    },
                    {"type": "text", "text": "the offer"},
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
                        "media_id": "CAAC-1",
                        "mime_type": "image/webp",
                        "name": "👍",
                        "size_bytes": 20000,
                        "sticker_id": "CAAC-1",
                        "sticker_set": "Thumbs",
                    }
                ]
            }
        ],
    ),
    "an animated sticker": (
        "sticker_animated",
        [
            {
                "parts": [
                    {
                        "type": "media",
                        "kind": "sticker",
                        "media_id": "CAAC-2",
                        "mime_type": "application/x-tgsticker",
                        "name": "🎉",
                        "size_bytes": 9000,
                        "sticker_id": "CAAC-2",
                        "sticker_set": "Party",
                    }
                ]
            }
        ],
    ),
    "a place": (
        "location",
        [{"parts": [{"type": "location", "latitude": 52.52, "longitude": 13.405}]}],
    ),
    "a place with a name is one part": (
        "venue",
        [
            {
                "parts": [
                    {
                        "type": "location",
                        "latitude": 52.52,
                        "longitude": 13.405,
                        "name": "Café",
                        "address": "Main St 1",
                    }
                ]
            }
        ],
    ),
    "a card": (
        "contact",
        [{"parts": [{"type": "contact", "name": "Ada Lovelace", "phones": ["+15557770000"]}]}],
    ),
    "a poll shows its options": (
        "poll",
        [{"parts": [{"type": "share", "title": "When?", "description": "Monday\nTuesday"}]}],
    ),
    "a die": ("dice", [{"parts": [{"type": "text", "text": "🎲 4"}]}]),
    "a game": ("game", [{"parts": [{"type": "share", "title": "Chess", "description": "A game"}]}]),
    "a story is not passed on": ("story", [{"parts": [{"type": "unsupported", "what": "story"}]}]),
    "a form": (
        "web_app_form",
        [{"parts": [{"type": "action", "title": "Book", "payload": '{"slot":3}'}]}],
    ),
    "a button has the title that was seen": (
        "callback",
        [
            {
                "occurred_at": "1970-01-01T00:00:00Z",
                "message_id": "77:callback.4382bfdwdsb323b2d9",
                "parts": [{"type": "action", "title": "Tuesday", "payload": "slot:3"}],
                "reply_to": "77:9",
                "read_token": "4382bfdwdsb323b2d9",
            }
        ],
    ),
    "a button tapped in a group": (
        "callback_in_group",
        [
            {
                "visitor": "-100200300",
                "occurred_at": "1970-01-01T00:00:00Z",
                "message_id": "-100200300:callback.c2",
                "group": "Acme friends",
                "parts": [{"type": "action", "title": "Monday", "payload": "slot:2"}],
                "author": "77",
                "reply_to": "-100200300:9",
                "read_token": "c2",
            }
        ],
    ),
    "a button whose message is too old": (
        "callback_without_message",
        [
            {
                "occurred_at": "1970-01-01T00:00:00Z",
                "message_id": "77:callback.c1",
                "parts": [{"type": "action", "payload": "slot:3"}],
                "read_token": "c1",
            }
        ],
    ),
    "an edit": (
        "edited",
        [
            {
                "occurred_at": "2025-10-09T08:53:50Z",
                "target": "77:5",
                "parts": [{"type": "text", "text": "hi there"}],
                "version": 900033,
            }
        ],
    ),
    "an edited caption": (
        "edited_caption",
        [
            {
                "occurred_at": "2025-10-09T08:53:50Z",
                "target": "77:5",
                "parts": [
                    {
                        "type": "media",
                        "kind": "image",
                        "media_id": "AgAC-large",
                        "mime_type": "image/jpeg",
                        "size_bytes": 88000,
                    },
                    {"type": "text", "text": "the receipt"},
                ],
                "version": 900034,
            }
        ],
    ),
    "a reaction": ("reaction", [{"target": "77:4", "emoji": "👍"}]),
    "a reaction taken back": ("reaction_taken_back", [{"target": "77:4"}]),
    "reactions that are no emoji": (
        "reaction_in_group",
        [
            {
                "visitor": "-100200300",
                "target": "-100200300:4",
                "emoji": "custom:5368⭐",
                "author": "-100200300",
            }
        ],
    ),
    "the bot was blocked": ("blocked", [{"change": "unfollow"}]),
    "the bot was unblocked": ("unblocked", [{"change": "follow", "detail": "unblocked"}]),
    "the bot joined a group": (
        "joined",
        [{"visitor": "-100200300", "profile": {"name": "Acme friends"}, "change": "join"}],
    ),
    "the bot was removed from a group": (
        "left",
        [{"visitor": "-100200300", "profile": {"name": "Acme friends"}, "change": "leave"}],
    ),
    "a member joined": (
        "member_joined",
        [
            {
                "visitor": "-100200300",
                "profile": {"name": "Acme friends"},
                "change": "member_joined",
                "detail": "78",
            }
        ],
    ),
    "a member was banned": (
        "member_banned",
        [
            {
                "visitor": "-100200300",
                "profile": {"name": "Acme friends"},
                "change": "member_left",
                "detail": "78",
            }
        ],
    ),
    "a note of new members": (
        "members_joined",
        [
            {
                "visitor": "-100200300",
                "profile": {"name": "Acme friends"},
                "change": "member_joined",
                "detail": "78,79",
            }
        ],
    ),
    "a note of a member who left": (
        "member_left",
        [
            {
                "visitor": "-100200300",
                "profile": {"name": "Acme friends"},
                "change": "member_left",
                "detail": "78",
            }
        ],
    ),
    "a group that became a supergroup is the same": (
        "group_became_supergroup",
        [
            {
                "visitor": "-100200300",
                "previous": "-4001",
                "detail": "migrate_to_chat_id",
                "profile": None,
            }
        ],
    ),
    "so says the supergroup": (
        "supergroup_was_group",
        [
            {
                "visitor": "-100200300",
                "previous": "-4001",
                "detail": "migrate_to_chat_id",
                "profile": None,
            }
        ],
    ),
    "a payment, without the codes of its charge": (
        "payment",
        [
            {
                "kind": "payment",
                "data": {"currency": "EUR", "total_amount": "1500", "invoice_payload": "order-7"},
            }
        ],
    ),
    "an answer to a poll": (
        "poll_answer",
        [
            {
                "occurred_at": "1970-01-01T00:00:00Z",
                "kind": "poll_answer",
                "data": {
                    "poll_id": "p1",
                    "user.id": "77",
                    "user.is_bot": "False",
                    "user.first_name": "Ada",
                    "user.last_name": "Lovelace",
                    "user.username": "ada_l",
                    "user.language_code": "en",
                    "option_ids.0": "1",
                },
            }
        ],
    ),
    "somebody wants to join": (
        "join_request",
        [
            {
                "visitor": "-100200300",
                "kind": "chat_join_request",
                "data": {
                    "chat.id": "-100200300",
                    "chat.type": "supergroup",
                    "chat.title": "Acme friends",
                    "from.id": "78",
                    "from.is_bot": "False",
                    "from.first_name": "Eve",
                    "user_chat_id": "78",
                    "date": "1760000000",
                },
            }
        ],
    ),
    "a lent business account is news": (
        "business_connection",
        [
            {
                "visitor": "",
                "kind": "business_connection",
                "data": {
                    "id": "bc-1",
                    "user.id": "90",
                    "user.is_bot": "False",
                    "user.first_name": "Olga",
                    "user_chat_id": "90",
                    "date": "1760000000",
                    "is_enabled": "True",
                    "rights.can_reply": "True",
                },
            }
        ],
    ),
    "a message in a lent account": (
        "business_text",
        [
            {
                "visitor": "77@bc-1",
                "message_id": "77@bc-1:5",
                "parts": [{"type": "text", "text": "is it open?"}],
            }
        ],
    ),
    "the owner's own message is an echo": (
        "business_text_by_owner",
        [
            {
                "visitor": "77@bc-1",
                "message_id": "77@bc-1:6",
                "parts": [{"type": "text", "text": "yes, till six"}],
            }
        ],
    ),
    "an edit in a lent account": (
        "business_edited",
        [
            {
                "visitor": "77@bc-1",
                "occurred_at": "2025-10-09T08:53:50Z",
                "target": "77@bc-1:5",
                "parts": [{"type": "text", "text": "is it open today?"}],
                "version": 900052,
            }
        ],
    ),
    "deletions in a lent account": (
        "business_deleted",
        [
            {"visitor": "77@bc-1", "occurred_at": "1970-01-01T00:00:00Z", "target": "77@bc-1:5"},
            {"visitor": "77@bc-1", "occurred_at": "1970-01-01T00:00:00Z", "target": "77@bc-1:6"},
        ],
    ),
}


@pytest.mark.parametrize(("fixture", "expected"), CASES.values(), ids=CASES)
def test_d28_what_an_update_says(fixture: str, expected: list[dict[str, Any]]) -> None:
    assert [told(event, USUAL) for event in parsed(SUBJECT, FIXTURES[fixture])] == expected


COUNTED = {
    "the bot's own coming, which my_chat_member tells": "bot_added",
    "a mere change of rights": "made_admin",
    "a note about the group": "title_changed",
    "anonymous reactions": "reaction_counts",
    "a post in a broadcast channel": "channel_post",
    "an edit of it": "edited_channel_post",
    "what is typed inline": "inline_query",
    "counts of a poll": "poll_counts",
    "a boost": "boost",
}


@pytest.mark.parametrize("fixture", COUNTED.values(), ids=COUNTED)
def test_what_carries_nothing_to_keep_is_counted(fixture: str) -> None:
    found = SUBJECT.channel.parse(SUBJECT.account, SUBJECT.sign(FIXTURES[fixture]))
    assert (found.events, found.ignored) == ((), 1)


def message(**more: Any) -> dict[str, Any]:
    chat = {"id": 77, "type": "private"}
    return {"message_id": 5, "date": 1760000000, "chat": chat, "from": {"id": 77}, **more}


def test_an_update_is_known_by_its_number() -> None:
    (event,) = parsed(SUBJECT, FIXTURES["text"])
    assert event.event_id == f"update:{json.loads(FIXTURES['text'])['update_id']}"


def test_an_update_without_a_number_is_known_by_its_content() -> None:
    (one,) = parsed(SUBJECT, {"message": message(text="a")})
    (same,) = parsed(SUBJECT, {"message": message(text="a")})
    (other,) = parsed(SUBJECT, {"message": message(text="b")})
    assert one.event_id == same.event_id != other.event_id


def test_the_move_of_a_group_is_told_twice_and_is_one_event() -> None:
    (old,) = parsed(SUBJECT, FIXTURES["group_became_supergroup"])
    (new,) = parsed(SUBJECT, FIXTURES["supergroup_was_group"])
    assert old.event_id == new.event_id == "moved:-4001:-100200300"


def test_messages_of_two_chats_with_the_same_number_are_two() -> None:
    bodies = [{"update_id": n, "message": message(text="hi")} for n in (1, 2)]
    bodies[1]["message"]["chat"] = {"id": 78, "type": "private"}  # type: ignore[index]
    ids = [event.message_id for body in bodies for event in parsed(SUBJECT, body)]  # type: ignore[union-attr]
    assert ids == ["77:5", "78:5"]


def test_the_later_of_two_edits_within_a_second_has_the_higher_version() -> None:
    edits = [
        {"update_id": number, "edited_message": message(text=str(number), edit_date=1760000030)}
        for number in (31, 32)
    ]
    first, second = (event for body in edits for event in parsed(SUBJECT, body))
    assert first.occurred_at == second.occurred_at
    assert first.version < second.version  # type: ignore[union-attr]


BAD = {
    "a number": (5, "malformed_item"),
    "null": (None, "malformed_item"),
    "a message without a chat": ({"message_id": 5, "text": "hi"}, "malformed_item"),
    "a message without an id": ({"chat": {"id": 77}, "text": "hi"}, "malformed_item"),
    "a text that is an object": (message(text={"a": 1}), "malformed_item"),
    "content of a new kind": (message(hologram={}), "unknown_kind"),
    "no content at all": (message(), "unknown_kind"),
}


@pytest.mark.parametrize(("item", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_kept(item: Any, reason: str) -> None:
    (kept,) = parsed(SUBJECT, {"update_id": 9, "message": item})
    assert told(kept, {})["reason"] == reason
    assert json.loads(told(kept, {})["raw"]) == item
    assert kept.event_id == "unparsed:9"


ODD = {
    "a place without coordinates": (message(location={"latitude": 1}), "location"),
    "a picture without sizes": (message(photo=[]), "photo"),
    "an empty text": (message(text=""), "text"),
}


@pytest.mark.parametrize(("item", "what"), ODD.values(), ids=ODD)
def test_content_that_says_nothing_is_named(item: Any, what: str) -> None:
    (event,) = parsed(SUBJECT, {"update_id": 9, "message": item})
    assert told(event, {})["parts"] == [{"type": "unsupported", "what": what}]


def test_a_standing_that_is_not_known_is_kept() -> None:
    change = json.loads(FIXTURES["blocked"])
    change["my_chat_member"]["new_chat_member"]["status"] = "hologram"
    (kept,) = parsed(SUBJECT, change)
    assert (told(kept, {})["reason"], kept.visitor) == ("unknown_kind", "77")


@pytest.mark.parametrize("body", [b"[]", b"5", b"", b"{"], ids=repr)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        parsed(SUBJECT, body)


def test_an_empty_object_is_kept() -> None:
    (kept,) = parsed(SUBJECT, {})
    assert told(kept, {})["reason"] == "malformed_item"


# --- who may write -----------------------------------------------------------------------------

HEADER = "x-telegram-bot-api-secret-token"
SECRET = SUBJECT.account.secrets["secret_token"]
FORGED = {
    "another secret": "telegram_secret-exampl3",
    "in other case": SECRET.upper(),
    "a part of it": SECRET[:-1],
    "more than it": SECRET + "x",
    "nothing": "",
    "half an emoji": "\ud83d",
}


@pytest.mark.parametrize("given", FORGED.values(), ids=FORGED)
def test_a_wrong_secret_is_refused(given: str) -> None:
    request = WebhookRequest(method="POST", headers={HEADER: given}, query={}, body=b"{}")
    with pytest.raises(BadSignatureError) as caught:
        SUBJECT.channel.verify(SUBJECT.account, request)
    assert SECRET not in str(caught.value)


def test_the_former_secret_is_good_while_both_are_set() -> None:
    both = SUBJECTS["telegram with all secrets"]
    for name in ("secret_token", "secret_token_previous"):
        headers = {HEADER: both.account.secrets[name]}
        request = WebhookRequest(method="POST", headers=headers, query={}, body=b"{}")
        both.channel.verify(both.account, request)
