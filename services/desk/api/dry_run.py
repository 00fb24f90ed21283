"""What would happen to a message now: decided by the present rules, or proposed ones; no effects.

Reads what the router would read, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.documents import LOADS, DecisionRecord, Session
from libs.common.errors import InvalidInputError
from libs.common.policy import (
    Case,
    Decision,
    Policy,
    Standing,
    Trigger,
)
from libs.common.rules.case import case_of
from libs.common.rules.decide import decide
from libs.common.rules.explain import words
from libs.common.rules.standing import standing_of
from libs.common.rules.verdicts import Verdict, verdicts
from services.desk.api.decisions import CandidateView, candidate_view
from services.desk.api.dry_talk import BotWould, handed_over, talk
from services.desk.api.proposal import Proposal, proposed
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import CHANNEL_NAMES
from services.desk.api.visible import session_of

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Between these, hours of any calendar can be told."""
Short = Annotated[Plain, Meta(max_length=200)]


class DryRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message: in a session (`session`), or one that would open one (`account`).

    Attributes:
        session: A session of the workspace; one that has ended: the message opens the next.
        account: Slug of the account; its channel follows.
        trigger: With a session: a further `message` (default), `handoff` or `queued`.
        text, language, tags, returning, last_owner, referral_source, referral_ref: Of the message
            and its writer; with a session, what is not given is the session's.
        fields: Of the contact, such as `email`.
        at: When, from 1970 to 2199; now by default. Who is online, and with how many sessions, is
            as now.
        proposal: Settings or rules to try in place of the present ones.
    """

    session: Annotated[Plain, Meta(max_length=100)] = ""
    account: Annotated[Plain, Meta(max_length=48)] = ""
    trigger: Literal["", "opened", "message", "handoff", "queued"] = ""
    text: Annotated[Plain, Meta(max_length=4000)] = ""
    language: Annotated[Plain, Meta(max_length=35)] | None = None
    tags: Annotated[tuple[Short, ...], Meta(max_length=50)] | None = None
    fields: Annotated[dict[str, Short], Meta(max_length=50)] | None = None
    returning: bool | None = None
    last_owner: Short | None = None
    referral_source: Short | None = None
    referral_ref: Short | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    proposal: Proposal = Proposal()


class WouldBe(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen, in words and data; nothing of it was done.

    Attributes:
        case: What the rules looked at.
        decision: What would follow; where a human is asked for in place of a bot, what follows on
            that.
        before: What was decided before a human was asked for; null: none is.
        bot: What the bot that hosts the session would do; null: none would.
        handoff: Why a human would be asked for, as `visitor_asked`; empty: none would.
        rules: What became of each rule, in order, and which conditions did not hold.
        warnings: What is allowed in the proposed policy, but hardly meant.
    """

    at: datetime
    trigger: Trigger | Literal["queued"]
    words: tuple[str, ...]
    case: Case
    decision: Decision
    before: Decision | None
    bot: BotWould | None
    handoff: str
    candidates: tuple[CandidateView, ...]
    rules: tuple[Verdict, ...]
    warnings: tuple[str, ...]


async def dry_run(call: Call) -> Reply:
    """Say what would happen to a message now.

    Raises:
        NotFoundError: No such session in this workspace.
        InvalidInputError: No such account, a proposal that is wrong, or a trigger that cannot be.
    """
    asked: DryRun = call.body
    if asked.at is not None and not EARLIEST <= asked.at < LATEST:
        allowed = "a time from 1970 to 2199"
        raise InvalidInputError(f"at: {allowed} is expected.", field="at", allowed=allowed)
    case, session = await _case(call, asked)
    policy, warnings = await proposed(call, asked.proposal)
    at = asked.at or call.desk.now()
    standings = await standings_now(call, policy)
    made = decide(case, policy, standings, at)
    told = _words(call, case, policy, made, at)
    tried = list(verdicts(case, policy, at))
    follows = await talk(call, case, made, policy, session)
    before = None
    if follows.because:
        later, before = handed_over(case, made), made
        made = decide(later, policy, standings, at)
        tried = _on_both(tried, verdicts(later, policy, at))
        quiet = not (before.list or before.rules or before.says)
        told = [*(told[:1] if quiet else told), *follows.words]
        told += _words(call, later, policy, made, at)[1:]
    else:
        told += follows.words
    body = WouldBe(
        at=at,
        trigger=case.trigger,
        words=tuple(told),
        case=case,
        decision=made,
        before=before,
        bot=follows.bot,
        handoff=follows.because,
        candidates=tuple(map(candidate_view, made.candidates)),
        rules=tuple(tried),
        warnings=warnings,
    )
    return Reply(body=body)


