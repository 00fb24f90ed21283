"""WhatsApp's webhook bodies."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from libs.common.channel import Account
from libs.common.simulate.said import Build, Said, as_json
from libs.common.simulate.samples import USUAL, sample

PHONE = "15550001111"
OUTSIDE_WINDOW = 131047
Content = Callable[[Said], dict[str, Any]]


def whatsapp(account: Account, **value: Any) -> bytes:
    """Return a body with one `messages` change."""
    return _changed("messages", {**_number(account), **value})


def _number(account: Account) -> dict[str, Any]:
    metadata = {"display_phone_number": PHONE, "phone_number_id": account.external_id}
    return {"messaging_product": "whatsapp", "metadata": metadata}


def _changed(field: str, value: Any) -> bytes:
    entry = {"id": "WABA-1", "changes": [{"field": field, "value": value}]}
    return as_json({"object": "whatsapp_business_account", "entry": [entry]})


def wamid(message_id: str) -> str:
    """Return a message's whole id."""
    return message_id if message_id.startswith("wamid.") else f"wamid.{message_id}"


def _head(said: Said, kind: str) -> dict[str, Any]:
    return {
        "from": said.visitor,
        "id": wamid(said.message_id),
        "timestamp": str(said.s),
        "type": kind,
    }


def _contact(said: Said) -> dict[str, Any]:
    return {"profile": {"name": "Ada"}, "wa_id": said.visitor}


def _message(kind: str, content: Content) -> Build:
    def built(account: Account, said: Said) -> bytes:
        message = {**_head(said, kind), **content(said)}
        return whatsapp(account, contacts=[_contact(said)], messages=[message])

    return built


def _media(kind: str, **more: Any) -> Build:
    found = sample(USUAL[kind])
    proof = base64.b64encode(hashlib.sha256(found.content).digest()).decode()

    def content(said: Said) -> dict[str, Any]:
        about = {"id": f"{kind}-{said.token(10)}", "mime_type": found.mime_type, "sha256": proof}
        return {kind: {**about, **more}}

    return _message(kind, content)


def _captioned(account: Account, said: Said) -> bytes:
    found = {"id": f"image-{said.token(10)}", "mime_type": "image/jpeg", "caption": said.text}
    return _message("image", lambda _: {"image": found})(account, said)


def _interactive(kind: str, content: Content) -> Build:
    return _message("interactive", lambda s: {"interactive": {"type": kind, kind: content(s)}})


def _answering(said: Said) -> dict[str, Any]:
    return {"text": {"body": said.text}, "context": {"from": PHONE, "id": wamid(said.about)}}


def _status(name: str, **more: Any) -> Build:
    def built(account: Account, said: Said) -> bytes:
        status = {
            "id": wamid(said.about),
            "status": name,
            "timestamp": str(said.s),
            "recipient_id": said.visitor,
            **more,
        }
        return whatsapp(account, statuses=[status])

    return built


def _system(kind: str, content: Content) -> Build:
    def built(account: Account, said: Said) -> bytes:
        message = {
            **_head(said, "system"),
            "system": {"body": "changed", "type": kind, **content(said)},
        }
        return whatsapp(account, messages=[message])

    return built


def _echo(account: Account, said: Said) -> bytes:
    echo = {
        "from": PHONE,
        "to": said.visitor,
        "id": wamid(said.message_id),
        "timestamp": str(said.s),
        "type": "text",
        "text": {"body": said.text},
    }
    return _changed("smb_message_echoes", {**_number(account), "message_echoes": [echo]})


def _handover(kind: str) -> Build:
    def built(account: Account, said: Said) -> bytes:
        value = {
            "messaging_product": "whatsapp",
            "sender": {"phone_number": said.visitor},
            "recipient": {"phone_number_id": account.external_id, "display_phone_number": PHONE},
            "type": kind,
            "timestamp": str(said.s),
            kind: {"previous_owner_role": "ai_agent", "new_owner_role": "customer_service"},
        }
        return _changed("messaging_handovers", value)

    return built


def _standby(account: Account, said: Said) -> bytes:
    message = {**_head(said, "text"), "text": {"body": said.text}}
    inner = {"contacts": [_contact(said)], "messages": [message]}
    return _changed("standby", {**_number(account), "standby": inner})


def _preference(value: str) -> Build:
    def built(account: Account, said: Said) -> bytes:
        wish = {
            "wa_id": said.visitor,
            "category": "marketing_messages",
            "value": value,
            "timestamp": str(said.s),
            "detail": "changed by the visitor",
        }
        return _changed("user_preferences", {**_number(account), "user_preferences": [wish]})

    return built


