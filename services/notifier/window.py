"""Whether a message may still go out when its turn has come. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from libs.common.channel import Account, WindowRule
from libs.common.events import SendRequest
from libs.common.windows import PERSON

Standing = Literal["open", "human_agent", "closed"]


def at_fire(request: SendRequest, account: Account, rule: WindowRule, now: datetime) -> Standing:
    """Return how *request* may go out at *now*; at the very moment of its end a window is closed.

    `human_agent`: in the longer window for people. A person's message that was accepted in the
    free window and came too late for it still goes out so, where the account has the feature: the
    router would accept it so, were it written now.
    """
    until = request.open_until
    if until is None or now < until:
        return "human_agent" if request.human_agent else "open"
    longer_s = _longer_s(request, account, rule)
    if longer_s is not None and now < until + timedelta(seconds=longer_s):
        return "human_agent"
    return "closed"


def _longer_s(request: SendRequest, account: Account, rule: WindowRule) -> float | None:
    """Return by how much the window for people outlasts the one that the message came under."""
    if request.human_agent or request.way == "private" or rule.free_entry_s is not None:
        return None  # the end that is known is none from which the other could be told
    if rule.free_s is None or rule.human_agent_s is None:
        return None
    person = request.sender.partition(":")[0] == PERSON
    granted = "human_agent" in account.features
    return rule.human_agent_s - rule.free_s if person and granted else None