def _on_both(first: Iterable[Verdict], then: Iterable[Verdict]) -> list[Verdict]:
    """Return what became of each rule where two occasions follow each other: it is of one."""
    pairs = zip(first, then, strict=True)
    return [one if one.state != "other_occasion" else other for one, other in pairs]


def _words(call: Call, case: Case, policy: Policy, decision: Decision, at: datetime) -> list[str]:
    record = DecisionRecord(
        id="dry-run",
        workspace=call.who.workspace,
        session=case.session,
        at=at,
        case=case,
        policy=msgspec.json.encode(policy).decode(),
        decision=decision,
    )
    return words(record)


# --- the agents -------------------------------------------------------------------------------


async def standings_now(call: Call, policy: Policy) -> tuple[Standing, ...]:
    """Return how those stand who may get sessions automatically, as the router sees it."""
    workspace = call.who.workspace
    ids = sorted(one.id for one in policy.members if one.limit > 0)
    loads = await call.desk.store.port.get_many(LOADS, workspace, ids) if ids else {}
    present = call.desk.live.presences.of(workspace)
    states = {agent: one.state for agent, one in present.items()}
    return tuple(standing_of(agent, loads.get(agent), states.get(agent, "")) for agent in ids)


# --- the case ----------------------------------------------------------------------------------


async def _case(call: Call, asked: DryRun) -> tuple[Case, Session | None]:
    """Return the case, and the session that the message is written in; None: it opens one."""
    session = None
    if asked.session:
        session = await session_of(call, asked.session)
        case = _of_session(session, asked)
    else:
        case = await _of_account(call, asked)
    first = await call.desk.store.first_waiting(call.who.workspace)
    behind = first not in {"", case.session} and case.trigger != "queued"
    contact = {name: value for name, value in (asked.fields or {}).items() if value}
    given = {
        name: getattr(asked, name)
        for name in (
            "language",
            "tags",
            "returning",
            "last_owner",
            "referral_source",
            "referral_ref",
        )
        if getattr(asked, name) is not None
    }
    case = msgspec.structs.replace(
        case, text=asked.text, fields={**case.fields, **contact}, behind=behind, **given
    )
    return case, None if case.trigger == "opened" else session


async def _of_account(call: Call, asked: DryRun) -> Case:
    account = await call.desk.store.account(call.who.workspace, asked.account)
    if account is None or account.channel not in CHANNEL_NAMES:
        raise InvalidInputError(
            "account: name an account of this workspace, or a session.",
            field="account",
            allowed="slugs of `GET /accounts`",
        )
    if asked.trigger not in {"", "opened"}:
        raise InvalidInputError(
            "trigger: without a session a message can only open one.",
            field="trigger",
            allowed="opened",
        )
    return Case(trigger="opened", session="", channel=account.channel, account=account.id)


def _of_session(session: Session, asked: DryRun) -> Case:
    if asked.account not in {"", session.account}:
        raise InvalidInputError(
            "account: the session is of another one.", field="account", allowed=session.account
        )
    ended = session.list == "ended"
    trigger = asked.trigger or ("opened" if ended else "message")
    if ended and trigger != "opened":
        raise InvalidInputError(
            "trigger: the session has ended, so a message opens the next one.",
            field="trigger",
            allowed="opened",
        )
    return case_of(_next(session) if trigger == "opened" else session, trigger)


def _next(session: Session) -> Session:
    """Return what a new session of the same contact begins with: nothing that was asked of this."""
    ended = session.list == "ended"
    return msgspec.structs.replace(
        session,
        tags=(),
        removed={},
        team="",
        skill="",
        wanted="",
        said=(),
        returning=ended or session.returning,
        last_owner=(session.owner if ended else None) or session.last_owner,
    )