_CARD = {
    "name": {"formatted_name": "Ben Example", "first_name": "Ben"},
    "phones": [{"phone": "+1 555 777 0001", "wa_id": "15557770001", "type": "CELL"}],
    "emails": [{"email": "ben@shop.example"}],
}
_ITEM = {
    "product_retailer_id": "lamp-7",
    "quantity": 2,
    "item_price": 12.5,
    "currency": "EUR",
}
_AD = {
    "source_url": "https://fb.example/ad",
    "source_id": "6000000000001",
    "source_type": "ad",
    "headline": "Lamps",
    "body": "All lamps",
    "media_type": "image",
    "image_url": "https://cdn.example/lamp.jpg",
    "ctwa_clid": "clid-1",
}
_FAILED = {
    "code": OUTSIDE_WINDOW,
    "title": "Re-engagement message",
    "message": "Re-engagement message",
    "error_data": {"details": "more than 24 hours have passed"},
}

WHATSAPP: dict[str, Build] = {
    "text": _message("text", lambda s: {"text": {"body": s.text}}),
    "image": _captioned,
    "audio": _media("audio", voice=False),
    "voice": _message(
        "audio",
        lambda s: {
            "audio": {
                "id": f"voice-{s.token(10)}",
                "mime_type": "audio/ogg; codecs=opus",
                "voice": True,
            }
        },
    ),
    "video": _media("video"),
    "file": _media("document", filename="offer.pdf"),
    "sticker": _media("sticker", animated=False),
    "location": _message(
        "location", lambda s: {"location": {"latitude": 13.75, "longitude": 100.5, "name": s.text}}
    ),
    "contacts": _message("contacts", lambda _: {"contacts": [_CARD]}),
    "reaction": _message(
        "reaction", lambda s: {"reaction": {"message_id": wamid(s.about), "emoji": "👍"}}
    ),
    "unreact": _message("reaction", lambda s: {"reaction": {"message_id": wamid(s.about)}}),
    "reply": _message("text", _answering),
    "forwarded": _message(
        "text", lambda s: {"text": {"body": s.text}, "context": {"forwarded": True}}
    ),
    "postback": _message("button", lambda s: {"button": {"text": s.text, "payload": "HUMAN"}}),
    "button_reply": _interactive("button_reply", lambda s: {"id": "HUMAN", "title": s.text}),
    "list_reply": _interactive("list_reply", lambda s: {"id": "row-2", "title": s.text}),
    "form": _interactive(
        "nfm_reply",
        lambda s: {
            "name": "flow",
            "body": "Sent",
            "response_json": as_json({"q": s.text}).decode(),
        },
    ),
    "referral": _message("text", lambda s: {"text": {"body": s.text}, "referral": _AD}),
    "product": _message(
        "text",
        lambda s: {
            "text": {"body": s.text},
            "context": {
                "from": PHONE,
                "id": wamid("OUT"),
                "referred_product": {"catalog_id": "C1", "product_retailer_id": "lamp-7"},
            },
        },
    ),
    "order": _message(
        "order", lambda s: {"order": {"catalog_id": "C1", "text": s.text, "product_items": [_ITEM]}}
    ),
    "edit": _message(
        "edit",
        lambda s: {
            "edit": {
                "original_message_id": wamid(s.about),
                "message": {"type": "text", "text": {"body": s.text}},
            }
        },
    ),
    "unsend": _message("revoke", lambda s: {"revoke": {"original_message_id": wamid(s.about)}}),
    "unsupported": _message(
        "unsupported",
        lambda _: {
            "errors": [{"code": 131051, "title": "Message type unknown"}],
            "unsupported": {"type": "poll"},
        },
    ),
    "identity": _system(
        "user_changed_number",
        lambda s: (
            {"wa_id": f"{s.visitor[:-1]}{(int(s.visitor[-1:] or 0) + 1) % 10}"}
            if s.visitor[-1:].isdecimal()
            else {"wa_id": "15557770001"}
        ),
    ),
    "identity_user_id": _system(
        "user_changed_user_id",
        lambda s: {"user_id": f"US.{s.token(10)}", "previous_user_id": "US.1234567890"},
    ),
    "echo": _echo,
    "sent": _status("sent"),
    "delivered": _status("delivered"),
    "read": _status("read"),
    "played": _status("played"),
    "failed": _status("failed", errors=[_FAILED]),
    "follow": _preference("resume"),
    "unfollow": _preference("stop"),
    "handover": _handover("control_passed"),
    "handover_taken": _handover("control_taken"),
    "standby": _standby,
}
