"""What an agent is told of a session, by which sinks, how loud, and when by email. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from libs.common.alerts import NOBODY_REACTED, Alert, Apart, Preferences, Sink, Watch
from libs.common.documents import Message, Session
from libs.common.events import Fact, TextPart
from libs.common.rules.lookup import lookup
from libs.common.switches import AlertTrigger
from libs.common.wallclock import after_quiet
from services.notifier.attention_stand import WAITING
from services.notifier.attention_who import Around

_DEFAULT = Preferences(id="", workspace="")
MINUTE_S = 60
MOST_NOTE = 200
"""Characters of a note that are shown."""


def is_quiet(agent: str, around: Around) -> bool:
    """Tell whether the agent wants no sound and no push now."""
    chosen = around.preferences(agent)
    return chosen is not None and wants_quiet(chosen, around.policy.settings.zone, around.now)


def wants_quiet(chosen: Preferences, zone: str, now: datetime) -> bool:
    """Tell whether who has *chosen* so wants no sound and no push now.

    Args:
        chosen: How they want to be alerted.
        zone: Of the workspace, for who named none.
        now: Aware.
    """
    until = chosen.muted_until
    if chosen.muted and (until is None or now < until):
        return True
    return after_quiet(now, chosen.zone or zone, chosen.quiet_hours) != now


def zone_of(agent: str, around: Around) -> str:
    """Return the agent's time zone, or the workspace's."""
    chosen = around.preferences(agent) or _DEFAULT
    return chosen.zone or around.policy.settings.zone


def instant_sinks(watch: Watch, around: Around) -> tuple[Sink, ...]:
    """Return the sinks that are told at once."""
    sinks: list[Sink] = []
    if "browser" in watch.methods:
        sinks.append("browser")
        if not around.online(watch.agent) and not is_quiet(watch.agent, around):
            sinks.append("push")
    if "webhook" in watch.methods:
        sinks.append("webhook")
    return tuple(sinks)


def sound_of(agent: str, trigger: AlertTrigger, around: Around) -> tuple[str | None, int]:
    """Return the sound, None for none, and its volume."""
    chosen = around.preferences(agent) or _DEFAULT
    sound = chosen.sounds.get(trigger) or chosen.sound
    if sound == "none" or is_quiet(agent, around):
        return None, chosen.volume
    return sound, chosen.volume


def email_due(watch: Watch, last: datetime, around: Around) -> datetime:
    """Return when it is to go out by email if nothing comes after *last*.

    When the session was quiet for a while, but soon enough after the burst began; one who was
    written to already is not again so soon. What falls into quiet hours waits for their end.
    """
    settings = around.settings
    within = timedelta(seconds=settings.email_within_s)
    due = min(last + timedelta(seconds=settings.email_after_s), watch.since + within)
    before = watch.told.get("email")
    if before is not None:
        due = max(due, before + within)
    chosen = around.preferences(watch.agent) or _DEFAULT
    return after_quiet(due, zone_of(watch.agent, around), chosen.quiet_hours)


def alert_of(
    watch: Watch, session: Session | None, around: Around, at: datetime | None = None
) -> Alert:
    """Return what is said of *watch*, as its `n` counts it; without a sound.

    *at* is when it happened, and it expires as long after that; None: now, by time alone.
    """
    at = at or around.now
    trigger = words_of(watch, session)
    _, volume = sound_of(watch.agent, trigger, around)
    about = Alert(
        id=watch.alert,
        n=watch.n,
        workspace=around.workspace,
        agent=watch.agent,
        trigger=trigger,
        at=at,
        since=watch.since,
        expires_at=at + timedelta(seconds=around.settings.stale_s),
        count=max(watch.count, 1),
        rung=watch.rung,
        volume=volume,
        because=_because(watch),
    )
    if session is None:
        return _of_apart(about, watch.apart)
    about = _of_session(about, session)
    if trigger != "mention":
        return about
    return msgspec.structs.replace(about, excerpt=watch.apart.excerpt if watch.apart else "")


def _because(watch: Watch) -> str:
    return NOBODY_REACTED if watch.escalated and watch.trigger in WAITING else ""


def words_of(watch: Watch, session: Session | None) -> AlertTrigger:
    """Return the trigger that tells the agent what it is; what is another's is none of theirs."""
    if not watch.escalated or not watch.trigger.startswith("assigned."):
        return watch.trigger
    waits_for_all = session is not None and session.list == "unassigned"
    return "unassigned.message" if waits_for_all else "notice"


def summary_of(watch: Watch, id_: str, count: int, around: Around) -> Alert:
    """Return the alert of this id that stands for *count* sessions that were held back."""
    trigger = words_of(watch, None)
    _, volume = sound_of(watch.agent, trigger, around)
    return Alert(
        id=id_,
        workspace=around.workspace,
        agent=watch.agent,
        trigger=trigger,
        at=around.now,
        expires_at=around.now + timedelta(seconds=around.settings.stale_s),
        count=count,
        summary=True,
        volume=volume,
        url="/#/",
        because=_because(watch),
    )


def minute_of(at: datetime) -> int:
    """Return the minute of the calendar that *at* falls into."""
    return int(at.timestamp()) // MINUTE_S


def end_of_minute(at: datetime) -> datetime:
    """Return when the minute of *at* is over."""
    return at + timedelta(seconds=MINUTE_S - at.timestamp() % MINUTE_S)


def _of_session(about: Alert, session: Session) -> Alert:
    last = session.last_message
    heard = last is not None and last.sender == "visitor"  # it is shown as what the contact says
    return msgspec.structs.replace(
        about,
        session=session.id,
        list=session.list,
        channel=session.channel,
        account=session.account,
        contact_name=session.contact_name,
        excerpt=last.excerpt if last and heard else "",
        url=f"/#/sessions/{session.id}",
    )


def _of_apart(about: Alert, apart: Apart | None) -> Alert:
    if apart is None:  # it was about a session that is no more
        return about
    values = {name: getattr(apart, name) for name in Apart.__struct_fields__}
    return msgspec.structs.replace(about, **values)


def apart_of(fact: Fact) -> Apart:
    """Return what *fact*, which is about no session, is about: the account, import or endpoint."""
    pages = {"import.finished": "imports", "webhook.disabled": "webhook-endpoints"}
    return Apart(
        account=fact.session if fact.type == "account.unhealthy" else "",
        excerpt=fact.detail or fact.status,
        counts=fact.counts,
        url=f"/#/{pages.get(fact.type, 'accounts')}/{fact.session}",
    )


def note_of(fact: Fact, message: Message | None, around: Around) -> Apart | None:
    """Return what the note of *fact*, a mention, says: who wrote it, and its first line."""
    if message is None:
        return None
    author = lookup(around.policy).members.get(fact.actor.removeprefix("agent:"))
    texts = [part.text for part in message.parts if isinstance(part, TextPart)]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    who = (author.name if author else "") or message.sender_name
    said = ": ".join(filter(None, (who, next(filter(None, lines), ""))))
    return Apart(excerpt=said if len(said) <= MOST_NOTE else said[: MOST_NOTE - 1] + "…")
