"""What one step says of a session's watches, by which sinks, and under which ids. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from libs.common.alerts import Alert, Attention, Sink, Watch
from libs.common.documents import Session
from libs.common.switches import AlertMethod, AlertTrigger
from services.notifier.attention_stand import count_of, heard
from services.notifier.attention_storm import Kind
from services.notifier.attention_tell import (
    alert_of,
    email_due,
    instant_sinks,
    minute_of,
    sound_of,
    summary_of,
)
from services.notifier.attention_who import MESSAGES, Around


class Asks(Protocol):
    """The storm breaker."""

    def ask(self, kind: Kind, agent: str, now_s: float) -> int:
        """Return 0 for one more alert, or how many sessions this minute holds back."""
        ...

    def held(self, agent: str, minute: int | None = None, kind: Kind = "at_once") -> int:
        """Return how many sessions that minute held back; None: all of late."""
        ...


class Saying:
    """The watches of one step in the making, by agent, and what is to be said."""

    def __init__(
        self, before: Attention, session: Session | None, around: Around, permits: Asks
    ) -> None:
        self.before = before
        self.session = session
        self.around = around
        self.now = around.now
        self.at = around.now
        """When that happened which is dealt with: of a fact its time, else now."""
        self.settings = around.settings
        self.window = timedelta(seconds=around.settings.window_s)
        self.watches = {watch.agent: watch for watch in before.watches}
        self.began_at = before.began_at
        self.outbox: list[tuple[Sink, Alert]] = []
        self.raised = self._recent(before.raised)
        self.called = self._recent(before.called)
        self.mentioned = self._recent(before.mentioned)
        self.cleared: list[str] = []
        self.held = 0
        # what is about no session is forgotten in between, but its alerts' ids are never used again
        self._burst = before.burst or (minute_of(self.now) if session is None else 0)
        self._renewed = False
        self.permits = permits

    def watch_of(
        self, agent: str, trigger: AlertTrigger, at: datetime, methods: tuple[AlertMethod, ...]
    ) -> Watch:
        """Return a new watch, which has said nothing yet."""
        seen = self.session.reads.get(agent, 0) if self.session else 0
        return Watch(
            agent=agent,
            alert=self._new_id(agent),
            trigger=trigger,
            since=at,
            last=at,
            seen=seen,
            methods=methods,
        )

    def renew(self, watch: Watch, at: datetime) -> None:
        """Raise *watch* as an alert of its own, which takes the place of the last one."""
        self._take_away(watch, "renewed")
        told = {sink: when for sink, when in watch.told.items() if sink == "email"}
        watch = msgspec.structs.replace(
            watch, alert=self._new_id(watch.agent), n=0, told=told, last=at, held=False
        )
        if "email" in watch.methods and watch.email_at is None:
            watch = msgspec.structs.replace(watch, email_at=self.email_due(watch))
        self.tell(self.counted(watch))

    def tell(self, watch: Watch) -> None:
        """Raise *watch* by the sinks that are told at once, unless there is a storm.

        What happened too long ago, and is heard of only now, is told nobody so.
        """
        watch = msgspec.structs.replace(watch, late=self.is_late)
        sinks = () if watch.late else instant_sinks(watch, self.around)
        self.watches[watch.agent] = watch
        if not sinks:
            return
        self.raised[watch.agent] = self.now
        if watch.trigger not in MESSAGES:
            self.called[watch.agent] = self.now
        if watch.trigger == "mention":
            self.mentioned[watch.agent] = self.now
        held = self.permits.ask("at_once", watch.agent, self.now.timestamp())
        if held:
            self._hold(watch, held, sinks)
            return
        told = watch.told | dict.fromkeys(sinks, self.now)
        self.watches[watch.agent] = msgspec.structs.replace(watch, told=told)
        alert = alert_of(watch, self.session, self.around, self.at)
        sound, _ = sound_of(watch.agent, alert.trigger, self.around)
        for sink in sinks:
            self.say(sink, msgspec.structs.replace(alert, sound=sound))

    @property
    def is_late(self) -> bool:
        """Tell whether what is dealt with is too old to be told at once."""
        return self.now - self.at > timedelta(seconds=self.settings.stale_s)

    def update(self, watch: Watch) -> None:
        """Show what has changed, without a sound."""
        watch = msgspec.structs.replace(self.counted(watch), n=watch.n + 1)
        self.watches[watch.agent] = watch
        if "browser" in watch.told and not watch.held:
            alert = alert_of(watch, self.session, self.around)
            self.say("browser", msgspec.structs.replace(alert, kind="updated"))

    def clear(self, watch: Watch, because: str) -> None:
        """Take *watch* away wherever it is shown."""
        self._take_away(watch, because)
        self.cleared.append(because)
        del self.watches[watch.agent]

    def _take_away(self, watch: Watch, because: str) -> None:
        if watch.held:
            return
        watch = msgspec.structs.replace(watch, n=watch.n + 1)
        alert = alert_of(watch, self.session, self.around)
        gone = msgspec.structs.replace(alert, kind="cleared", because=because)
        sinks: tuple[Sink, ...] = ("browser", "push")
        for sink in sinks:
            if sink in watch.told:
                self.say(sink, gone)

    def _hold(self, watch: Watch, held: int, sinks: Sequence[Sink]) -> None:
        """Say that there is more than is told one by one; at most once a minute."""
        self.held += 1
        self.watches[watch.agent] = msgspec.structs.replace(watch, held=True, held_at=self.now)
        alert = summary_of(watch, self.summary_id(watch), held, self.around)
        sound, _ = sound_of(watch.agent, watch.trigger, self.around)
        for sink in sinks:
            if sink != "webhook":
                self.say(sink, msgspec.structs.replace(alert, sound=sound))
        if "webhook" in sinks:  # a system is not flooded by what a person is
            self.say("webhook", alert_of(watch, self.session, self.around, self.at))

    def sum_up(self, watch: Watch) -> None:
        """Correct the count of the minute's summary, now that it is over."""
        minute = minute_of(watch.held_at or self.now)
        count = self.permits.held(watch.agent, minute)
        self.watches[watch.agent] = msgspec.structs.replace(
            watch, told={**watch.told, "browser": self.now}
        )
        if count > 1:
            alert = summary_of(watch, self.summary_id(watch, minute), count, self.around)
            self.say("browser", msgspec.structs.replace(alert, kind="updated", n=1))

    def summary_id(self, watch: Watch, part: int | None = None) -> str:
        """Return the id of the summary of a minute, the same for all sessions and replicas."""
        part = minute_of(self.now) if part is None else part
        return f"storm:{self.around.workspace}:{part}:{watch.agent}"

    def say(self, sink: Sink, alert: Alert) -> None:
        self.outbox.append((sink, alert))

    def counted(self, watch: Watch) -> Watch:
        return msgspec.structs.replace(watch, count=count_of(watch, self.session))

    def _new_id(self, agent: str) -> str:
        """Return an alert's id of this step's burst."""
        if not self._renewed:
            self._burst += 1
            self._renewed = True
        return f"{self.before.id}:{self._burst}:{agent}"

    def _recent(self, times: dict[str, datetime]) -> dict[str, datetime]:
        return {agent: at for agent, at in times.items() if at + self.window > self.now}

    def email_due(self, watch: Watch) -> datetime:
        """Return when it goes out by email, as it stands now; quiet hours may have changed."""
        if self.session is not None:
            return email_due(watch, heard(watch, self.session), self.around)
        at_once = timedelta(seconds=self.settings.email_after_s)  # nothing more will come of it
        return email_due(watch, watch.last - at_once, self.around)

    def finished(self) -> Attention:
        """Return the document as it is to be, without its due time and facts."""
        return msgspec.structs.replace(
            self.before,
            burst=self._burst if self._renewed else self.before.burst,
            began_at=self.began_at,
            watches=tuple(self.watches.values()),
            raised=self.raised,
            called=self.called,
            mentioned=self.mentioned,
            outbox=tuple(self.outbox),
        )
