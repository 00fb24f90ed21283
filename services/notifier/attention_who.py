"""Whom a fact concerns: agents, and what it is to each. Pure.

The session is looked at as it is now, whatever the order in which facts come: who has read or
answered meanwhile is not concerned, and a message of a list that the session has left is nothing
any more, as the fact that moved it says whom it concerns there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from zlib import crc32

import msgspec

from libs.common.alerts import Preferences, methods_of
from libs.common.documents import Message, Session
from libs.common.events import Fact, FactType
from libs.common.policy import Member, Policy
from libs.common.rules.lookup import lookup, on_duty
from libs.common.switches import Alerting, AlertMethod, AlertTrigger, Role
from libs.common.termination import TERMINATED

Concerned = dict[str, AlertTrigger]
"""By agent, what it is to them."""

BY_LIST: Mapping[str, AlertTrigger] = {
    "bot_hosted": "bot_hosted.message",
    "unassigned": "unassigned.message",
    "assigned": "assigned.message",
}
MESSAGES = frozenset(BY_LIST.values())
"""What is about a visitor's message; all else calls an agent, and comes once."""
APART: Mapping[FactType, AlertTrigger] = {
    "account.unhealthy": "account.unhealthy",
    "webhook.disabled": "account.unhealthy",
    "import.finished": "import.finished",
}
"""Facts about no session."""
LEADS: frozenset[Role] = frozenset({"owner", "admin", "lead"})
_ADMINS: frozenset[Role] = frozenset({"owner", "admin"})


Methods = tuple[AlertMethod, ...]
MOST_ABSENT = 50
"""Who is not there is alerted of one session only so many at once: nobody needs a whole company."""


class Subscribed:
    """Who is alerted of a trigger at all, and how: remembered while nobody's choice changes."""

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self._chosen = -1
        self._known: dict[AlertTrigger, Mapping[str, Methods]] = {}
        self._insistent: AbstractSet[str] | None = None

    def of(self, trigger: AlertTrigger, around: Around) -> Mapping[str, Methods]:
        """Return the methods by agent, without who has none, in the order of the members."""
        self._forget_changed(around)
        found = self._known.get(trigger)
        if found is None:
            asked = ((each, _methods(each, trigger, around)) for each in _members(around))
            found = {member.id: methods for member, methods in asked if methods}
            self._known[trigger] = found
        return found

    def insistent(self, around: Around) -> AbstractSet[str]:
        """Return who wants to be alerted, while not there, although others are."""
        self._forget_changed(around)
        if self._insistent is None:
            agents = (member.id for member in _members(around))
            self._insistent = {agent for agent in agents if _even_absent(agent, around)}
        return self._insistent

    def _forget_changed(self, around: Around) -> None:
        if around.policy is not self._policy or around.chosen != self._chosen:
            self._policy, self._chosen = around.policy, around.chosen
            self._known, self._insistent = {}, None


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What is known besides a session, at one moment.

    Attributes:
        workspace: Whose session it is.
        policy: The workspace's people and switches.
        preferences: Returns what an agent chose.
        online: Tells whether an agent has a console open, and works.
        now: UTC.
        subscribed: What is remembered of policy and preferences, as long as `chosen`, which counts
            changes of preferences, and the policy's identity stay the same.
    """

    workspace: str
    policy: Policy
    preferences: Callable[[str], Preferences | None]
    online: Callable[[str], bool]
    now: datetime
    subscribed: Subscribed = msgspec.field(default_factory=Subscribed)
    chosen: int = 0

    @property
    def settings(self) -> Alerting:
        """How the workspace alerts."""
        return self.policy.settings.alerts

    def methods(self, agent: str, trigger: AlertTrigger) -> Methods:
        """Return how the agent is alerted; empty: not at all, or they are no agent here.

        Who may only read is alerted of nothing that they did not choose themselves.
        """
        return self.subscribed.of(trigger, self).get(agent, ())


def _members(around: Around) -> Iterable[Member]:
    return lookup(around.policy).members.values()


def _methods(member: Member, trigger: AlertTrigger, around: Around) -> Methods:
    chosen = around.preferences(member.id)
    own = chosen is not None and trigger in chosen.triggers
    if member.role == "read_only" and not own:
        return ()
    return methods_of(around.settings, chosen, trigger)


def concerned(
    fact: Fact, session: Session | None, message: Message | None, around: Around
) -> Concerned:
    """Return whom *fact* concerns, as *session* is now.

    *message* is that of a failed send. Never who did it, but of an import; nor who is alerted by
    no method.
    """
    apart = APART.get(fact.type)
    if apart is not None:
        agents = _of_workspace(fact, around)
        return {agent: apart for agent in agents if around.methods(agent, apart)}
    if session is None:
        return {}
    found = _WHO.get(fact.type, _nobody)(fact, session, message, around)
    return {
        agent: trigger
        for agent, trigger in found.items()
        if fact.actor != f"agent:{agent}"
        and around.methods(agent, trigger)
        and sees(agent, session, around)
    }


def sees(agent: str, session: Session, around: Around) -> bool:
    """Tell whether the session is in the agent's scope; who is no member sees none."""
    member = lookup(around.policy).members.get(agent)
    if member is None or not member.covers(session.channel, session.account):
        return False
    if not member.team_only or member.role in _ADMINS or not session.team:
        return True
    return session.team in member.teams or agent in session.assignee_ids


