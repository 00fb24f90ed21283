"""What happens to a session: its list, bot or owner, and all that rules add to that.

Pure: the same case, policy, standings and time always give the same decision, so that one that is
kept with them can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from libs.common.policy import Candidate, Case, Decision, Policy, Standing
from libs.common.rules.fire import Fired, fire
from libs.common.rules.hours import is_open
from libs.common.rules.lookup import bot_for, calendar_of_team, lookup, on_duty, switch
from libs.common.rules.strategies import choose

List = Literal["", "bot_hosted", "unassigned", "assigned", "ended"]


PRESENT = timedelta(hours=1)
"""How long after an answer its agent counts as there, whatever the hours say."""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where it goes, and why."""

    because: str
    list: List = ""
    bot: str = ""
    owner: str = ""
    candidates: tuple[Candidate, ...] = ()


class _Matter(msgspec.Struct, frozen=True, kw_only=True):
    """All that is looked at. `case` asks for whom the rules asked for, if they did."""

    case: Case
    policy: Policy
    standings: Sequence[Standing]
    now: datetime
    fired: Fired


def decide(case: Case, policy: Policy, standings: Sequence[Standing], now: datetime) -> Decision:
    """Decide on a case at *now* (aware). The first that applies says where the session goes.

    1. A rule ends it, whoever has it.
    2. A person has it: it stays there. No rule takes a session away from its owner.
    3. Another application holds the conversation: no bot, nobody and no text of ours gets into it;
       a new session waits in Unassigned.
    4. A further message goes nowhere, unless a rule says so.
    5. A rule names a bot, a team or an agent. No bot is put where a human was asked for.
    6. A returning contact is received as `settings.reopen` says.
    7. Auto-hosting, of the account, else the channel, else the workspace, puts it before a bot.
       Where nobody has set one up yet there is none; where those that are cannot answer here, it
       waits for people.
    8. It waits in Unassigned, and auto-assign, of the same three, gives it to who can take it. An
       agent whom a rule names gets it without that switch. Who comes while others wait goes behind
       them: the queue knows who of them can be served.

    `team`, `skill` and `agent` are what the session asks for from now on. What it says and whom it
    alerts holds wherever it goes. Hours that are closed are told once, to who waits for people;
    not where the owner is within their own hours, or has answered lately.
    """
    fired = fire(case, policy, now)
    wished = case
    if fired.wish is not None:
        team, skill, agent = fired.wish
        wished = msgspec.structs.replace(case, team=team, skill=skill, agent=agent)
    matter = _Matter(case=wished, policy=policy, standings=standings, now=now, fired=fired)
    place = _place(matter)
    replies, says = _said(matter, place)
    hosting, _level = switch(policy.settings, "session_hosting", case.channel, case.account)
    return Decision(
        because=place.because,
        list="" if place.list == case.list else place.list,
        bot=place.bot,
        owner=place.owner,
        team=wished.team,
        skill=wished.skill,
        agent=wished.agent,
        automation=hosting and place.list == "assigned",
        rules=tuple(fired.rules),
        tags=tuple(fired.tags),
        replies=replies,
        says=says,
        priority=fired.priority,
        notify=tuple(fired.notify),
        end_reason=fired.end_reason,
        candidates=place.candidates,
    )


def _place(matter: _Matter) -> _Place:
    case, to = matter.case, matter.fired.to
    if to == "end":
        return _Place(because="rule", list="ended")
    if case.list == "assigned":
        return _Place(because="has_owner")
    if case.standby:
        waits = case.trigger in {"opened", "handoff"}
        return _Place(because="standby", list="unassigned" if waits else "")
    match case.trigger:
        case "queued":
            return _offered(matter, "auto_assign_off")
        case "handoff":
            return _offered(matter, "rule" if to == "people" else "handoff")
        case _:
            return _told(matter) or _opened(matter)


