"""Instagram's webhooks, one sentence each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.channels.conformance import SUBJECTS, fixtures_of
from tests.channels.meta_family import parsed, told

SUBJECT = SUBJECTS["instagram"]
FIXTURES = fixtures_of("instagram")

USUAL = {"visitor": "IGSID-1", "occurred_at": "2025-10-09T08:53:20.123000Z", "message_id": "aWdf1"}
"""What most fixtures say; a case names the rest."""

CDN = "https://cdn.example/"


def media(kind: str, name: str) -> dict[str, Any]:
    return {"type": "media", "kind": kind, "url": CDN + name}


def share(title: str, name: str) -> dict[str, Any]:
    return {"type": "share", "title": title, "url": CDN + name}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "a text": ("text", [{"parts": [text("hi")]}]),
    "letters and emoji of any script": ("text_not_ascii", [{"parts": [text("schön \U0001f600")]}]),
    "ids and times of the wrong type are read all the same": (
        "text_numeric_ids",
        [{"visitor": "5000000000000001", "parts": [text("hi")]}],
    ),
    "a time in words is read all the same": ("text_with_iso_time", [{"parts": [text("hi")]}]),
    "several pictures are parts of one message": (
        "images",
        [{"parts": [media("image", "a.jpg"), media("image", "b.jpg")]}],
    ),
    "a film": ("video", [{"parts": [media("video", "a.mp4")]}]),
    "a voice message": ("audio", [{"parts": [media("audio", "a.m4a")]}]),
    "a file": ("file", [{"parts": [media("file", "a.pdf")]}]),
    "a heart is a text": ("like_heart", [{"parts": [text("\u2764\ufe0f")]}]),
    "what was to be seen once is named": (
        "ephemeral",
        [{"parts": [{"type": "unsupported", "what": "ephemeral"}]}],
    ),
    "a shared post": ("share", [{"parts": [share("share", "post.jpg")]}]),
    "a shared reel": ("reel", [{"parts": [share("A reel", "r.mp4")]}]),
    "a shared reel of ours": ("ig_reel", [{"parts": [share("Ours", "r2.mp4")]}]),
    "a shared post of ours": ("ig_post", [{"parts": [share("A post", "p.jpg")]}]),
    "a product is a share": (
        "product",
        [{"parts": [{**share("Shirt", "p.jpg"), "description": "12 EUR"}]}],
    ),
    "a mention in a story": ("story_mention", [{"parts": [share("story_mention", "s.jpg")]}]),
    "an answer to a story shows the story": (
        "story_reply",
        [{"parts": [text("lovely"), share("story", "s.jpg")]}],
    ),
    "a reply names what it answers": (
        "reply",
        [{"parts": [text("yes that one")], "reply_to": "aWdf0"}],
    ),
    "a quick reply is an action, not a text": (
        "quick_reply",
        [{"parts": [{"type": "action", "title": "Red", "payload": "COLOR_RED"}]}],
    ),
    "a message from an ad brings its referral": (
        "message_from_ad",
        [
            {
                "parts": [text("price?")],
                "referral": {
                    "source": "ADS",
                    "ref": "spring",
                    "ad_id": "6045",
                    "headline": "Shoes",
                    "url": CDN + "ad.jpg",
                },
            }
        ],
    ),
    "an attachment of a new type is named": (
        "attachment_of_new_type",
        [{"parts": [{"type": "unsupported", "what": "hologram"}]}],
    ),
    "a message that Meta will not pass on": (
        "unsupported",
        [{"parts": [{"type": "unsupported", "what": "unsupported"}]}],
    ),
    "a message of nothing still has a part": (
        "empty_message",
        [{"parts": [{"type": "unsupported", "what": "empty"}]}],
    ),
    "an unsent message": ("unsent", [{"target": "aWdf1"}]),
    "an edit with its version": (
        "edited",
        [{"target": "aWdf1", "parts": [text("I meant blue")], "version": 1}],
    ),
    "an edit that is none": ("edited_zero_times", [{"target": "aWdf1", "parts": [text("hi")]}]),
    "an echo belongs to the recipient and returns our id": (
        "echo",
        [
            {
                "message_id": "aWdf4",
                "parts": [text("we are open")],
                "app_id": "900000000000001",
                "metadata": "msg_17",
            }
        ],
    ),
    "an echo of what was typed on the phone": (
        "echo_typed_in_the_app",
        [{"message_id": "aWdf5", "parts": [text("from the phone")]}],
    ),
    "the account's own unsent message": ("echo_unsent", [{"target": "aWdf4"}]),
    "a tapped button": (
        "postback",
        [
            {
                "message_id": "aWdf6",
                "parts": [{"type": "action", "title": "Talk to us", "payload": "HUMAN"}],
            }
        ],
    ),
    "a reaction": ("reaction", [{"target": "aWdf4", "emoji": "\u2764\ufe0f"}]),
    "a reaction of any emoji": (
        "reaction_without_word",
        [{"target": "aWdf4", "emoji": "\U0001f525"}],
    ),
    "a reaction taken back": ("reaction_taken_back", [{"target": "aWdf4"}]),
    "one message was read": ("read", [{"status": "read", "targets": ["aWdf4"]}]),
    "an existing thread opened by a link": (
        "referral",
        [
            {
                "kind": "referral",
                "data": {"type": "OPEN_THREAD"},
                "referral": {"source": "IGME", "ref": "spring"},
            }
        ],
    ),
    "an opt-in keeps its token to itself": (
        "optin",
        [{"change": "opt_in", "detail": "notification_messages news"}],
    ),
    "a thread passed on": (
        "thread_passed",
        [{"change": "passed", "owner": "9002", "previous": "9001"}],
    ),
    "a thread taken": ("thread_taken", [{"change": "taken", "owner": "9001", "previous": "9002"}]),
    "a copy on standby": ("standby_text", [{"standby": True, "parts": [text("hi")]}]),
    "another application's answer on standby": (
        "standby_echo",
        [
            {
                "message_id": "aWdf4",
                "standby": True,
                "parts": [text("we are open")],
                "app_id": "9002",
            }
        ],
    ),
    "a message in the form of a change": ("text_as_change", [{"parts": [text("hi")]}]),
    "a copy on standby in the form of a change": (
        "standby_as_change",
        [{"standby": True, "parts": [text("hi")]}],
    ),
    "a comment is noted with all that is said of it": (
        "comment",
        [
            {
                "occurred_at": "2025-10-09T08:53:20Z",
                "kind": "comment",
                "data": {
                    "id": "C1",
                    "text": "price?",
                    "from.id": "IGSID-1",
                    "from.username": "ada",
                    "media.id": "M1",
                    "media.media_product_type": "FEED",
                },
            }
        ],
    ),
    "the account's own comment is passed over": ("own_comment", []),
    "a comment during a broadcast names its parent": (
        "live_comment",
        [
            {
                "occurred_at": "2025-10-09T08:53:20Z",
                "kind": "comment",
                "data": {
                    "id": "C2",
                    "text": "hello",
                    "from.id": "IGSID-1",
                    "from.username": "ada",
                    "media.id": "M2",
                    "media.media_product_type": "LIVE",
                    "parent_id": "C1",
                },
            }
        ],
    ),
}


@pytest.mark.parametrize(("fixture", "expected"), CASES.values(), ids=CASES)
def test_d28_a_fixture_says(fixture: str, expected: list[dict[str, Any]]) -> None:
    events = parsed(SUBJECT, FIXTURES[fixture])
    assert [told(event, USUAL) for event in events] == expected


KEYS = {
    "a message": ("text", "message:aWdf1"),
    "a message in the form of a change": ("text_as_change", "message:aWdf1"),
    "its copy on standby": ("standby_text", "standby.message:aWdf1"),
    "its end": ("unsent", "deleted:aWdf1"),
    "an echo": ("echo", "echo:aWdf4"),
    "a postback": ("postback", "message:aWdf6"),
    "a comment": ("comment", "comment:C1"),
}


@pytest.mark.parametrize(("fixture", "expected"), KEYS.values(), ids=KEYS)
def test_what_has_an_id_is_known_by_it(fixture: str, expected: str) -> None:
    (event,) = parsed(SUBJECT, FIXTURES[fixture])
    assert event.event_id == expected


def test_a_page_is_not_an_instagram_account_of_the_same_id() -> None:
    messenger = SUBJECTS["messenger"]
    body = FIXTURES["text"].replace(b"17840001", b"1001")
    assert parsed(messenger, body) == ()
    assert parsed(SUBJECT, FIXTURES["a_page"]) == ()
