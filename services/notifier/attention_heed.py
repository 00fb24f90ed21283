"""What the agents' own doings, and the session as it is now, end of what is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.alerts import Attention, Watch
from libs.common.documents import Session
from libs.common.events import Fact
from libs.common.switches import AlertTrigger
from services.notifier.attention_say import Asks, Saying
from services.notifier.attention_stand import (
    WAITING,
    answered,
    asked,
    call_of,
    climbs,
    over,
    waits_of,
)
from services.notifier.attention_who import Around, answered_at

_DEALS = frozenset({"session.read", "session.assigned", "session.moved", "session.ended"})
"""What an agent does in a session who deals with it, besides answering."""


class Heeding(Saying):
    """The part of a step that looks at who has reacted."""

    def __init__(
        self, before: Attention, session: Session | None, around: Around, permits: Asks
    ) -> None:
        super().__init__(before, session, around, permits)
        self.acts: dict[str, datetime] = {}
        """When each did anything in the session; `dealt`: dealt with what waits for an answer."""
        self.dealt: dict[str, datetime] = {}

    def heed(self, facts: Sequence[Fact]) -> None:
        """Clear what is over: by the session as it is, or because an agent did something in it."""
        acts = sorted((fact for fact in facts if _is_act(fact)), key=lambda fact: fact.at)
        for fact in acts:
            self.acts[_who(fact)] = fact.at
            if self._is_dealing(fact):
                self.dealt[_who(fact)] = fact.at
        reacted = max((fact.at for fact in acts if self._is_reaction(fact)), default=None)
        self._relax(reacted)
        self._relax(answered_at(self.session) if self.session else None)
        for watch in list(self.watches.values()):
            self._settle(watch)
        if not any(climbs(watch) for watch in self.watches.values()):
            self.began_at = None

    def _is_dealing(self, fact: Fact) -> bool:
        """Tell whether who did it deals with what waits; a note or a snooze is no answer."""
        if fact.type != "message.stored":
            return fact.type in _DEALS
        at = answered_at(self.session) if self.session else None
        return at is not None and at >= fact.at

    def _is_reaction(self, fact: Fact) -> bool:
        """Tell whether it ends the ladder for all: who is alerted reads, or somebody gets it.

        Answers and ends are not looked for here: the session itself says so.
        """
        if fact.type == "session.read":
            return _who(fact) in self.watches
        return fact.type == "session.assigned" and bool(fact.joined)

    def _settle(self, watch: Watch) -> None:
        """Take away what is over, all of it or one of the two that stand side by side."""
        because = over(watch, self.session)
        if because:
            self.clear(watch, because)
            return
        waits, call = waits_of(watch), call_of(watch)
        gone = self._dealt_with(watch) if waits else ""
        seen = self._call_seen(watch) if call else ""
        if gone:
            self._left(watch, None if seen else call, gone)
        elif seen:
            self._left(watch, waits, seen)

    def _dealt_with(self, watch: Watch) -> str:
        """Return why what waits for an answer does so no more."""
        because = answered(watch, self.session)
        if because:
            return because
        if has_acted(self.dealt, watch.agent, asked(watch, self.session)):
            return "seen"
        return "answered" if watch.escalated and self.began_at is None else ""

    def _call_seen(self, watch: Watch) -> str:
        """Return why the call needs not be seen any more, which stands alone or beside."""
        alone = waits_of(watch) is None
        at = watch.last if alone else watch.called_at or watch.last
        if has_acted(self.acts, watch.agent, at):
            return "seen"
        return "" if alone or self.lasts_until(at) > self.now else "seen"

    def _left(self, watch: Watch, trigger: AlertTrigger | None, because: str) -> None:
        """Go on with one of the two; what is shown is changed without a sound."""
        if trigger is None:
            self.clear(watch, because)
            return
        left = msgspec.structs.replace(watch, trigger=trigger, beside=None)
        if trigger not in WAITING:
            left = msgspec.structs.replace(left, escalated=False, rung=0)
        self.watches[watch.agent] = left
        if watch.trigger != trigger:
            self.update(left)

    def _relax(self, at: datetime | None) -> None:
        """Somebody reacted: the ladder is climbed anew when there is more, or has been since."""
        if at is None or self.began_at is None or at <= self.began_at:
            return
        heard_at = self.session.heard_at if self.session else None
        self.began_at = heard_at if heard_at is not None and heard_at > at else None
        for agent, watch in self.watches.items():
            self.watches[agent] = msgspec.structs.replace(watch, rung=0)

    def lasts_until(self, at: datetime) -> datetime:
        """Return until when a call of then is worth seeing."""
        return at + max(timedelta(seconds=self.settings.stale_s), self.window)


def _who(fact: Fact) -> str:
    return fact.actor.removeprefix("agent:")


def has_acted(acts: Mapping[str, datetime], agent: str, after: datetime) -> bool:
    """Tell whether the agent did something after that, as far as it is known here."""
    return agent in acts and acts[agent] > after


def _is_act(fact: Fact) -> bool:
    """Tell whether an agent did something in the session; "agent:": elsewhere."""
    return fact.actor.startswith("agent:") and fact.type != "import.finished"
