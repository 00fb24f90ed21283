"""WhatsApp Cloud API's changes as Meta sends them; every field may be missing.

Source: WhatsApp Business Platform webhook reference and its changelog to 2026-08-11. The items of
every list stay raw, so that each is decoded and refused by itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.providers.envelope import Raws
from libs.common.providers.normal import Id, Scalar

_NOTHING = msgspec.Raw(b"null")


class WireProfile(msgspec.Struct):
    name: Scalar = None
    username: Scalar = None


class Contact(msgspec.Struct):
    """Whom the items speak of: `user_id` is the BSUID, `wa_id` the phone number's id."""

    wa_id: Id = None
    user_id: Id = None
    profile: WireProfile | None = None


class Number(msgspec.Struct):
    phone_number: Id = None
    wa_id: Id = None
    user_id: Id = None


class Handover(msgspec.Struct):
    previous_owner_role: Scalar = None
    new_owner_role: Scalar = None


class Value(msgspec.Struct, forbid_unknown_fields=True):
    """The value of a change in a conversation's field.

    A key that is not declared fails the strict decoder on purpose: it may be a list of something
    new, which is then kept.
    """

    messaging_product: msgspec.Raw = _NOTHING
    metadata: msgspec.Raw = _NOTHING
    conversation_context: msgspec.Raw = _NOTHING
    contacts: Raws = None
    messages: Raws = None
    message_echoes: Raws = None
    statuses: Raws = None
    user_preferences: Raws = None
    user_id_update: Raws = None
    calls: Raws = None
    user_actions: Raws = None
    errors: Raws = None
    standby: msgspec.Raw = _NOTHING


class Control(msgspec.Struct):
    """The value of `messaging_handovers`; the key named by `type` tells the roles."""

    sender: Number | None = None
    type: Scalar = None
    timestamp: Scalar = None
    control_passed: Handover | None = None
    control_taken: Handover | None = None


class Standby(msgspec.Struct, forbid_unknown_fields=True):
    """Copies of what another responder handles: the same lists one level deeper."""

    contacts: Raws = None
    messages: Raws = None
    message_echoes: Raws = None
    statuses: Raws = None


class Text(msgspec.Struct):
    body: str | None = None


class Media(msgspec.Struct):
    id: Id = None
    link: Scalar = None
    url: Scalar = None
    mime_type: Scalar = None
    sha256: Scalar = None
    caption: str | None = None
    filename: Scalar = None


class Location(msgspec.Struct):
    latitude: Scalar = None
    longitude: Scalar = None
    name: Scalar = None
    address: Scalar = None


class CardName(msgspec.Struct):
    formatted_name: Scalar = None


class CardPhone(msgspec.Struct):
    phone: Scalar = None
    wa_id: Id = None


class CardEmail(msgspec.Struct):
    email: Scalar = None


class Card(msgspec.Struct):
    name: CardName | None = None
    phones: list[CardPhone] | None = None
    emails: list[CardEmail] | None = None


class ReactionTo(msgspec.Struct):
    message_id: Id = None
    emoji: Scalar = None


class Button(msgspec.Struct):
    text: Scalar = None
    payload: Scalar = None


class Choice(msgspec.Struct):
    id: Id = None
    title: Scalar = None


class FormReply(msgspec.Struct):
    """`response_json` is JSON in a string, and sometimes the object itself."""

    name: Scalar = None
    body: Scalar = None
    response_json: Any = None


class Body(msgspec.Struct):
    text: Scalar = None


class Interactive(msgspec.Struct):
    """A tap or a form; in echoes, the question with its `body`."""

    type: Scalar = None
    body: Body | None = None
    button_reply: Choice | None = None
    list_reply: Choice | None = None
    nfm_reply: FormReply | None = None
    call_permission_reply: Any = None


class OrderItem(msgspec.Struct):
    product_retailer_id: Id = None
    quantity: Scalar = None
    item_price: Scalar = None
    currency: Scalar = None


class WireOrder(msgspec.Struct):
    catalog_id: Id = None
    text: Scalar = None
    product_items: list[OrderItem] | None = None


class System(msgspec.Struct):
    body: Scalar = None
    type: Scalar = None
    wa_id: Id = None
    new_wa_id: Id = None
    user_id: Id = None
    previous_user_id: Id = None


class Catalogued(msgspec.Struct):
    catalog_id: Id = None
    product_retailer_id: Id = None


class Context(msgspec.Struct):
    id: Id = None
    message_id: Id = None
    forwarded: bool | None = None
    frequently_forwarded: bool | None = None
    referred_product: Catalogued | None = None


