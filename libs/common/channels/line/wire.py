"""LINE's JSON as it arrives. `type` stays text: LINE adds events and properties unannounced."""

from __future__ import annotations

import msgspec

Id = str | int
"""LINE documents text; test tools and `membershipId` send numbers."""


class Source(msgspec.Struct, rename="camel"):
    """Where it happened; in groups and rooms `user_id` may be missing."""

    type: str = ""
    user_id: Id = ""
    group_id: Id = ""
    room_id: Id = ""

    @property
    def key(self) -> str:
        """The conversation: the group, else the room, else the person."""
        return str(self.group_id or self.room_id or self.user_id)

    @property
    def author(self) -> str:
        """Who acted inside a group or room; empty in a conversation of two."""
        return str(self.user_id) if self.group_id or self.room_id else ""


class ContentProvider(msgspec.Struct, rename="camel"):
    """Who keeps the media: `line`, or `external` with its own URLs."""

    type: str = ""
    original_content_url: str = ""


class ImageSet(msgspec.Struct):
    """The album that an image belongs to; its images are events of their own."""

    id: Id = ""


class Message(msgspec.Struct, rename="camel"):
    """Content of `message` and `messageEdited`; `duration` is ms, `file_size` bytes."""

    type: str
    id: Id = ""
    text: str = ""
    quote_token: str = ""
    mark_as_read_token: str = ""
    quoted_message_id: Id = ""
    content_provider: ContentProvider | None = None
    image_set: ImageSet | None = None
    duration: int | float | None = None
    file_name: str = ""
    file_size: int | None = None
    title: str = ""
    address: str = ""
    latitude: float | None = None
    longitude: float | None = None
    package_id: Id = ""
    sticker_id: Id = ""


class Unsend(msgspec.Struct, rename="camel"):
    """The message that the visitor took back."""

    message_id: Id


class Follow(msgspec.Struct, rename="camel"):
    """`is_unblocked`: they knew the account before."""

    is_unblocked: bool = False


class Members(msgspec.Struct):
    """Who joined or left a group or room."""

    members: tuple[Source, ...] = ()


class PickedParams(msgspec.Struct, rename="camel"):
    """What a date picker or a rich menu switch returned."""

    date: str = ""
    time: str = ""
    datetime: str = ""
    new_rich_menu_alias_id: str = ""


class Postback(msgspec.Struct):
    """A tapped button."""

    data: str = ""
    params: PickedParams | None = None


class VideoPlayComplete(msgspec.Struct, rename="camel"):
    """A video of ours was watched to its end."""

    tracking_id: str = ""


class Beacon(msgspec.Struct):
    """`type` is enter, banner or stay; `dm` the device's message in hex."""

    hwid: str = ""
    type: str = ""
    dm: str = ""


class Link(msgspec.Struct):
    """Account link: `result` is ok or failed."""

    result: str = ""
    nonce: str = ""


class Membership(msgspec.Struct, rename="camel"):
    """A paid membership: `type` is joined, left or renewed."""

    type: str = ""
    membership_id: Id = ""


class Module(msgspec.Struct, rename="camel"):
    """The account attached or detached a module channel."""

    type: str = ""
    bot_id: str = ""
    reason: str = ""


class Delivery(msgspec.Struct):
    """A notification message arrived; `data` is the delivery tag that its sender chose."""

    data: str = ""


class Head(msgspec.Struct, rename="camel"):
    """What every event has; enough to file one that is otherwise unreadable."""

    type: str
    mode: str = "active"
    timestamp: int | float | str = 0
    webhook_event_id: Id = ""
    source: Source | None = None


class Event(Head, rename="camel"):
    """One event; besides the head, the object named like its `type`."""

    reply_token: str = ""
    message: Message | None = None
    unsend: Unsend | None = None
    follow: Follow | None = None
    joined: Members | None = None
    left: Members | None = None
    postback: Postback | None = None
    video_play_complete: VideoPlayComplete | None = None
    beacon: Beacon | None = None
    link: Link | None = None
    membership: Membership | None = None
    module: Module | None = None
    delivery: Delivery | None = None


class Callback(msgspec.Struct):
    """A webhook body; the console's Verify button sends it without events."""

    events: list[msgspec.Raw]
    destination: str = ""


class SentMessage(msgspec.Struct):
    """One bubble that LINE took."""

    id: Id = ""


class ErrorDetail(msgspec.Struct):
    """`property` is the path of the field that LINE objects to."""

    message: str = ""
    property: str = ""


class SendAnswer(msgspec.Struct, rename="camel"):
    """LINE's answer to reply and push, taken or refused; there is no error number."""

    sent_messages: tuple[SentMessage, ...] = ()
    message: str = ""
    details: tuple[ErrorDetail, ...] = ()


class Transcoding(msgspec.Struct):
    """Whether a video or sound can be fetched: `processing`, `succeeded` or `failed`."""

    status: str = ""
