"""The value of a `feed` or `mention` change as Meta sends it; every field may be missing.

Source: Pages webhook reference, field `feed` (read 2026-09).
"""

from __future__ import annotations

import msgspec

from libs.common.providers.normal import Id, Scalar


class Person(msgspec.Struct):
    id: Id = None
    name: Scalar = None


class Post(msgspec.Struct):
    permalink_url: Scalar = None


class Feed(msgspec.Struct):
    """One thing that happened on the page; `from` may be missing, old bodies say `sender_id`."""

    item: Scalar = None
    verb: Scalar = None
    post_id: Id = None
    comment_id: Id = None
    parent_id: Id = None
    from_: Person | None = msgspec.field(default=None, name="from")
    sender_id: Id = None
    sender_name: Scalar = None
    message: str | None = None
    photo: Scalar = None
    photos: list[Scalar] | None = None
    video: Scalar = None
    link: Scalar = None
    created_time: Scalar = None
    edited_time: Scalar = None
    post: Post | None = None


class Kind(msgspec.Struct):
    """Just enough to pass over likes and reactions cheaply."""

    item: Scalar = None


feed = msgspec.json.Decoder(Feed)
kind = msgspec.json.Decoder(Kind)
