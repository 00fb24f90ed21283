"""What follows for the agents whom a session waits for, from facts or from time alone. Pure.

A step takes the document as it is, the session as it is now, and what was told of it; what it
returns is written under the guard of `rev` and carries what is to be published. The same facts
again, in any order, change nothing: they are known by their ids, or find what they say done.

What a visitor waits for and a call that waits for no answer (a notice, a mention, a failed send)
stand in one watch, side by side: what is newer has the words, and each goes when it is over.

A session alerts an agent at most once in a window, whatever happens: what comes meanwhile is
counted, and shown without a sound when the window is over. Three things break that: a call (a
request for a human, an assignment) after nothing but messages that a bot answers, one after the
agent had seen the last alert, and a mention; each at most once in a window, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from libs.common.alerts import Alert, Apart, Attention, Sink, Watch
from libs.common.documents import Message
from libs.common.events import Fact
from libs.common.switches import AlertTrigger
from services.notifier.attention_heed import Heeding, has_acted
from services.notifier.attention_stand import (
    LADDER,
    WAITING,
    call_of,
    climbs,
    count_of,
    waits_of,
)
from services.notifier.attention_tell import (
    alert_of,
    apart_of,
    end_of_minute,
    instant_sinks,
    minute_of,
    note_of,
    summary_of,
)
from services.notifier.attention_who import (
    APART,
    MESSAGES,
    concerned,
    trigger_of,
)

Outcome = Literal["alerted", "coalesced", "known", "nobody"]


class News(NamedTuple):
    """A fact, and the message whose sending failed, or the note that mentions, if it is of one."""

    fact: Fact
    message: Message | None = None


class Step(NamedTuple):
    """What follows.

    `after` carries the outbox; it is `before` itself where nothing is to be written. `outcomes` are
    in the order of the news; `due` is when time alone changes something; `said` is what is
    told anew, `cleared` why watches ended, `held` how many the storm breaker kept back.
    """

    after: Attention
    outcomes: tuple[Outcome, ...]
    due: datetime | None
    said: tuple[tuple[Sink, Alert], ...] = ()
    cleared: tuple[str, ...] = ()
    held: int = 0


class Round(Heeding):
    """One step in the making: what facts and time do to the watches."""

    about: Apart | None = None
    """What the fact that is dealt with is about, besides the session."""

    # --- what facts do

    def take(self, news: News) -> Outcome:
        """Apply one fact that is new."""
        fact = news.fact
        self.at = min(fact.at, self.now)
        if self._only_counts(fact):
            self.at = self.now
            return "coalesced"
        self.about = self._apart(news)
        told = len(self.outbox)
        found = concerned(fact, self.session, news.message, self.around)
        for agent, trigger in found.items():
            acts = self.dealt if trigger in WAITING else self.acts
            if not has_acted(acts, agent, fact.at):
                self._call(agent, trigger, fact)
        self.at = self.now
        if len(self.outbox) > told:
            return "alerted"
        return "coalesced" if found else "nobody"

    def _only_counts(self, fact: Fact) -> bool:
        """Tell whether it is one more message for all who could be told of it, in their window."""
        session = self.session
        if session is None or fact.type != "message.stored" or fact.actor != "visitor":
            return False
        trigger = trigger_of(fact, session)
        if trigger is None or trigger == "assigned.message" or self.is_late:
            return False
        able = self.around.subscribed.of(trigger, self.around).keys()
        if self.began_at is None or not (
            able <= self.watches.keys() and able <= self.raised.keys()
        ):
            return False
        return all(
            watch.before < fact.inbound and watch.trigger in WAITING and not watch.late
            for watch in self.watches.values()
        )

    def _call(self, agent: str, trigger: AlertTrigger, fact: Fact) -> None:
        if trigger in LADDER and self.began_at is None and not self._is_read(trigger, fact):
            self.began_at = self.now if self.is_late else fact.at
        watch = self.watches.get(agent)
        if watch is None:
            self._begin(agent, trigger, fact)
        else:
            self._join(watch, trigger, fact)

    def _is_read(self, trigger: AlertTrigger, fact: Fact) -> bool:
        """Tell whether somebody whom it concerns has read the message that *fact* tells of."""
        number, session = fact.inbound, self.session
        if trigger not in MESSAGES or session is None or not number:
            return False
        whose = session.assignee_ids if trigger == "assigned.message" else session.reads.keys()
        return any(session.reads.get(agent, 0) >= number for agent in whose)

    def _begin(self, agent: str, trigger: AlertTrigger, fact: Fact) -> None:
        watch = self.watch_of(agent, trigger, fact.at, self.around.methods(agent, trigger))
        watch = msgspec.structs.replace(
            watch,
            before=self._before(trigger, fact),
            called_at=None if trigger in WAITING else fact.at,
            late=self.is_late,
            apart=self.about,
        )
        watch = self.counted(watch)
        if "email" in watch.methods:
            watch = msgspec.structs.replace(watch, email_at=self.email_due(watch))
        if agent in self._told_of(trigger):  # in this window already: it waits for its end
            self.watches[agent] = watch
        else:
            self.tell(watch)
        if self.session is None and watch.email_at is not None:  # nothing more will come of it
            self._email(self.watches[agent])

    def _told_of(self, trigger: AlertTrigger) -> Mapping[str, datetime]:
        """Return whom it is not told aloud, as they were called in this window already."""
        if trigger == "mention":
            return self.mentioned
        return self.raised if trigger in MESSAGES else self.called

    def _apart(self, news: News) -> Apart | None:
        if news.fact.type == "session.mention":
            return note_of(news.fact, news.message, self.around)
        return apart_of(news.fact) if news.fact.type in APART else None

    def _before(self, trigger: AlertTrigger, fact: Fact) -> int:
        if self.session is None:
            return 0
        if trigger in MESSAGES and fact.inbound:
            return fact.inbound - 1
        return self.session.inbound

    def _join(self, watch: Watch, trigger: AlertTrigger, fact: Fact) -> None:
        """Add what came to what waits."""
        agent = watch.agent
        if fact.inbound and fact.inbound <= watch.before:
            watch = msgspec.structs.replace(watch, before=fact.inbound - 1)
        if trigger in MESSAGES and watch.trigger not in WAITING:
            self._ask(watch, trigger, fact)
            return
        is_call = trigger not in MESSAGES
        shown = watch.trigger == trigger and not watch.told.keys() <= {"email"}
        shown = shown and trigger != "mention"  # another note is shown in place of the last
        if is_call and not (shown and agent in self.raised):
            self._upgrade(watch, trigger, fact)
        elif self._is_more(watch):
            self.renew(watch, fact.at)
        elif watch != self.watches[agent]:
            self.watches[agent] = watch

    def _is_more(self, watch: Watch) -> bool:
        """Tell whether what came is told aloud: it is more, or the first that is not too old."""
        if watch.agent in self.raised or self.is_late:
            return False
        return watch.late or count_of(watch, self.session) > watch.count

    def _ask(self, watch: Watch, trigger: AlertTrigger, fact: Fact) -> None:
        """Let a message stand beside the call, and have the words if it is newer."""
        if fact.at < (watch.called_at or watch.since):
            self.watches[watch.agent] = msgspec.structs.replace(watch, beside=trigger)
            return
        methods = self.around.methods(watch.agent, trigger)
        changed = msgspec.structs.replace(
            watch,
            trigger=trigger,
            beside=watch.trigger,
            last=max(watch.last, fact.at),
            methods=tuple(dict.fromkeys((*methods, *watch.methods))) if watch.rung else methods,
            count=0,  # nothing of it was shown yet
        )
        if "email" in changed.methods and watch.email_at is None:
            changed = msgspec.structs.replace(changed, email_at=self.email_due(changed))
        if self._is_more(changed):
            self.renew(changed, fact.at)
        else:
            self.watches[watch.agent] = changed

    def _upgrade(self, watch: Watch, trigger: AlertTrigger, fact: Fact) -> None:
        """Let a call take the place of messages: aloud where only a bot's were told of."""
        more = self.around.methods(watch.agent, trigger)
        methods = watch.methods + tuple(each for each in more if each not in watch.methods)
        alone = watch.trigger == "bot_hosted.message" or trigger == "mention"
        waits = trigger in WAITING
        silent = watch.told.keys() <= {"email"} and not watch.held
        changed = msgspec.structs.replace(
            watch,
            trigger=trigger,
            beside=call_of(watch) if waits else waits_of(watch),
            called_at=watch.called_at if waits else fact.at,
            last=max(watch.last, fact.at),
            methods=methods,
            apart=watch.apart if waits else self.about,
        )
        if "email" in more and watch.email_at is None:
            changed = msgspec.structs.replace(changed, email_at=self.email_due(changed))
        breaks_through = (alone or silent) and watch.agent not in self._told_of(trigger)
        aloud = breaks_through or (watch.agent not in self.raised and "browser" in methods)
        if aloud and not self.is_late:
            self.renew(changed, fact.at)
        else:
            self.watches[watch.agent] = changed
            self.update(changed)

    # --- what time does

    def look(self) -> None:
        """Do what is due by now."""
        for agent in list(self.watches):
            self._window_over(self.watches[agent])
            if self.watches[agent].email_at is not None:
                self._email(self.watches[agent])
            self._expire(self.watches[agent])

    def _window_over(self, watch: Watch) -> None:
        if watch.held and "browser" not in watch.told:
            if self._minute_over(watch.held_at or self.now) <= self.now:
                self.sum_up(watch)
            return
        if watch.agent in self.raised:
            return
        waits = not watch.told.keys() - {"email"} and bool(instant_sinks(watch, self.around))
        if waits and not watch.held and not watch.late:
            self.tell(msgspec.structs.replace(watch, count=count_of(watch, self.session)))
        elif count_of(watch, self.session) != watch.count and "browser" in watch.told:
            self.update(watch)

    def _email(self, watch: Watch) -> None:
        if watch.unmailed_at is not None:
            self._mail_summary(watch, watch.unmailed_at)
            return
        due = self.email_due(watch)
        if due > self.now:
            self.watches[watch.agent] = msgspec.structs.replace(watch, email_at=due)
            return
        if self.permits.ask("email", watch.agent, self.now.timestamp()):
            self.watches[watch.agent] = msgspec.structs.replace(
                watch, unmailed_at=self.now, email_at=self._minute_over(self.now)
            )
            return
        if count_of(watch, self.session) != watch.count:  # the page shows no less than the mail
            self.update(watch)
            watch = self.watches[watch.agent]
        watch = self._mailed(watch)
        self.say("email", alert_of(_as_mailed(watch), self.session, self.around))

    def _mail_summary(self, watch: Watch, held_at: datetime) -> None:
        """Mail how many the minute held back, now that it is over: one mail for all of them."""
        over_at = self._minute_over(held_at)
        if over_at > self.now:
            self.watches[watch.agent] = msgspec.structs.replace(watch, email_at=over_at)
            return
        watch = self._mailed(watch)
        minute = minute_of(held_at)
        count = max(self.permits.held(watch.agent, minute, "email"), 1)
        self.say("email", summary_of(watch, self.summary_id(watch, minute), count, self.around))

    def _mailed(self, watch: Watch) -> Watch:
        told = {**watch.told, "email": self.now}
        watch = msgspec.structs.replace(
            self.counted(watch), told=told, email_at=None, unmailed_at=None, n=watch.n + 1
        )
        self.watches[watch.agent] = watch
        return watch

    def _expire(self, watch: Watch) -> None:
        """Forget what was told and waits for nobody's answer."""
        lasts = climbs(watch) or watch.email_at is not None
        if not lasts and self._forget_at(watch) <= self.now:
            del self.watches[watch.agent]

    # --- when it is to be looked at again

    def due(self) -> datetime | None:
        """Return when time alone changes something."""
        found = [at for watch in self.watches.values() for at in self._dues(watch)]
        return min(found, default=None)

    def _dues(self, watch: Watch) -> list[datetime]:
        found: list[datetime] = []
        if watch.held and "browser" not in watch.told:
            found.append(self._minute_over(watch.held_at or self.now))
        elif watch.agent in self.raised:
            found.append(self.raised[watch.agent] + self.window)
        if watch.email_at is not None:
            found.append(watch.email_at)
        elif not climbs(watch):
            found.append(self._forget_at(watch))
        return found

    @staticmethod
    def _minute_over(at: datetime) -> datetime:
        """Return when it is known what the minute of *at* held back."""
        return end_of_minute(at) + timedelta(seconds=1)

    def _forget_at(self, watch: Watch) -> datetime:
        return self.lasts_until(watch.last)


def _as_mailed(watch: Watch) -> Watch:
    """Return *watch* with the words of the call beside it, where that alone is to be mailed."""
    if watch.beside is None or watch.trigger not in WAITING or "email" in watch.methods:
        return watch
    return msgspec.structs.replace(watch, trigger=watch.beside, beside=watch.trigger)
