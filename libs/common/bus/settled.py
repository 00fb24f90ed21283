"""How far the durable consumers of a stream have settled it, for those who check their work."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from datetime import datetime
from typing import Any

import msgspec

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.delivery import StoredMessage
from libs.common.errors import BusUnavailableError
from libs.common.ids import PARTITIONS

_NOT_FOUND = 404


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it stands: when it was made, its oldest place and its last."""

    made: str
    first: int
    last: int


async def reach_of(asker: Asker, stream: str) -> Reach:
    """Return how far *stream* reaches; of an empty one the oldest place is the one to come.

    Raises:
        BusUnavailableError: No answer, or no such stream now.
    """
    info = await _asked(asker, f"STREAM.INFO.{stream}")
    state = info["state"]
    last = int(state["last_seq"])
    first = int(state["first_seq"]) if state["messages"] else last + 1
    return Reach(made=str(info["created"]), first=first, last=last)


async def settled_up_to(asker: Asker, stream: str, durable: str, last: int) -> int:
    """Return up to which place each of the partitions' consumers has settled everything.

    A consumer with nothing to deliver and nothing outside has settled all that there was when the
    stream's *last* place was asked for, which must be before; any other one up to its ack floor,
    and one that is not made yet has settled nothing.

    Raises:
        BusUnavailableError: No answer.
    """
    infos = await asyncio.gather(
        *(_consumer(asker, f"{stream}.{durable}-{number}") for number in range(PARTITIONS))
    )
    return min(_floor(info, last) for info in infos)


async def is_made(asker: Asker, stream: str, durable: str) -> bool:
    """Tell whether the durable consumer of the partitions is there.

    Raises:
        BusUnavailableError: No answer.
    """
    return await _consumer(asker, f"{stream}.{durable}-0") is not None


async def is_read(asker: Asker, stream: str, durable: str) -> bool:
    """Tell whether somebody asks the partitions' consumers for messages now.

    Raises:
        BusUnavailableError: No answer.
    """
    infos = await asyncio.gather(
        *(_consumer(asker, f"{stream}.{durable}-{number}") for number in range(PARTITIONS))
    )
    return any(info is not None and info["num_waiting"] > 0 for info in infos)


async def _consumer(asker: Asker, name: str) -> dict[str, Any] | None:
    try:
        info: dict[str, Any] = await asker.api(f"CONSUMER.INFO.{name}")
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return None
        raise BusUnavailableError(error.detail) from error
    return info


def _floor(info: dict[str, Any] | None, last: int) -> int:
    if info is None:
        return 0
    if not info["num_pending"] and not info["num_ack_pending"]:
        return last
    return int(info["ack_floor"]["stream_seq"])


async def message_from(asker: Asker, stream: str, sequence: int) -> StoredMessage | None:
    """Return the message at *sequence* or the next one behind it; None where there is none.

    Raises:
        BusUnavailableError: No answer.
    """
    try:
        found = await asker.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence, "next_by_subj": ">"})
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return None
        raise BusUnavailableError(error.detail) from error
    message = found["message"]
    stored_at = msgspec.convert(message["time"], datetime)
    return StoredMessage(
        subject=str(message["subject"]),
        sequence=int(message["seq"]),
        data=b64decode(message.get("data", "")),
        headers={},
        stored_at_ns=int(stored_at.timestamp() * 1e9),
    )


async def _asked(asker: Asker, verb: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = await asker.api(verb)
    except ApiError as error:
        raise BusUnavailableError(error.detail) from error
    return info