def _told(matter: _Matter) -> _Place | None:
    """Return where the rules put it; a further message goes nowhere without them."""
    fired = matter.fired
    if fired.to == "bot":
        return _Place(because="rule", list="bot_hosted", bot=fired.bot)
    if fired.to == "people":
        return _offered(matter, "rule")
    if matter.case.trigger == "message":
        return _Place(because="rule" if fired.rules else "no_rule")
    return None


def _opened(matter: _Matter) -> _Place:
    """Return where it goes when no rule says so."""
    case, reopen = matter.case, matter.policy.settings.reopen
    if case.returning and reopen == "owner":
        return _to_owner(matter)
    if case.returning and reopen == "queue":
        return _offered(matter, "reopened_to_queue")
    bot = bot_for(matter.policy, case.channel)
    if case.returning and bot:
        return _Place(because="reopened_to_bot", list="bot_hosted", bot=bot)
    return _hosted(matter)


def _to_owner(matter: _Matter) -> _Place:
    """Give it to the last owner, who must be able to take it as anybody else must."""
    case = msgspec.structs.replace(matter.case, team="", skill="", agent=matter.case.last_owner)
    owner, looked = choose(case, matter.policy, matter.standings, matter.now, anyone=False)
    if owner:
        return _Place(because="reopened_to_owner", list="assigned", owner=owner, candidates=looked)
    place = _hosted(matter)
    return place if place.candidates else msgspec.structs.replace(place, candidates=looked)


_HOSTED = {
    "account": "auto_hosting_of_account",
    "channel": "auto_hosting_of_channel",
    "workspace": "auto_hosting",
}


def _hosted(matter: _Matter) -> _Place:
    case, policy = matter.case, matter.policy
    hosting, level = switch(policy.settings, "auto_hosting", case.channel, case.account)
    if not hosting:
        return _offered(matter, "auto_hosting_off")
    bot = bot_for(policy, case.channel)
    if policy.bots and not bot:
        return _offered(matter, "no_bot")
    return _Place(because=_HOSTED[level], list="bot_hosted", bot=bot)


def _offered(matter: _Matter, why: str) -> _Place:
    """Give it to who can take it, or let it wait; *why* says how it came to be offered."""
    case, policy = matter.case, matter.policy
    auto, _level = switch(policy.settings, "auto_assign", case.channel, case.account)
    owner, looked = choose(case, policy, matter.standings, matter.now, anyone=auto)
    if owner and case.behind and case.trigger != "queued":
        return _Place(because="others_first", list="unassigned", candidates=looked)
    if owner:
        by_rule = why == "rule" or not auto
        because = "rule" if by_rule else "auto_assign"
        return _Place(because=because, list="assigned", owner=owner, candidates=looked)
    waited_for = auto or bool(looked)
    because = "nobody_free" if waited_for else why
    return _Place(because=because, list="unassigned", candidates=looked)


def _said(matter: _Matter, place: _Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts to say, and the names they are noted under."""
    case, fired = matter.case, matter.fired
    if case.standby:
        return (), ()
    replies, says = tuple(fired.replies), tuple(fired.says)
    away = away_text(case, matter.policy, matter.now)
    waits = (place.list or case.list) in {"unassigned", "assigned"} and not place.owner
    waits &= place.because != "others_first"
    waits &= case.trigger != "queued" and "away" not in case.said
    if away and waits and not _is_there(case, matter.policy, matter.now):
        return (*replies, away), (*says, "away")
    return replies, says


def _is_there(case: Case, policy: Policy, now: datetime) -> bool:
    """Tell whether the owner works now, by their hours or by what they do."""
    if case.answered_at is not None and now - case.answered_at < PRESENT:
        return True
    owner = lookup(policy).members.get(case.owner)
    return owner is not None and on_duty(policy, owner.teams, "", now)


def away_text(case: Case, policy: Policy, now: datetime) -> str:
    """Return what a visitor is told out of hours, of the wanted team's hours or the workspace's.

    Empty: it is open now, or there is nothing to tell.
    """
    team = case.team if case.team in lookup(policy).teams else ""
    calendar = calendar_of_team(policy, team)
    if calendar is None or is_open(calendar, now):
        return ""
    return calendar.away_text
