"""From a verified body to the events of a page's comments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.fb_comment import wire
from libs.common.errors import MalformedPayloadError
from libs.common.events import (
    BELOW,
    ContentPart,
    InboundEvent,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    MessageReceived,
    Profile,
    SharePart,
    TextPart,
    Thread,
)
from libs.common.providers.envelope import Change, Entry, Lost, open_change, open_item, read, same
from libs.common.providers.meta import COMMENT_FIELDS
from libs.common.providers.normal import (
    EPOCH,
    MAX_PARTS,
    Reason,
    fingerprint,
    ident,
    key,
    limited,
    moment,
    text,
    unparsed,
)

_PASSED_OVER = frozenset(
    {
        "reaction", "like", "post", "status", "photo", "video", "share", "album", "event", "link",
        "note", "offer", "coupon", "question", "milestone", "life_event", "poll", "story",
    }
)  # fmt: skip
"""Known items of a feed that are no conversation."""

_MENTIONS = frozenset({"post", "status", "photo", "video", "share", "link"})
"""Items that are a visitor's words when they mention the page."""


class Spot(msgspec.Struct, frozen=True):
    """A comment and where it stands; `by_page`: the page itself wrote it."""

    raw: bytes
    feed: wire.Feed
    comment: str
    thread: Thread
    visitor: str
    by_page: bool
    sent_at: datetime

    def lifecycle_key(self, verb: str) -> str:
        """Return the key of what may happen to a comment more than once."""
        undated = self.sent_at == EPOCH
        stamp = fingerprint(self.raw) if undated else f"{self.sent_at.timestamp():.3f}"
        return key(verb, self.comment, stamp)


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn one verified body into the events of one page's comments, keeping Meta's order.

    Likes, reactions and the page's own posts are known and only counted.

    Raises:
        MalformedPayloadError: Not even leniently a webhook of the Meta family.
    """
    envelope = read(request.body)
    if envelope.object != "page":
        return Parsed()
    found = [
        _event(account, entry, change, bytes(raw))
        for entry in envelope.entries
        if same(entry.id, account.external_id)
        for raw, change in _comment_changes(entry)
    ]
    events = [event for event in found if event is not None]
    events += [
        _unread(lost)
        for lost in envelope.lost
        if lost.name == "changes" and same(lost.id, account.external_id)
    ]
    return Parsed(events=tuple(events), ignored=found.count(None))


def _comment_changes(entry: Entry) -> Iterator[tuple[msgspec.Raw, Change]]:
    for raw in entry.changes or ():
        change = open_change(raw)
        if change.field in COMMENT_FIELDS:
            yield raw, change


def _event(account: Account, entry: Entry, change: Change, raw: bytes) -> InboundEvent | None:
    reason: Reason = "unknown_kind"
    try:
        if _passed_over(change):
            return None
        spot = _spot(account, entry, open_item(wire.feed, change.value), raw)
        event = _typed(spot)
        if event is not None:
            return event
    except MalformedPayloadError:
        reason = "malformed_item"
    return unparsed(key("unparsed", fingerprint(raw)), raw, reason, occurred_at=entry.at)


def _passed_over(change: Change) -> bool:
    item = text(open_item(wire.kind, change.value).item)
    return item in _PASSED_OVER and not (change.field == "mention" and item in _MENTIONS)


def _unread(lost: Lost) -> InboundEvent:
    event_id = key("unparsed", fingerprint(lost.raw))
    return unparsed(event_id, lost.raw, "malformed_item", occurred_at=lost.at)


def _spot(account: Account, entry: Entry, feed: wire.Feed, raw: bytes) -> Spot:
    post, parent = ident(feed.post_id), ident(feed.parent_id)
    is_comment = feed.item == "comment"
    comment = ident(feed.comment_id) or ("" if is_comment else post)
    if not comment:
        raise MalformedPayloadError("no comment named")
    sender = ident(feed.from_.id) if feed.from_ else ident(feed.sender_id)
    by_page = sender == account.external_id
    root = parent if parent not in ("", post) else comment
    return Spot(
        raw=raw,
        feed=feed,
        comment=comment,
        thread=Thread(
            post=post,
            comment=comment,
            parent=parent,
            permalink=text(feed.post.permalink_url) if feed.post else "",
        ),
        visitor=f"{BELOW}{root}" if by_page or not sender else sender,
        by_page=by_page,
        sent_at=entry.at,
    )


def _typed(spot: Spot) -> InboundEvent | None:
    feed = spot.feed
    if feed.item != "comment" and text(feed.item) not in _MENTIONS:
        return None
    match feed.verb:
        case "add":
            return _added(spot)
        case "edited" | "edit":
            return MessageEdited(
                event_id=spot.lifecycle_key("edited"),
                visitor=spot.visitor,
                occurred_at=moment(feed.edited_time) or spot.sent_at,
                target=spot.comment,
                parts=_parts(feed),
            )
        case "remove" | "delete":
            return MessageDeleted(
                event_id=key("remove", spot.comment),
                visitor=spot.visitor,
                occurred_at=spot.sent_at,
                target=spot.comment,
            )
        case "hide" | "unhide":
            return MessageHidden(
                event_id=spot.lifecycle_key(feed.verb),
                visitor=spot.visitor,
                occurred_at=spot.sent_at,
                target=spot.comment,
                hidden=feed.verb == "hide",
            )
        case _:
            return None


def _added(spot: Spot) -> InboundEvent:
    feed = spot.feed
    at = moment(feed.created_time) or spot.sent_at
    if spot.by_page:
        return MessageEchoed(
            event_id=key("add", spot.comment),
            visitor=spot.visitor,
            occurred_at=at,
            message_id=spot.comment,
            parts=_parts(feed),
            thread=spot.thread,
        )
    parent = spot.thread.parent
    return MessageReceived(
        event_id=key("add", spot.comment),
        visitor=spot.visitor,
        occurred_at=at,
        message_id=spot.comment,
        parts=_parts(feed),
        profile=Profile(name=text(feed.from_.name if feed.from_ else feed.sender_name)),
        reply_to=parent if parent != spot.thread.post else "",
        thread=spot.thread,
    )


def _parts(feed: wire.Feed) -> tuple[ContentPart, ...]:
    parts: list[ContentPart] = []
    if feed.message:
        parts.append(TextPart(text=text(feed.message)))
    photos = dict.fromkeys(filter(None, map(text, (feed.photo, *(feed.photos or ())[:MAX_PARTS]))))
    parts.extend(MediaPart(kind="image", url=url) for url in photos)
    if feed.video:
        parts.append(MediaPart(kind="video", url=text(feed.video)))
    if feed.link and text(feed.link) not in photos:
        parts.append(SharePart(url=text(feed.link)))
    return limited(parts)
