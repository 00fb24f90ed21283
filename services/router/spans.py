"""The traces of a batch: which events it holds, and whose trace a session's news go on with.

A batch belongs to many traces, so its own span links to all of them; each event has a span in its
own trace besides. What is said of a session afterwards goes on with the event that came last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from libs.common import tracing
from libs.common.bus.delivery import Delivery
from libs.common.documents import Session
from libs.common.events import Inbound

Talk = tuple[str, str, str]
"""Workspace, account and visitor."""

_of_talks: ContextVar[dict[Talk, str]] = ContextVar("of_talks")


@contextmanager
def batch(deliveries: Sequence[Delivery]) -> Iterator[None]:
    """Work on *deliveries* in the block."""
    _of_talks.set({})
    tracing.enter("")
    if not tracing.recording():
        yield
        return
    links = [given for one in deliveries if (given := tracing.carried(one.headers))]
    about: dict[str, tracing.Value] = {"messaging.batch.message_count": len(deliveries)}
    with tracing.span("route batch", "consumer", about, links=links, parent=""):
        yield


@contextmanager
def events(found: Sequence[tuple[Delivery, Inbound]]) -> Iterator[None]:
    """Decide about these events of a batch in the block, a span for each."""
    of_talks = _of_talks.get({})
    whole = tracing.here()
    with ExitStack() as ended:
        for delivery, inbound in found:
            given = tracing.carried(delivery.headers)
            if given and tracing.recording():
                span = tracing.span(
                    "route event", "consumer", _about(inbound), parent=given, links=[whole]
                )
                given = ended.enter_context(span).traceparent
            of_talks[inbound.workspace, inbound.account, inbound.event.visitor] = given
        tracing.enter(whole)
        yield


def of_event(inbound: Inbound) -> str:
    """Return the trace context of an event of this batch; "" where it has none."""
    talk = (inbound.workspace, inbound.account, inbound.event.visitor)
    return _of_talks.get({}).get(talk, "")


def of_session(session: Session) -> dict[str, str]:
    """Return the headers that carry the trace of *session*'s news; none where it has none."""
    talk = (session.workspace, session.account, session.visitor)
    given = _of_talks.get({}).get(talk) or tracing.here()
    return {tracing.HEADER: given} if given else {}


def _about(inbound: Inbound) -> dict[str, tracing.Value]:
    return {
        "relaydesk.workspace": inbound.workspace,
        "relaydesk.channel": inbound.channel,
        "relaydesk.account": inbound.account,
        "relaydesk.event": str(inbound.event.__struct_config__.tag),
    }
