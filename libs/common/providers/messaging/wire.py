"""Messenger's and Instagram's `messaging` items as Meta sends them; every field may be missing.

Source: Messenger Platform webhook reference (read 2026-09). Only what is used is declared; keys
that are not declared are skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.providers.normal import Id, Scalar


class Party(msgspec.Struct, frozen=True):
    """A page, a person, or (`user_ref`) a person who ticked the checkbox plugin."""

    id: Id = None
    user_ref: Id = None


class Coordinates(msgspec.Struct):
    lat: Scalar = None
    long: Scalar = None


class Element(msgspec.Struct):
    """One card of a template, or one product."""

    id: Id = None
    title: Scalar = None
    subtitle: Scalar = None
    image_url: Scalar = None
    url: Scalar = None


class Elements(msgspec.Struct):
    elements: list[Element] | None = None


class Payload(msgspec.Struct):
    """The union of what attachments carry."""

    url: Scalar = None
    title: Scalar = None
    text: Scalar = None
    sticker_id: Id = None
    coordinates: Coordinates | None = None
    elements: list[Element] | None = None
    generic: Elements | None = None
    product: Elements | None = None
    booking_id: Id = None
    status: Scalar = None
    start_time: Scalar = None
    end_time: Scalar = None
    timezone: Scalar = None


class Attachment(msgspec.Struct):
    """`fallback` may carry title and url beside a null payload."""

    type: str = ""
    payload: Payload | None = None
    title: Scalar = None
    url: Scalar = None


class QuickReply(msgspec.Struct):
    payload: Scalar = None


class Story(msgspec.Struct):
    url: Scalar = None


class ReplyTo(msgspec.Struct):
    """What is answered: a message, or (Instagram) a story of the account."""

    mid: Id = None
    story: Story | None = None


class AdContext(msgspec.Struct):
    ad_title: Scalar = None
    photo_url: Scalar = None
    video_url: Scalar = None


class WireReferral(msgspec.Struct):
    source: Scalar = None
    type: Scalar = None
    ref: Scalar = None
    ad_id: Id = None
    referer_uri: Scalar = None
    ads_context_data: AdContext | None = None


class Command(msgspec.Struct):
    name: Scalar = None


class Message(msgspec.Struct):
    mid: Id = None
    text: str | None = None
    attachments: list[Attachment] | None = None
    quick_reply: QuickReply | None = None
    reply_to: ReplyTo | None = None
    referral: WireReferral | None = None
    commands: list[Command] | None = None
    is_echo: bool | None = None
    app_id: Id = None
    metadata: Scalar = None
    is_deleted: bool | None = None
    is_unsupported: bool | None = None


class Postback(msgspec.Struct):
    mid: Id = None
    title: Scalar = None
    payload: Scalar = None
    referral: WireReferral | None = None


class Reaction(msgspec.Struct):
    mid: Id = None
    action: Scalar = None
    reaction: Scalar = None
    emoji: Scalar = None


class MessageEdit(msgspec.Struct):
    mid: Id = None
    text: str | None = None
    num_edit: Scalar = None


class Watermark(msgspec.Struct):
    """`read` and `delivery`: everything of ours up to `watermark` (ms), or just these."""

    watermark: Scalar = None
    mid: Id = None
    mids: list[Id] | None = None


class OptIn(msgspec.Struct):
    type: Scalar = None
    ref: Scalar = None
    payload: Scalar = None
    user_ref: Id = None
    notification_messages_status: Scalar = None


class Control(msgspec.Struct):
    new_owner_app_id: Id = None
    previous_owner_app_id: Id = None
    requested_owner_app_id: Id = None


class Product(msgspec.Struct):
    id: Id = None
    retailer_id: Id = None
    name: Scalar = None
    quantity: Scalar = None
    unit_price: Scalar = None
    currency: Scalar = None


class Order(msgspec.Struct):
    products: list[Product] | None = None
    note: Scalar = None


class Messaging(msgspec.Struct):
    """One item; exactly one key beside sender, recipient and timestamp says what it is."""

    sender: Party | None = None
    recipient: Party | None = None
    timestamp: Scalar = None
    message: Message | None = None
    postback: Postback | None = None
    reaction: Reaction | None = None
    message_edit: MessageEdit | None = None
    read: Watermark | None = None
    delivery: Watermark | None = None
    referral: WireReferral | None = None
    lead: Any = None
    optin: OptIn | None = None
    account_linking: Any = None
    pass_thread_control: Control | None = None
    take_thread_control: Control | None = None
    request_thread_control: Control | None = None
    app_roles: Any = None
    policy_enforcement: Any = None
    response_feedback: Any = None
    messaging_feedback: Any = None
    messaging_customer_information: Any = None
    template: Any = None
    form: Any = None
    order: Order | None = None
    game_play: Any = None
    hop_context: Any = None


class Label(msgspec.Struct):
    """The value of an `inbox_labels` change."""

    user: Party = Party()


messaging = msgspec.json.Decoder(Messaging)
label = msgspec.json.Decoder(Label)