class AdReferral(msgspec.Struct):
    source_url: Scalar = None
    source_id: Id = None
    source_type: Scalar = None
    headline: Scalar = None
    ref: Scalar = None
    ctwa_clid: Scalar = None


class ErrorData(msgspec.Struct):
    details: Scalar = None


class ApiError(msgspec.Struct):
    code: Id = None
    title: Scalar = None
    error_data: ErrorData | None = None


class Unsupported(msgspec.Struct):
    type: Scalar = None


class Content(msgspec.Struct):
    """What messages, edits, echoes and sent requests share: a type and its object."""

    type: str = ""
    text: Text | None = None
    image: Media | None = None
    video: Media | None = None
    audio: Media | None = None
    voice: Media | None = None
    document: Media | None = None
    sticker: Media | None = None
    location: Location | None = None
    contacts: list[Card] | None = None
    button: Button | None = None
    interactive: Interactive | None = None
    order: WireOrder | None = None
    errors: list[ApiError] | None = None
    unsupported: Unsupported | None = None
    context: Context | None = None


class TemplateLanguage(msgspec.Struct):
    code: Scalar = None


class WireTemplate(msgspec.Struct):
    """A template as a send call names it; its values are left out."""

    name: Scalar = None
    language: TemplateLanguage | None = None


class Edit(msgspec.Struct):
    original_message_id: Id = None
    message: Content | None = None


class Revoke(msgspec.Struct):
    original_message_id: Id = None


class Message(Content):
    """An element of `messages`."""

    id: Id = None
    timestamp: Scalar = None
    from_: Id = msgspec.field(default=None, name="from")
    from_user_id: Id = None
    group_id: Id = None
    referral: AdReferral | None = None
    reaction: ReactionTo | None = None
    system: System | None = None
    edit: Edit | None = None
    revoke: Revoke | None = None


class SentRequest(Content):
    """The body of a send call, as standby echoes repeat it."""

    to: Id = None
    recipient: Id = None
    template: WireTemplate | None = None


class Echo(Content):
    """An element of `message_echoes`: typed in the phone app, or (standby) sent by another."""

    id: Id = None
    timestamp: Scalar = None
    from_: Id = msgspec.field(default=None, name="from")
    to: Id = None
    to_user_id: Id = None
    group_id: Id = None
    edit: Edit | None = None
    revoke: Revoke | None = None
    reaction: ReactionTo | None = None
    message: SentRequest | None = None


class Status(msgspec.Struct):
    """An element of `statuses`; `recipient_id` is absent once the visitor has a username."""

    id: Id = None
    status: Scalar = None
    type: Scalar = None
    timestamp: Scalar = None
    recipient_id: Id = None
    recipient_type: Scalar = None
    recipient_user_id: Id = None
    recipient_participant_id: Id = None
    participant_recipient_id: Id = None
    biz_opaque_callback_data: Scalar = None
    errors: list[ApiError] | None = None


class Action(msgspec.Struct):
    """An element of `user_actions`, of which only the person is known."""

    wa_id: Id = None
    user_id: Id = None
    from_: Id = msgspec.field(default=None, name="from")
    timestamp: Scalar = None


class Preference(msgspec.Struct):
    wa_id: Id = None
    user_id: Id = None
    category: Scalar = None
    value: Scalar = None
    timestamp: Scalar = None


class Succession(msgspec.Struct):
    previous: Id = None
    current: Id = None


class UserIdUpdate(msgspec.Struct):
    wa_id: Id = None
    detail: Scalar = None
    user_id: Succession | None = None
    timestamp: Scalar = None


class Call(msgspec.Struct):
    id: Id = None
    from_: Id = msgspec.field(default=None, name="from")
    from_user_id: Id = None
    to: Id = None
    to_user_id: Id = None
    event: Scalar = None
    direction: Scalar = None
    status: Any = None
    duration: Scalar = None
    timestamp: Scalar = None


value = msgspec.json.Decoder(Value)
standby = msgspec.json.Decoder(Standby)
contact = msgspec.json.Decoder(Contact)
message = msgspec.json.Decoder(Message)
echo = msgspec.json.Decoder(Echo)
status = msgspec.json.Decoder(Status)
action = msgspec.json.Decoder(Action)
control = msgspec.json.Decoder(Control)
preference = msgspec.json.Decoder(Preference)
user_id_update = msgspec.json.Decoder(UserIdUpdate)
call = msgspec.json.Decoder(Call)
