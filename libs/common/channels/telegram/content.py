"""Telegram's kinds of content as content parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from libs.common.channels.telegram import wire
from libs.common.events import (
    ActionPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    SharePart,
    TextPart,
    UnsupportedPart,
)
from libs.common.providers.normal import MAX_PARTS, count, degrees, ident, limited, text

Parts = Iterator[ContentPart]


def parts_of(message: wire.Message) -> tuple[ContentPart, ...]:
    """Return what a message says; empty where it holds none of the kinds that we know."""
    name = next((name for name in _KINDS if getattr(message, name) is not None), None)
    if name is None:
        return ()
    found: list[ContentPart] = [*_KINDS[name](message)]
    if message.caption:
        found.append(TextPart(text=text(message.caption)))
    found += _hidden_links(message)
    return limited(found, empty=name)


def _hidden_links(message: wire.Message) -> Parts:
    """Yield the links that stand behind words: plain text would lose them."""
    entities = (message.entities or message.caption_entities or ())[:MAX_PARTS]
    for entity in entities:
        if entity.type == "text_link" and entity.url:
            yield SharePart(url=text(entity.url))


def _text(message: wire.Message) -> Parts:
    if message.text:
        yield TextPart(text=text(message.text))


def _photo(message: wire.Message) -> Parts:
    if message.photo:  # the same picture in several sizes, the largest last
        yield _part(message, message.photo[-1], "image", "image/jpeg")


def _media(name: str, kind: MediaKind, mime_type: str = "") -> Callable[[wire.Message], Parts]:
    def build(message: wire.Message) -> Parts:
        file: wire.File = getattr(message, name)
        yield _part(message, file, kind, mime_type)

    return build


def _part(message: wire.Message, file: wire.File, kind: MediaKind, mime_type: str) -> MediaPart:
    return MediaPart(
        kind=kind,
        media_id=ident(file.file_id),
        mime_type=text(file.mime_type) or mime_type,
        name=text(file.file_name),
        size_bytes=count(file.file_size) or None,
        duration_ms=1000 * count(file.duration) or None,
        album=ident(message.media_group_id),
    )


def _sticker(message: wire.Message) -> Parts:
    """A sticker is sent back by its file id; it is a picture, a film, or Lottie as `.tgs`."""
    file = message.sticker or wire.File()
    mime_type = "image/webp"
    if file.is_video:
        mime_type = "video/webm"
    elif file.is_animated:
        mime_type = "application/x-tgsticker"
    yield MediaPart(
        kind="sticker",
        media_id=ident(file.file_id),
        sticker_id=ident(file.file_id),
        sticker_set=text(file.set_name),
        mime_type=mime_type,
        name=text(file.emoji),
        size_bytes=count(file.file_size) or None,
    )


def _location(message: wire.Message) -> Parts:
    yield from _place(message.location, "", "")


def _venue(message: wire.Message) -> Parts:
    venue = message.venue or wire.Venue()
    yield from _place(venue.location, text(venue.title), text(venue.address))


def _place(where: wire.Location | None, name: str, address: str) -> Parts:
    where = where or wire.Location()
    latitude, longitude = degrees(where.latitude, 90), degrees(where.longitude, 180)
    if latitude is not None and longitude is not None:
        yield LocationPart(latitude=latitude, longitude=longitude, name=name, address=address)


def _card(message: wire.Message) -> Parts:
    card = message.contact or wire.Card()
    names = (text(card.first_name), text(card.last_name))
    phone = text(card.phone_number)
    yield ContactPart(name=" ".join(filter(None, names)), phones=(phone,) if phone else ())


def _poll(message: wire.Message) -> Parts:
    poll = message.poll or wire.Poll()
    options = [text(option.text) for option in (poll.options or ())[:MAX_PARTS]]
    yield SharePart(title=text(poll.question), description="\n".join(options))


def _dice(message: wire.Message) -> Parts:
    dice = message.dice or wire.Dice()
    yield TextPart(text=f"{text(dice.emoji)} {text(dice.value)}".strip())


def _game(message: wire.Message) -> Parts:
    game = message.game or wire.Game()
    yield SharePart(title=text(game.title), description=text(game.description))


def _form(message: wire.Message) -> Parts:
    data = message.web_app_data or wire.WebAppData()
    yield ActionPart(title=text(data.button_text), payload=text(data.data))


def _not_shown(name: str) -> Callable[[wire.Message], Parts]:
    def build(_message: wire.Message) -> Parts:
        yield UnsupportedPart(what=name)

    return build


_KINDS: Mapping[str, Callable[[wire.Message], Parts]] = {
    "text": _text,
    "photo": _photo,
    "animation": _media("animation", "video", "video/mp4"),  # before the document it also is
    "video": _media("video", "video"),
    "video_note": _media("video_note", "video", "video/mp4"),
    "audio": _media("audio", "audio"),
    "voice": _media("voice", "audio", "audio/ogg"),
    "document": _media("document", "file"),
    "sticker": _sticker,
    "venue": _venue,  # before the location it also has
    "location": _location,
    "contact": _card,
    "poll": _poll,
    "dice": _dice,
    "game": _game,
    "web_app_data": _form,
    "story": _not_shown("story"),
    "paid_media": _not_shown("paid_media"),
    "checklist": _not_shown("checklist"),
}
