"""Which rules fire, and what their actions come to together."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import singledispatchmethod
from typing import Literal

from libs.common.policy import (
    Action,
    AddTag,
    AssignToAgent,
    AssignToTeam,
    Case,
    EndIt,
    HostWithBot,
    Notify,
    Policy,
    ReplyWith,
    Rule,
    SetPriority,
)
from libs.common.rules.conditions import holds
from libs.common.rules.lookup import lookup


class Fired:
    """What the rules said, in order: of places, wishes and priorities the last one counts.

    Attributes:
        to: Where the session goes: to a `bot`, to `people`, to its `end`; empty: they do not say.
        wish: (team, skill, agent) that were asked for; None: nothing was said of them.
        replies, says: Texts, and under which names they are noted as said.
    """

    def __init__(self, policy: Policy, said: Iterable[str]) -> None:
        self.to: Literal["", "bot", "people", "end"] = ""
        self.bot = ""
        self.wish: tuple[str, str, str] | None = None
        self.rules: list[str] = []
        self.tags: dict[str, None] = {}
        self.replies: list[str] = []
        self.says: list[str] = []
        self.priority: int | None = None
        self.notify: dict[str, None] = {}
        self.end_reason = ""
        self._known = lookup(policy)
        self._said = frozenset(said)

    def follow(self, rule: Rule) -> None:
        """Take over what a rule does."""
        self.rules.append(rule.id)
        for action in rule.actions:
            if isinstance(action, ReplyWith):
                self._reply(f"rule:{rule.id}", action.text)
            else:
                self._do(action)

    def _reply(self, name: str, text: str) -> None:
        if name in self._said:
            return
        self.replies.append(text)
        if name not in self.says:
            self.says.append(name)

    @singledispatchmethod
    def _do(self, action: Action) -> None:
        raise TypeError(f"no rule can do {type(action).__name__}")

    @_do.register
    def _(self, action: HostWithBot) -> None:
        bot = self._known.bots.get(action.bot)
        if bot is not None and bot.enabled:  # else it is as if the action were not there
            self.to, self.bot = "bot", bot.id

    @_do.register
    def _(self, action: AssignToTeam) -> None:
        self.to, self.wish = "people", (action.team, action.skill, "")

    @_do.register
    def _(self, action: AssignToAgent) -> None:
        self.to, self.wish = "people", (action.else_team, "", action.agent)

    @_do.register
    def _(self, action: AddTag) -> None:
        self.tags[action.tag] = None

    @_do.register
    def _(self, action: SetPriority) -> None:
        self.priority = action.priority

    @_do.register
    def _(self, action: EndIt) -> None:
        self.end_reason = action.reason

    @_do.register
    def _(self, action: Notify) -> None:
        for agent in action.agents:
            if agent in self._known.members:
                self.notify[agent] = None
        for member in self._known.members.values():
            if action.team and action.team in member.teams:
                self.notify[member.id] = None


def fire(case: Case, policy: Policy, now: datetime) -> Fired:
    """Try the rules of the case's trigger in order.

    A rule with `stop` that fires is the last one, and so is one that ends the session: after that
    nothing may move it.
    """
    fired = Fired(policy, case.said)
    if case.trigger == "queued":
        return fired
    for rule in lookup(policy).rules[case.trigger]:
        if not _all_hold(rule, case, policy, now):
            continue
        fired.follow(rule)
        if fired.end_reason:
            fired.to = "end"
        if rule.stop or fired.end_reason:
            break
    return fired


def _all_hold(rule: Rule, case: Case, policy: Policy, now: datetime) -> bool:
    for condition in rule.conditions:  # noqa: SIM110  # a generator takes longer than a test
        if not holds(condition, case, policy, now):
            return False
    return True
