"""What every WeChat message and event has: a sender, a time, and a key of its own."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from libs.common.channel import Account
from libs.common.channels.wechat.wire import Fields
from libs.common.ids import derive_id
from libs.common.providers.normal import EPOCH, key, moment


class Occurrence(TypedDict):
    """The first fields of every event."""

    event_id: str
    visitor: str
    occurred_at: datetime


def kind_of(fields: Fields) -> str:
    """Return the `MsgType` in lower case."""
    return fields.get("msgtype", "").lower()


def message_id_of(fields: Fields) -> str:
    """Return WeChat's id of a message, or the dedup key where it gives none."""
    return fields.get("msgid", "") or key_of(fields)


def key_of(fields: Fields) -> str:
    """Return the dedup key: `MsgId` of a message; of an event who, when and what.

    The three tries that WeChat makes carry the same values. A finished job names its message, so
    that two jobs for one person in the same second stay two.
    """
    message = fields.get("msgid", "")
    if message and kind_of(fields) != "event":
        return key("message", message)
    names = ("fromusername", "createtime", "event", "eventkey", "msgid")
    known = [fields.get(name, "") for name in names]
    if known[0] and known[1]:
        return key(kind_of(fields) or "event", ":".join(part for part in known if part))
    return derive_id("raw", *(f"{name}={value}" for name, value in fields.items()))


def occurrence(fields: Fields) -> Occurrence:
    """Return what an event of any kind starts with."""
    return Occurrence(
        event_id=key_of(fields),
        visitor=fields.get("fromusername", ""),
        occurred_at=moment(fields.get("createtime")) or EPOCH,
    )


def app_id_of(account: Account) -> str:
    """Return the account's app id (`wx…`), or nothing where none is set."""
    named = account.secrets.get("app_id", "")
    return named or (account.external_id if account.external_id.startswith("wx") else "")
