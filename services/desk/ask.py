"""Asking the router: one command, one answer, with a deadline and an idempotency key."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TypedDict

import msgspec

from libs.common import subjects, tracing
from libs.common.bus.client import Bus
from libs.common.commands import Actor, Answer, Command, Done, Refused
from libs.common.documents import Session
from libs.common.errors import BusUnavailableError, NoResponderError
from libs.common.ids import partition_of
from services.desk import metrics
from services.desk.api.problem import RefusalError, unavailable
from services.desk.api.route import Principal

DEADLINE_S = 3.0
UNAVAILABLE = 503

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class CommandHead(TypedDict):
    """What every command of a person has."""

    workspace: str
    session: str
    actor: Actor
    key: str
    deadline: datetime


def head(who: Principal, session: Session, now: datetime, key: str = "") -> CommandHead:
    """Return the fields that every command has; without a *key* the request stands for itself."""
    return CommandHead(
        workspace=who.workspace,
        session=session.id,
        actor=Actor(kind="agent", id=who.agent, name=who.name),
        key=key or f"request-{uuid.uuid4().hex}",
        deadline=now + timedelta(seconds=DEADLINE_S),
    )


async def ask(bus: Bus, session: Session, command: Command) -> Done:
    """Have the router carry out *command*.

    Raises:
        RefusalError: With the router's own status and code when it refused; 503 when no router
            answered. A command without an answer may have taken effect: the same idempotency key
            tells.
    """
    verb = str(command.__struct_config__.tag)
    partition = partition_of(session.workspace, session.account, session.visitor)
    subject = subjects.command(partition, session.workspace, verb)
    try:
        with tracing.span(f"ask {verb}", "client", {"relaydesk.verb": verb}):
            data = await bus.request(subject, msgspec.json.encode(command), timeout_s=DEADLINE_S)
    except NoResponderError:
        metrics.COMMANDS.labels(verb, "unavailable").inc()
        raise unavailable("Nobody can decide about sessions right now; nothing was done.") from None
    except BusUnavailableError:
        metrics.COMMANDS.labels(verb, "unavailable").inc()
        raise unavailable(
            "No answer in time; it may have been done. Repeat it with the same Idempotency-Key."
        ) from None
    answer = _answer.decode(data)
    if isinstance(answer, Refused):
        metrics.COMMANDS.labels(verb, "refused").inc()
        raise _refusal(answer)
    metrics.COMMANDS.labels(verb, "repeated" if answer.repeated else "done").inc()
    return answer


def _refusal(answer: Refused) -> RefusalError:
    headers = {"Retry-After": "1"} if answer.status == UNAVAILABLE else {}
    refusal = RefusalError(answer.status, answer.code, answer.detail, headers=headers)
    refusal.facts = answer.facts
    return refusal
