"""The ladder: who is alerted, or once more, when nobody has reacted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.alerts import Watch, methods_of
from libs.common.rules.lookup import lookup, on_duty
from libs.common.switches import AlertMethod, Rung
from services.notifier.attention import Round
from services.notifier.attention_stand import call_of, climbs, waits_of
from services.notifier.attention_tell import words_of
from services.notifier.attention_who import LEADS, of_roles, reached, sees


def climb(step: Round) -> None:
    """Climb the rungs that are due; who was alerted in this window already is not again."""
    if step.began_at is None:
        return
    rungs, waiting = _rungs(step), _waiting(step)
    at = top = _climbed(waiting)
    while top < len(rungs) and _due(step, rungs[top], step.began_at, waiting) <= step.now:
        top += 1
    if top == at:
        return
    for place in range(at, top):
        for agent in _targets(step, rungs[place]):
            _raise(step, agent, place + 1, rungs[place].methods)
    for agent, watch in step.watches.items():  # all of them stand where the session does
        if climbs(watch):
            step.watches[agent] = msgspec.structs.replace(watch, rung=top)


def next_rung(step: Round) -> datetime | None:
    """Return when the next rung is due, if nobody reacts."""
    if step.began_at is None:
        return None
    rungs, waiting = _rungs(step), _waiting(step)
    at = _climbed(waiting)
    if at >= len(rungs) or not waiting:
        return None
    return _due(step, rungs[at], step.began_at, waiting)


def _rungs(step: Round) -> list[Rung]:
    return sorted(step.settings.escalation, key=lambda rung: rung.after_s)


def _due(step: Round, rung: Rung, began_at: datetime, waiting: Sequence[Watch]) -> datetime:
    """Return when *rung* is due; the same agents are not told twice in the first window."""
    due = began_at + timedelta(seconds=rung.after_s)
    if rung.to != "same":
        return due
    told = (step.raised[watch.agent] for watch in waiting if watch.agent in step.raised)
    first = [at + step.window for at in told if at <= began_at + step.window]
    return max((due, *first))


def _climbed(waiting: Sequence[Watch]) -> int:
    return max((watch.rung for watch in waiting), default=0)


def _waiting(step: Round) -> list[Watch]:
    return [watch for watch in step.watches.values() if climbs(watch)]


def _targets(step: Round, rung: Rung) -> list[str]:
    """Return whom the rung alerts."""
    if rung.to == "same":
        return [watch.agent for watch in _waiting(step)]
    if rung.to == "leads":
        session = step.session
        found = of_roles(LEADS, step.around)
        return [one for one in found if session is None or sees(one, session, step.around)]
    return _colleagues(step, whole=rung.to == "everyone")


def _colleagues(step: Round, *, whole: bool) -> list[str]:
    """Return who is on duty, of the session's team or, without one, of all; absent ones not all."""
    policy, session = step.around.policy, step.session
    team = "" if whole or session is None else session.team
    found = [
        member.id
        for member in lookup(policy).members.values()
        if member.role != "read_only"
        and (session is None or sees(member.id, session, step.around))
        and (not team or team in member.teams)
        and on_duty(policy, member.teams, team, step.now)
    ]
    there = {agent for agent in found if step.around.online(agent)}
    return reached(found, there, step.before.id, step.around)


def _raise(step: Round, agent: str, rung: int, also: Iterable[AlertMethod]) -> None:
    watch = step.watches.get(agent) or _newcomer(step, agent)
    if watch is None:
        return
    methods = tuple(dict.fromkeys((*watch.methods, *also)))
    if watch.escalated and not _takes_email(step, agent):
        methods = tuple(method for method in methods if method != "email")
    if not methods:
        return
    watch = msgspec.structs.replace(watch, rung=rung, methods=methods, n=watch.n + 1, held=False)
    watch = step.counted(_of_what_waits(watch))
    if "email" in also and "email" in methods and watch.email_at is None:
        watch = msgspec.structs.replace(watch, email_at=step.email_due(watch))
    if agent in step.raised:
        step.watches[agent] = watch
    else:
        step.tell(watch)


def _of_what_waits(watch: Watch) -> Watch:
    """Return *watch* with the words for what waits, which is why it is told once more."""
    waits = waits_of(watch)
    if waits is None or waits == watch.trigger:
        return watch
    return msgspec.structs.replace(watch, trigger=waits, beside=call_of(watch))


def _newcomer(step: Round, agent: str) -> Watch | None:
    """Return the watch of one whom nothing but the ladder concerns."""
    waiting = _waiting(step)
    if not waiting or step.began_at is None:
        return None
    first = _of_what_waits(waiting[0])
    made = step.watch_of(agent, first.trigger, step.began_at, ())
    made = msgspec.structs.replace(made, before=first.before, escalated=True)
    chosen = step.around.methods(agent, words_of(made, step.session))
    return msgspec.structs.replace(made, methods=chosen)


def _takes_email(step: Round, agent: str) -> bool:
    """Tell whether a rung may mail one whom nothing else concerns.

    It may, unless they took email off `notice`, as the link in its mails does.
    """
    chosen = step.around.preferences(agent)
    own = chosen is not None and "notice" in chosen.triggers
    return not own or "email" in methods_of(step.settings, chosen, "notice")
