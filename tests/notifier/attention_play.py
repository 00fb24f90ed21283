"""A session, its agents and a clock, to play what happens and see what is told; all in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.alerts import Alert, Attention, Preferences, Watch
from libs.common.documents import LastMessage, Message, Session
from libs.common.events import Fact, FactType
from libs.common.policy import Calendar, Member, Policy, Team
from libs.common.switches import Alerting, Settings
from services.notifier.attention import News, Step
from services.notifier.attention_step import step
from services.notifier.attention_storm import Breaker, Permits
from services.notifier.attention_who import Around, Subscribed

BEGAN = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
CLOSED = Calendar(id="closed", spans=())
MEMBERS = (
    Member(id="ada", name="Ada"),
    Member(id="bob", name="Bob", teams=("sales",)),
    Member(id="lea", name="Lea", role="lead"),
    Member(id="rita", name="Rita", role="read_only"),
)
ALL = ("browser", "email", "webhook")


class Play:
    """One session and who may be alerted of it."""

    def __init__(
        self,
        *,
        alerts: Alerting | None = None,
        prefers: dict[str, dict[str, Any]] | None = None,
        online: Sequence[str] = (),
        members: Sequence[Member] = MEMBERS,
        zone: str = "UTC",
        **session: Any,
    ) -> None:
        self.now = BEGAN
        self.online = set(online)
        self.prefers = {
            agent: Preferences(id=agent, workspace="acme", **chosen)
            for agent, chosen in (prefers or {}).items()
        }
        self.policy = Policy(
            settings=Settings(alerts=alerts or Alerting(), zone=zone),
            members=tuple(members),
            teams=(Team(id="sales"), Team(id="night", calendar="closed")),
            calendars=(CLOSED,),
        )
        self.session = Session(
            id="s1",
            workspace="acme",
            account="line-1",
            channel="line",
            visitor="U1",
            contact="con_1",
            open_key="s1",
            created_at=BEGAN,
            updated_at=BEGAN,
            **{"list": "unassigned", "contact_name": "Vera", **session},
        )
        self.doc = Attention(id="s1", workspace="acme", updated_at=BEGAN)
        self.told: list[tuple[str, Alert]] = []
        self.breaker = Breaker()
        self.subscribed = Subscribed()
        self.asked = self.looked_for = 0
        self.chosen = 0
        self.due: datetime | None = None
        self.steps: list[Step] = []
        self._number = 0

    # --- what happens

    def fact(self, kind: FactType, **more: Any) -> Fact:
        self._number += 1
        return Fact(
            fact_id=f"f{self._number}",
            type=kind,
            workspace="acme",
            session=self.session.id,
            list=self.session.list,
            assignees=self.session.assignee_ids,
            **{"at": self.now, **more},
        )

    def written(self, text: str = "hello") -> Fact:
        """Let the visitor write; return the fact, which nobody has heard of yet."""
        self.session.inbound += 1
        self.session.heard_at = self.now
        self.session.last_message = LastMessage(
            id="m", at=self.now, direction="in", sender="visitor", excerpt=text
        )
        return self.fact("message.stored", actor="visitor", inbound=self.session.inbound)

    def writes(self, text: str = "hello") -> None:
        self.hears(self.written(text))

    def _chosen(self, agent: str) -> Preferences | None:
        self.asked += 1
        return self.prefers.get(agent)

    def _online(self, agent: str) -> bool:
        self.looked_for += 1
        return agent in self.online

    def hears(self, *facts: Fact, message: Message | None = None) -> Step:
        """Let the engine take the facts in one step."""
        around = Around(
            workspace="acme",
            policy=self.policy,
            preferences=self._chosen,
            online=self._online,
            now=self.now,
            subscribed=self.subscribed,
            chosen=self.chosen,
        )
        most = self.policy.settings.alerts.storm_per_minute
        permits = Permits(self.breaker, "acme", self.doc.id, most)
        session = self.session if self.doc.id == self.session.id else None
        made = step(self.doc, session, [News(f, message) for f in facts], around, permits)
        self.doc, self.due = made.after, made.due
        self.told += [(sink, alert) for sink, alert in made.said]
        self.steps.append(made)
        return made

    def passes(self, seconds: float) -> None:
        """Let time pass, and the timer fire whenever something is due."""
        until = self.now + timedelta(seconds=seconds)
        for _ in range(100):
            if self.due is None or self.due > until:
                break
            self.now = max(self.now, self.due)
            self.hears()
        else:
            raise AssertionError("it is looked at again and again")
        self.now = until

    def reads(self, agent: str) -> Step:
        self.session.reads = {**self.session.reads, agent: self.session.inbound}
        return self.hears(self.fact("session.read", actor=f"agent:{agent}"))

    def assigned(self, agent: str, *, by: str = "system") -> tuple[Fact, ...]:
        """Give the session to *agent*; return the facts."""
        former = self.session.list
        self.session.list, self.session.owner = "assigned", agent
        self.session.assignee_ids = (agent,)
        moved = self.fact("session.moved", actor=by, previous_list=former)
        return (moved, self.fact("session.assigned", actor=by, joined=(agent,)))

    def answers(self, agent: str) -> Step:
        self.session.answered_at = self.now
        return self.hears(self.fact("message.stored", actor=f"agent:{agent}"))

    def ends(self) -> Step:
        self.session.list = "ended"
        return self.hears(self.fact("session.ended", actor="agent:lea", because="done"))

    # --- what is seen

    def said(self, *sinks: str, kind: str = "") -> list[str]:
        """Return what was told as `<sink> <kind> <agent>`."""
        return [
            f"{sink} {alert.kind} {alert.agent}"
            for sink, alert in self.told
            if (not sinks or sink in sinks) and (not kind or alert.kind == kind)
        ]

    def raised(self, *sinks: str) -> list[str]:
        """Return whom it was raised to, by these sinks."""
        return [
            a.agent for s, a in self.told if a.kind == "raised" and s in (sinks or ("browser",))
        ]

    @property
    def last(self) -> Alert:
        return self.told[-1][1]

    def watch(self, agent: str) -> Watch:
        return next(watch for watch in self.doc.watches if watch.agent == agent)

    def again(self) -> Attention:
        """Return the document as the store would bring it back."""
        return msgspec.json.decode(msgspec.json.encode(self.doc), type=Attention)
