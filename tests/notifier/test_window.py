"""Whether a message may still go out when its turn has come: every edge, the clock given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.channel import Account, WindowRule
from libs.common.events import SendRequest
from services.notifier.window import Standing, at_fire

END = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # the night in which Europe's clocks change
INSTANT = timedelta(microseconds=1)
DAY = 86_400.0
FREE = WindowRule()
META = WindowRule(free_s=DAY, human_agent_s=7 * DAY)
WHATSAPP = WindowRule(free_s=DAY, free_entry_s=3 * DAY, templates=True)
PLAIN = Account(workspace="acme", slug="page", channel="messenger", external_id="1")
GRANTED = Account(
    workspace="acme",
    slug="page",
    channel="messenger",
    external_id="1",
    features=("human_agent",),
)


def request(**facts: object) -> SendRequest:
    given = {
        "message_id": "msg_1",
        "workspace": "acme",
        "channel": "messenger",
        "account": "page",
        "session": "ses_1",
        "visitor": "v",
        "parts": (),
        "queued_at": END,
        "sender": "agent:ada",
        "open_until": END,
        **facts,
    }
    return SendRequest(**given)  # type: ignore[arg-type]


PERSON = request()
BOT = request(sender="bot:b")
LONGER = request(human_agent=True)

CASES: dict[str, tuple[SendRequest, Account, WindowRule, datetime, Standing]] = {
    "without an end it is open for ever": (
        request(open_until=None),
        PLAIN,
        FREE,
        END + timedelta(days=99),
        "open",
    ),
    "an instant before the end: open": (PERSON, PLAIN, META, END - INSTANT, "open"),
    "at the very end: closed": (PERSON, PLAIN, META, END, "closed"),
    "an instant behind it: closed": (PERSON, PLAIN, META, END + INSTANT, "closed"),
    "the end in another zone is the same instant": (
        request(open_until=END.astimezone().replace(microsecond=0)),
        PLAIN,
        META,
        END - INSTANT,
        "open",
    ),
    "accepted in the window for people, before its end": (
        LONGER,
        GRANTED,
        META,
        END - INSTANT,
        "human_agent",
    ),
    "accepted in the window for people, at its end": (LONGER, GRANTED, META, END, "closed"),
    "a person's message that came too late goes in the window for people": (
        PERSON,
        GRANTED,
        META,
        END,
        "human_agent",
    ),
    "until an instant before that ends": (
        PERSON,
        GRANTED,
        META,
        END + timedelta(days=6) - INSTANT,
        "human_agent",
    ),
    "and not at its end": (PERSON, GRANTED, META, END + timedelta(days=6), "closed"),
    "a machine's message does not": (BOT, GRANTED, META, END, "closed"),
    "nor without the feature": (PERSON, PLAIN, META, END, "closed"),
    "nor where the channel has no such window": (PERSON, GRANTED, WHATSAPP, END, "closed"),
    "nor a private reply, whose end is another": (
        request(way="private"),
        GRANTED,
        META,
        END,
        "closed",
    ),
}


@pytest.mark.parametrize(
    ("message", "account", "rule", "now", "expected"), CASES.values(), ids=CASES
)
def test_d08_at_fire(
    message: SendRequest, account: Account, rule: WindowRule, now: datetime, expected: Standing
) -> None:
    assert at_fire(message, account, rule, now) == expected
