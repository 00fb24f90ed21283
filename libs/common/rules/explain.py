"""A decision in plain sentences, from what was kept of it alone."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from libs.common.documents import DecisionRecord
from libs.common.policy import Candidate, Case, Decision, HostWithBot, Policy
from libs.common.rules.strategies import strategy_for

BECAUSE = {
    "rule": "A rule of the workspace decided.",
    "auto_hosting": "Auto-hosting is on, so a new session goes to the bot first.",
    "auto_hosting_of_channel": "Auto-hosting is on for this channel: the bot first.",
    "auto_hosting_of_account": "Auto-hosting is on for this account: the bot first.",
    "no_bot": "Auto-hosting is on, but no bot that is switched on serves this channel.",
    "auto_hosting_off": "Auto-hosting is off, so a new session waits for an agent.",
    "standby": "Another application holds the conversation, so nobody of ours may answer.",
    "auto_assign": "Auto-assign is on, and somebody could take it.",
    "auto_assign_off": "Auto-assign is off, so it waits until somebody takes it.",
    "nobody_free": "Nobody could take it at that moment, so it waits.",
    "others_first": "Others wait already, so it goes behind them, and gets its agent in its turn.",
    "reopened_to_owner": "The contact came back to the agent who had their last session.",
    "reopened_to_queue": "The contact came back, and returning contacts wait for an agent.",
    "reopened_to_bot": "The contact came back, and returning contacts go to the bot first.",
    "handoff": "A human was asked for.",
    "has_owner": "An agent has the session, and no rule takes it away.",
    "no_rule": "No rule applied, so nothing changed.",
}
"""What the words of `because` mean."""

EXCLUDED = {
    "read_only": "may only read",
    "limit_0": "gets none automatically (limit 0)",
    "not_in_team": "not in the team asked for",
    "no_skill": "without the skill asked for",
    "out_of_scope": "does not see this channel or account",
    "removed": "removed from this session lately",
    "offline": "offline",
    "away": "away",
    "full": "full",
    "out_of_hours": "outside the business hours",
}
"""Why an agent could not be chosen."""

_STRATEGIES = {
    "least_loaded": "the least loaded, then the longest idle, comes first",
    "round_robin": "they take turns",
    "sticky": "the one who had the contact last comes first, else the least loaded",
    "priority": "the highest priority, then the least loaded, comes first",
}
_EVENTS = {
    "opened": "A visitor's first message opened the session",
    "message": "The visitor wrote again",
    "handoff": "A human was asked for",
    "queued": "The waiting session was offered to agents",
}
_NAMED = 5


def words(record: DecisionRecord) -> list[str]:
    """Return the decision as sentences for a lead: what came, what decided, who was looked at."""
    policy = _policy(record.policy)
    decision = record.decision
    return [
        *_came(record),
        *_decided(decision, policy),
        *_returned(record.case, decision, policy),
        *_went(decision, policy),
        *_asked(decision, policy),
        *_looked_at(record.case, decision, policy),
        *_besides(decision, policy),
    ]


def _policy(text: str) -> Policy:
    """Return what was kept of the policy; an empty one where nothing of it can be read."""
    try:
        return msgspec.json.decode(text, type=Policy) if text else Policy()
    except msgspec.MsgspecError:
        return Policy()


def _came(record: DecisionRecord) -> Iterator[str]:
    case = record.case
    returning = ", from a contact who had one before" if case.returning else ""
    yield (
        f"{record.at:%Y-%m-%d %H:%M:%S} UTC: {_EVENTS[case.trigger]}"
        f" ({case.channel}, account {case.account}{returning})."
    )


def _decided(decision: Decision, policy: Policy) -> Iterator[str]:
    names = {rule.id: rule.name for rule in policy.rules}
    if decision.rules:
        listed = _listed([_called(rule, names) for rule in decision.rules])
        what = "These rules applied, in order" if len(decision.rules) > 1 else "This rule applied"
        yield f"{what}: {listed}."
        yield from _idle(decision, policy)
    if decision.because != "rule" or not decision.rules:
        fallback = f"{decision.because.replace('_', ' ').capitalize()}."
        yield BECAUSE.get(decision.because, fallback)


def _returned(case: Case, decision: Decision, policy: Policy) -> Iterator[str]:
    """Yield that the last owner was asked first, where `reopen` says so and they could not."""
    asked = case.trigger == "opened" and case.returning and policy.settings.reopen == "owner"
    if not asked or not case.last_owner or decision.because in _UNASKED:
        return
    looked = [one for one in decision.candidates if one.agent == case.last_owner]
    if looked:
        name = looked[0].name or looked[0].agent
        yield f"Returning contacts go to their last agent first; {name} could not take it."
    else:
        yield "Returning contacts go to their last agent first, who is not here any more."


_UNASKED = frozenset({"reopened_to_owner", "rule", "standby"})
"""Who is decided on by these is not asked for."""


def _idle(decision: Decision, policy: Policy) -> Iterator[str]:
    """Yield which bots that rules name are off, so that this part of the rules does nothing."""
    names = {bot.id: bot.name for bot in policy.bots}
    able = {bot.id for bot in policy.bots if bot.enabled}
    for rule in policy.rules:
        for action in rule.actions if rule.id in decision.rules else ():
            if isinstance(action, HostWithBot) and action.bot not in able:
                called = _called(action.bot, names)
                yield (
                    f"The bot {called}, which {rule.name or rule.id} names, is switched off or"
                    " gone, so it is as if it were not named."
                )


def _went(decision: Decision, policy: Policy) -> Iterator[str]:
    bots = {bot.id: bot.name for bot in policy.bots}
    people = {member.id: member.name for member in policy.members}
    bot = f"the bot {_called(decision.bot, bots)}" if decision.bot else "no bot: none is set up"
    match decision.list:
        case "bot_hosted":
            yield f"It went to Bot Hosting, with {bot}."
        case "assigned":
            yield f"It was assigned to {_called(decision.owner, people)}."
        case "unassigned":
            yield "It went to Unassigned."
        case "ended":
            yield f"It was ended ({decision.end_reason})."
        case _:
            yield f"It stayed where it was, with {bot}." if decision.bot else "It stayed."
    if decision.automation:
        yield "Session hosting is on, so automation answers, unless somebody switched it off here."


def _asked(decision: Decision, policy: Policy) -> Iterator[str]:
    teams = {team.id: team.name for team in policy.teams}
    people = {member.id: member.name for member in policy.members}
    asked = []
    if decision.agent:
        asked.append(f"the agent {_called(decision.agent, people)}")
    if decision.team:
        asked.append(f"the team {_called(decision.team, teams)}")
    if decision.skill:
        asked.append(f"the skill {decision.skill}")
    if asked:
        yield f"Asked for: {', '.join(asked)}."


def _looked_at(case: Case, decision: Decision, policy: Policy) -> Iterator[str]:
    candidates = decision.candidates
    if not candidates:
        return
    free = [candidate for candidate in candidates if not candidate.excluded]
    able = f"{len(free)} could take it" if free else "nobody could take it"
    looked = "1 agent was" if len(candidates) == 1 else f"{len(candidates)} agents were"
    yield f"{looked} looked at; {able}."
    if len(free) > 1:
        yield f"Among those, {_STRATEGIES[strategy_for(case, policy)]}."
    if free:
        yield f"Could: {_some(free)}."
    for reason in dict.fromkeys(one.excluded for one in candidates if one.excluded):
        out = [candidate for candidate in candidates if candidate.excluded == reason]
        yield f"Could not, {EXCLUDED.get(reason, reason)}: {_some(out)}."


def _besides(decision: Decision, policy: Policy) -> Iterator[str]:
    people = {member.id: member.name for member in policy.members}
    if decision.tags:
        yield f"Tagged: {', '.join(decision.tags)}."
    if decision.priority is not None:
        yield f"Priority set to {decision.priority}."
    if "away" in decision.says:
        yield "The visitor was told that it is outside the business hours."
    answers = sum(1 for name in decision.says if name != "away")
    if answers:
        yield "The visitor got the answer that a rule gives once per session."
    if decision.notify:
        yield f"Alerted: {_listed([_called(agent, people) for agent in decision.notify])}."


def _called(name: str, names: dict[str, str]) -> str:
    return names.get(name) or name


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _some(candidates: list[Candidate]) -> str:
    return _listed([f"{one.name or one.agent} ({one.load} of {one.limit})" for one in candidates])
