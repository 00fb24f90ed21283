"""Asking the routers: one command, one answer."""

from __future__ import annotations

from typing import Protocol

import msgspec

from libs.common import subjects
from libs.common.commands import Answer, Command, Done, Refused
from libs.common.decode import decode
from libs.common.errors import (
    BusUnavailableError,
    MalformedPayloadError,
    NoResponderError,
    StoreUnavailableError,
)
from libs.common.ids import partition_of

ANSWER_S = 3.0
"""A router's time for an answer; also a command's deadline, so that none acts much later."""
AWAY = frozenset({503, 504})
"""The router could not do it in time; that says nothing about the command."""

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_encode = msgspec.json.Encoder().encode


class Asks(Protocol):
    """What asking needs of the bus."""

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """See `Bus.request`."""
        ...


async def ask(bus: Asks, command: Command) -> Done | Refused:
    """Have a router carry out *command*; a repeat under the same key has the effect of one.

    Raises:
        BusUnavailableError: No router answered; it may have been carried out.
        StoreUnavailableError: The router has no store, or no time: likewise.
    """
    verb = str(command.__struct_config__.tag)
    partition = partition_of(command.workspace, command.session, "")
    subject = subjects.command(partition, command.workspace, verb)
    try:
        data = await bus.request(subject, _encode(command), timeout_s=ANSWER_S)
        answer = decode(_answer, data)
    except NoResponderError:
        raise BusUnavailableError("no router is there") from None
    except MalformedPayloadError as error:  # of a router of another version
        raise BusUnavailableError(f"the answer is unreadable: {error.detail}") from None
    if isinstance(answer, Refused) and answer.status in AWAY:
        raise StoreUnavailableError(answer.code)
    return answer