def trigger_of(fact: Fact, session: Session) -> AlertTrigger | None:
    """Return what a visitor's message is, None where the session has left the list it came in.

    What an owner has given back is told anew to those who may take it.
    """
    given_back = fact.list == "assigned" and session.list == "unassigned"
    if fact.list != session.list and fact.list and not given_back:
        return None
    return BY_LIST.get(session.list)


def everybody(session: Session, trigger: AlertTrigger, around: Around) -> list[str]:
    """Return whom what is everybody's concerns: those who may take it, and are there.

    Of those on duty whom the session's rule wants; who is not there only if nobody is, or they
    want it so, and not too many of them.
    """
    members = lookup(around.policy).members
    asked = (members[agent] for agent in around.subscribed.of(trigger, around))
    able = [
        member.id
        for member in asked
        if _is_wanted(member, session)
        and sees(member.id, session, around)
        and on_duty(around.policy, member.teams, session.team, around.now)
    ]
    there = {agent for agent in able if around.online(agent)}
    if there:
        always = around.subscribed.insistent(around)
        able = [agent for agent in able if agent in there or agent in always]
    return reached(able, there, session.id, around)


def reached(
    agents: Sequence[str], there: AbstractSet[str], session: str, around: Around
) -> list[str]:
    """Return those of *agents* who are alerted of *session*: all who are there, some who are not.

    Of these first who wants it even if others are there, then others in an order of the session's
    own, so that the next one reaches others; always the same for one session.
    """
    absent = [agent for agent in agents if agent not in there]
    if len(absent) <= MOST_ABSENT:
        return list(agents)
    always = around.subscribed.insistent(around)
    absent.sort(key=lambda agent: (agent not in always, crc32(f"{session}.{agent}".encode())))
    chosen = there | set(absent[:MOST_ABSENT])
    return [agent for agent in agents if agent in chosen]


def of_roles(roles: frozenset[Role], around: Around) -> list[str]:
    """Return the members of these roles."""
    members = lookup(around.policy).members.values()
    return [member.id for member in members if member.role in roles]


def subscribed(trigger: AlertTrigger | None, around: Around) -> bool:
    """Tell whether anybody is alerted of *trigger* at all; None: of whatever it may be."""
    if trigger is None:
        return True
    return bool(around.subscribed.of(trigger, around))


def matters(fact: Fact, around: Around) -> bool:
    """Tell whether *fact* may concern anybody, or end what does, as far as it says itself."""
    if fact.type == "message.stored":
        return _is_persons(fact) or (
            fact.actor == "visitor" and subscribed(BY_LIST.get(fact.list), around)
        )
    if fact.type == "message.status":
        return fact.status == "failed"
    if fact.type == "session.snoozed":
        return _is_persons(fact)
    return fact.type in _HEEDED


def calls(fact: Fact) -> bool:
    """Tell whether *fact*, which matters, may concern somebody anew."""
    if fact.type == "message.stored":
        return fact.actor == "visitor"
    if fact.type == "session.ended":
        return fact.because == TERMINATED
    if fact.type == "session.assigned":
        return bool(fact.joined)
    return fact.type not in {"session.read", "session.moved", "session.snoozed"}


