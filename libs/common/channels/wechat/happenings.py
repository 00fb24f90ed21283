"""What WeChat's `event` messages mean, by lower-case event name."""

from __future__ import annotations

from collections.abc import Callable

from libs.common.channels.wechat.occurrence import key_of, occurrence
from libs.common.channels.wechat.wire import Fields
from libs.common.events import (
    AccountNoticed,
    ActionPart,
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MessageReceived,
    Referral,
    ThreadControlChanged,
)

_ENVELOPE = frozenset({"tousername", "fromusername", "createtime", "msgtype", "event", "encrypt"})
_FROM_CODE = "qrscene_"
_BRIEF = frozenset({"scancode_push", "scancode_waitmsg"})
"""Menu entries that let us write for a minute, as a click does; the others open nothing."""
_REFUSED_BY_VISITOR = frozenset({"user block", "user refused"})


def _subscribe(fields: Fields) -> InboundEvent:
    scene = fields.get("eventkey", "").removeprefix(_FROM_CODE)
    referral = Referral(source="qr", ref=scene) if scene else None
    return ContactChanged(
        **occurrence(fields), change="follow", detail=scene, referral=referral, brief=True
    )


def _unsubscribe(fields: Fields) -> InboundEvent:
    return ContactChanged(**occurrence(fields), change="unfollow")


def _click(fields: Fields) -> InboundEvent:
    tapped = ActionPart(payload=fields.get("eventkey", ""))
    return MessageReceived(
        **occurrence(fields), message_id=key_of(fields), parts=(tapped,), brief=True
    )


def _scan(fields: Fields) -> InboundEvent:
    return InteractionReceived(
        **occurrence(fields),
        kind="scan",
        data=_details(fields),
        referral=Referral(source="qr", ref=fields.get("eventkey", "")),
        brief=True,
    )


def _interaction(kind: str) -> Callable[[Fields], InboundEvent]:
    def build(fields: Fields) -> InboundEvent:
        return InteractionReceived(
            **occurrence(fields), kind=kind, data=_details(fields), brief=kind in _BRIEF
        )

    return build


def _template_finished(fields: Fields) -> InboundEvent:
    status = fields.get("status", "").strip()
    done = status.lower() == "success"
    cause = status.partition(":")[2].strip() or status
    return DeliveryReported(
        **occurrence(fields),
        status="delivered" if done else "failed",
        targets=_known(fields.get("msgid", "")),
        reason="" if done else _reason(cause),
        provider_code="" if done else cause,
    )


def _subscription_sent(fields: Fields) -> InboundEvent:
    code = _ending(fields, "list.errorcode")
    done = code in {"0", ""}
    return DeliveryReported(
        **occurrence(fields),
        status="delivered" if done else "failed",
        targets=_known(_ending(fields, "list.msgid")),
        reason="" if done else _reason(_ending(fields, "list.errorstatus")),
        provider_code="" if done else code,
    )


def _reason(cause: str) -> str:
    """Return our word for why nothing arrived; theirs stands beside it."""
    return "blocked" if cause.lower() in _REFUSED_BY_VISITOR else "rejected"


def _mass_finished(fields: Fields) -> InboundEvent:
    start = occurrence(fields)
    start["visitor"] = ""  # the sender is WeChat itself
    return AccountNoticed(**start, kind="mass_send_finished", data=_details(fields))


def _seat_opened(fields: Fields) -> InboundEvent:
    seat = fields.get("kfaccount", "")
    return ThreadControlChanged(**occurrence(fields), change="opened", owner=seat)


def _seat_closed(fields: Fields) -> InboundEvent:
    seat = fields.get("kfaccount", "")
    return ThreadControlChanged(**occurrence(fields), change="closed", previous=seat)


def _seat_switched(fields: Fields) -> InboundEvent:
    return ThreadControlChanged(
        **occurrence(fields),
        change="passed",
        owner=fields.get("tokfaccount", ""),
        previous=fields.get("fromkfaccount", ""),
    )


def _details(fields: Fields) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value and name not in _ENVELOPE}


def _ending(fields: Fields, name: str) -> str:
    """Return the first field of that last name: XML wraps the list in the event's name."""
    return next((value for path, value in fields.items() if path.endswith(name)), "")


def _known(target: str) -> tuple[str, ...]:
    return (target,) if target else ()


_PLAIN_INTERACTIONS = (
    "location",
    "view",
    "view_miniprogram",
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
    "subscribe_msg_popup_event",
    "subscribe_msg_change_event",
)

HAPPENINGS: dict[str, Callable[[Fields], InboundEvent]] = {
    **{name: _interaction(name) for name in _PLAIN_INTERACTIONS},
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "scan": _scan,
    "click": _click,
    "templatesendjobfinish": _template_finished,
    "subscribe_msg_sent_event": _subscription_sent,
    "masssendjobfinish": _mass_finished,
    "kf_create_session": _seat_opened,
    "kf_close_session": _seat_closed,
    "kf_switch_session": _seat_switched,
}
