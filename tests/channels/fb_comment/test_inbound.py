"""Comments of a page, one sentence each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.channels.conformance import SUBJECTS, fixtures_of
from tests.channels.meta_family import parsed, told

SUBJECT = SUBJECTS["fb_comment"]
FIXTURES = fixtures_of("fb_comment")

USUAL = {
    "visitor": "7000001",
    "occurred_at": "2025-10-09T08:54:59Z",
    "message_id": "55_900",
    "target": "55_900",
    "profile": {"name": "Ada"},
    "thread": {"post": "1001_55", "comment": "55_900", "parent": "1001_55"},
}
"""What most fixtures say; a case names the rest."""

CASES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "a comment below a post": (
        "text",
        [
            {
                "thread": {
                    "post": "1001_55",
                    "comment": "55_900",
                    "parent": "1001_55",
                    "permalink": "https://facebook.example/p/55",
                },
                "parts": [{"type": "text", "text": "price?"}],
            }
        ],
    ),
    "a reply answers the comment above": (
        "reply",
        [
            {
                "message_id": "55_902",
                "thread": {"post": "1001_55", "comment": "55_902", "parent": "55_900"},
                "parts": [{"type": "text", "text": "size?"}],
                "reply_to": "55_900",
            }
        ],
    ),
    "a photo without words": (
        "photo",
        [{"parts": [{"type": "media", "kind": "image", "url": "https://cdn.example/a.jpg"}]}],
    ),
    "photos are told once": (
        "photos_with_text",
        [
            {
                "parts": [
                    {"type": "text", "text": "these two"},
                    {"type": "media", "kind": "image", "url": "https://cdn.example/a.jpg"},
                    {"type": "media", "kind": "image", "url": "https://cdn.example/b.jpg"},
                ]
            }
        ],
    ),
    "a GIF is a video": (
        "gif",
        [{"parts": [{"type": "media", "kind": "video", "url": "https://cdn.example/g.mp4"}]}],
    ),
    "a link": (
        "link",
        [
            {
                "parts": [
                    {"type": "text", "text": "look"},
                    {"type": "share", "url": "https://shop.example/"},
                ]
            }
        ],
    ),
    "a comment of which Meta tells nothing": (
        "sticker",
        [{"parts": [{"type": "unsupported", "what": "empty"}]}],
    ),
    "an anonymous comment is its own visitor": (
        "without_from",
        [
            {
                "visitor": "comment:55_900",
                "profile": {},
                "parts": [{"type": "text", "text": "who am I"}],
            }
        ],
    ),
    "an anonymous reply is the thread's": (
        "reply_without_from",
        [
            {
                "visitor": "comment:55_900",
                "message_id": "55_902",
                "profile": {},
                "thread": {"post": "1001_55", "comment": "55_902", "parent": "55_900"},
                "parts": [{"type": "text", "text": "who am I"}],
                "reply_to": "55_900",
            }
        ],
    ),
    "old bodies name the sender otherwise": (
        "old_sender_fields",
        [{"parts": [{"type": "text", "text": "price?"}]}],
    ),
    "a mention in a comment": (
        "mention_in_comment",
        [{"parts": [{"type": "text", "text": "ask The Page"}]}],
    ),
    "a mention in a post is answered below the post": (
        "mention_in_post",
        [
            {
                "message_id": "77_88",
                "thread": {"post": "77_88", "comment": "77_88"},
                "parts": [{"type": "text", "text": "The Page is great"}],
            }
        ],
    ),
    "an edit is dated by the entry": (
        "edited",
        [
            {
                "occurred_at": "2025-10-09T08:55:00Z",
                "parts": [{"type": "text", "text": "price and size?"}],
            }
        ],
    ),
    "a hidden comment": ("hidden", [{"occurred_at": "2025-10-09T08:55:00Z", "hidden": True}]),
    "a comment shown again": (
        "shown_again",
        [{"occurred_at": "2025-10-09T08:55:00Z", "hidden": False}],
    ),
    "a removal without an author": (
        "removed",
        [{"visitor": "comment:55_900", "occurred_at": "2025-10-09T08:55:00Z"}],
    ),
    "the page's own reply belongs to the thread": (
        "page_reply",
        [
            {
                "visitor": "comment:55_900",
                "occurred_at": "2025-10-09T08:56:40Z",
                "message_id": "55_901",
                "thread": {"post": "1001_55", "comment": "55_901", "parent": "55_900"},
                "parts": [{"type": "text", "text": "12 euro"}],
            }
        ],
    ),
    "the page's own comment at the top": (
        "page_comment",
        [
            {
                "visitor": "comment:55_903",
                "occurred_at": "2025-10-09T08:56:40Z",
                "message_id": "55_903",
                "thread": {"post": "1001_55", "comment": "55_903", "parent": "1001_55"},
                "parts": [{"type": "text", "text": "New in!"}],
            }
        ],
    ),
    "a film": (
        "video",
        [{"parts": [{"type": "media", "kind": "video", "url": "https://cdn.example/v.mp4"}]}],
    ),
    "a reply to a reply answers the reply": (
        "reply_to_reply",
        [
            {
                "message_id": "55_902",
                "thread": {"post": "1001_55", "comment": "55_902", "parent": "55_901"},
                "parts": [{"type": "text", "text": "still there?"}],
                "reply_to": "55_901",
            }
        ],
    ),
    "a post of an advertisement has another first half": (
        "dark_post",
        [
            {
                "thread": {"post": "9009_55", "comment": "55_900", "parent": "9009_55"},
                "parts": [{"type": "text", "text": "price?"}],
            }
        ],
    ),
    "an edit in other words": (
        "edited_in_other_words",
        [
            {
                "occurred_at": "2025-10-09T08:55:00Z",
                "parts": [{"type": "text", "text": "price and size?"}],
            }
        ],
    ),
    "a removal in other words": (
        "removed_in_other_words",
        [{"occurred_at": "2025-10-09T08:55:00Z"}],
    ),
    "a removal by nobody known": (
        "removed_without_from",
        [{"visitor": "comment:55_900", "occurred_at": "2025-10-09T08:55:00Z"}],
    ),
    "hidden at no known time": (
        "hidden_without_time",
        [{"occurred_at": "1970-01-01T00:00:00Z", "hidden": True}],
    ),
    "the page edits its own reply": (
        "page_reply_edited",
        [
            {
                "visitor": "comment:55_900",
                "occurred_at": "2025-10-09T08:55:00Z",
                "target": "55_901",
                "parts": [{"type": "text", "text": "13 euro"}],
            }
        ],
    ),
    "the page removes its own reply": (
        "page_reply_removed",
        [
            {
                "visitor": "comment:55_900",
                "occurred_at": "2025-10-09T08:55:00Z",
                "target": "55_901",
            }
        ],
    ),
    "the page answers with a picture": (
        "page_picture",
        [
            {
                "visitor": "comment:55_900",
                "message_id": "55_901",
                "parts": [{"type": "media", "kind": "image", "url": "https://cdn.example/p.jpg"}],
                "thread": {"post": "1001_55", "comment": "55_901", "parent": "55_900"},
            }
        ],
    ),
    "several entries keep their order": (
        "several_entries",
        [
            {"parts": [{"type": "text", "text": "one"}]},
            {
                "message_id": "55_903",
                "occurred_at": "2025-10-09T08:55:00Z",
                "thread": {"post": "1001_55", "comment": "55_903", "parent": "1001_55"},
                "parts": [{"type": "text", "text": "two"}],
            },
        ],
    ),
    "a visitor's post is no comment": ("visitor_post", []),
    "a share is no comment": ("share", []),
    "a blocked person is no comment": ("blocked", []),
}


@pytest.mark.parametrize(("fixture", "expected"), CASES.values(), ids=CASES)
def test_a_fixture_says(fixture: str, expected: list[dict[str, Any]]) -> None:
    events = parsed(SUBJECT, FIXTURES[fixture])
    assert [told(event, USUAL) for event in events] == expected


def feed(time: int, **value: Any) -> dict[str, Any]:
    change = {"field": "feed", "value": {"item": "comment", "comment_id": "55_900", **value}}
    return {"object": "page", "entry": [{"id": "1001", "time": time, "changes": [change]}]}


def key_of(body: Any) -> str:
    (event,) = parsed(SUBJECT, body)
    return event.event_id


FROM = {"id": "7000001"}
SAME: dict[str, tuple[Any, Any]] = {
    "a comment told again, with other details": (
        feed(1, verb="add", message="a", **{"from": FROM}),
        feed(2, verb="add", message="a", created_time=3),
    ),
    "a removal told again": (feed(1, verb="remove"), feed(2, verb="delete", **{"from": FROM})),
    "an edit told again": (feed(1, verb="edited", message="a"), feed(1, verb="edit")),
}
APART: dict[str, tuple[Any, Any]] = {
    "a comment and its edit": (feed(1, verb="add"), feed(1, verb="edited")),
    "two edits": (feed(1, verb="edited", message="a"), feed(2, verb="edited", message="a")),
    "hidden twice": (feed(1, verb="hide"), feed(3, verb="hide")),
    "hidden and shown": (feed(1, verb="hide"), feed(1, verb="unhide")),
    "undated edits": (feed(0, verb="edited", message="a"), feed(0, verb="edited", message="b")),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_one_occurrence_has_one_key(one: Any, other: Any) -> None:
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(("one", "other"), APART.values(), ids=APART)
def test_occurrences_have_keys_of_their_own(one: Any, other: Any) -> None:
    assert key_of(one) != key_of(other)


def test_likes_are_counted_and_nothing_else() -> None:
    request = SUBJECT.sign(FIXTURES["mixed_batch"])
    found = SUBJECT.channel.parse(SUBJECT.account, request)
    assert (len(found.events), found.ignored) == (1, 1)


def test_a_comment_is_read_whatever_its_details_are() -> None:
    value = {
        "verb": "add",
        "post": {"permalink_url": None},
        "created_time": "2025-10-09T08:54:59+0000",
    }
    (event,) = parsed(SUBJECT, feed(1, **value))
    assert msgspec.to_builtins(event)["occurred_at"] == "2025-10-09T08:54:59Z"