def answered_at(session: Session) -> datetime | None:
    """Return when a person answered last, here or elsewhere."""
    return max(filter(None, (session.answered_at, session.outside_at)), default=None)


def _is_wanted(member: Member, session: Session) -> bool:
    if session.wanted:
        return member.id == session.wanted
    return not session.team or session.team in member.teams


def _even_absent(agent: str, around: Around) -> bool:
    chosen = around.preferences(agent)
    return chosen is not None and chosen.absent == "always"


def _of_workspace(fact: Fact, around: Around) -> Iterable[str]:
    if fact.type == "import.finished":
        return fact.notify
    if fact.type != "account.unhealthy":
        return of_roles(_ADMINS, around)
    members = lookup(around.policy).members
    leads = (members[agent] for agent in of_roles(LEADS, around))
    return [one.id for one in leads if one.role in _ADMINS or _sees_account(one, fact)]


def _sees_account(one: Member, fact: Fact) -> bool:
    """Tell whether an account, of which an older version told no channel, is in a lead's scope."""
    near = not one.channels or not fact.channel or fact.channel in one.channels
    return near and (not one.accounts or fact.session in one.accounts)


_Who = Callable[[Fact, Session, Message | None, Around], Concerned]


def _nobody(_fact: Fact, _session: Session, _message: Message | None, _around: Around) -> Concerned:
    return {}


def _messaged(fact: Fact, session: Session, _message: Message | None, around: Around) -> Concerned:
    trigger = trigger_of(fact, session) if fact.actor == "visitor" else None
    if trigger is None or _is_answered(fact, session):
        return {}
    mine = trigger == "assigned.message"
    agents = session.assignee_ids if mine else everybody(session, trigger, around)
    number = fact.inbound or session.inbound
    return {agent: trigger for agent in agents if session.reads.get(agent, 0) < number}


def _handed(fact: Fact, session: Session, _message: Message | None, around: Around) -> Concerned:
    moved = fact.list != session.list and bool(fact.list)
    if session.list not in {"unassigned", "assigned"} or moved or _is_answered(fact, session):
        return {}
    if fact.notify:
        return dict.fromkeys(fact.notify, "handoff.requested")
    if session.list == "assigned":
        return dict.fromkeys(session.assignee_ids, "handoff.requested")
    return dict.fromkeys(everybody(session, "handoff.requested", around), "handoff.requested")


def _assigned(fact: Fact, session: Session, _message: Message | None, _around: Around) -> Concerned:
    if session.list != "assigned" or _is_answered(fact, session):
        return {}
    joined = (agent for agent in fact.joined if agent in session.assignee_ids)
    return dict.fromkeys(joined, "assigned.to_me")


def _noticed(fact: Fact, session: Session, _message: Message | None, _around: Around) -> Concerned:
    return {} if session.list == "ended" else dict.fromkeys(fact.notify, "notice")


def _mentioned(fact: Fact, _session: Session, _message: Message | None, _: Around) -> Concerned:
    return dict.fromkeys(fact.notify, "mention")


def _ended(fact: Fact, session: Session, _message: Message | None, _around: Around) -> Concerned:
    if session.list != "ended" or fact.because != TERMINATED:
        return {}
    return dict.fromkeys(fact.assignees, "session.ended_automatically")


def _failed(fact: Fact, session: Session, message: Message | None, _around: Around) -> Concerned:
    if fact.status != "failed" or message is None or message.status_reason in _NEEDS_NOBODY:
        return {}
    person = message.sender == "agent" and bool(message.sender_id)
    agents = (message.sender_id,) if person else session.assignee_ids
    return dict.fromkeys(agents, "send.failed")


_NEEDS_NOBODY = frozenset({"stale_epoch"})
"""Why what a bot or a rule was about to say was held back on purpose: a person has taken over."""


def _is_persons(fact: Fact) -> bool:
    return fact.actor.startswith("agent:")


def _is_answered(fact: Fact, session: Session) -> bool:
    at = answered_at(session)
    return at is not None and at > fact.at


_WHO: Mapping[FactType, _Who] = {
    "message.stored": _messaged,
    "session.handoff": _handed,
    "session.assigned": _assigned,
    "session.notice": _noticed,
    "session.mention": _mentioned,
    "session.ended": _ended,
    "message.status": _failed,
}

_HEEDED = frozenset(_WHO) | frozenset(APART) | {"session.read", "session.moved"}
