"""Reports: what was said in how much time, and by whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.documents import ACCOUNTS, AGENTS, POLICIES
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.outflow import FullError, Room
from libs.common.store.api import Page, cursor
from libs.common.workbook_write import write_csv
from services.desk.api.pouring import poured
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.report_period import period_of
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import check_channels
from services.desk.report_agents import COLUMNS as AGENT_COLUMNS
from services.desk.report_agents import Agents
from services.desk.report_bits import BY, REPORTS, By
from services.desk.report_read import Wanted, alive, ended
from services.desk.report_rows import Number, Period, Row, Sheet, columns

AGENT_REPORT = "agents"
NAMES = (*REPORTS, AGENT_REPORT)
Name = Annotated[Plain, Meta(max_length=100)]
When = Annotated[Plain, Meta(max_length=40)]
SLICE_S = 0.02
"""How long a report counts before others have their turn."""
_AT_ONCE = 2
_room = Room(total=_AT_ONCE, each=1)
"""A report is seconds of work: few are made at once, and one for each agent."""


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which sessions, and in which rows; filters compose by AND, the values of one by OR."""

    since: Annotated[When, Meta(description="A day or an instant; default: 30 days back")] = (
        msgspec.field(name="from", default="")
    )
    until: Annotated[When, Meta(description="Not part of it; default: the end of today")] = (
        msgspec.field(name="to", default="")
    )
    zone: Annotated[
        Plain, Meta(max_length=60, description="IANA name; default: the workspace's")
    ] = ""
    by: Annotated[
        By | None, Meta(description="A row for each; `hour`: of the week. Default: totals alone")
    ] = None
    channel: tuple[Name, ...] = ()
    account: tuple[Name, ...] = ()
    team: tuple[Name, ...] = ()
    format: Literal["json", "csv"] = "json"


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """A report; `definitions` say what each number of `totals` and of the rows' `values` means."""

    report: str
    since: datetime = msgspec.field(name="from")
    until: datetime = msgspec.field(name="to")
    zone: str
    by: By | None
    totals: dict[str, Number]
    rows: tuple[Row, ...]
    definitions: dict[str, str]


class ReportKind(msgspec.Struct, frozen=True, kw_only=True):
    """A report that there is: in which rows it comes, and its columns with what they mean."""

    name: str
    by: tuple[By, ...]
    definitions: dict[str, str]


class ReportKinds(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    items: tuple[ReportKind, ...]


async def reports(_call: Call) -> Reply:
    """List the reports."""
    kinds = (
        ReportKind(name=name, by=_allowed(name), definitions=_definitions(name)) for name in NAMES
    )
    return Reply(body=ReportKinds(items=tuple(kinds)))


async def report(call: Call) -> Reply:
    """Make one report.

    Raises:
        NotFoundError: There is no such report.
        InvalidInputError: `from`, `to`, `zone`, `by` or a kind of channel is wrong.
        RefusalError: 429: others are being made, and none of them is done soon.
    """
    query: ReportQuery = call.query
    name = call.params["name"]
    if name not in NAMES:
        raise NotFoundError(f"There is no such report; there are: {', '.join(NAMES)}.")
    by: By | None = "agent" if name == AGENT_REPORT and query.by is None else query.by
    _check_by(name, by)
    check_channels(query.channel, "channel")
    zone = query.zone or (await call.desk.store.workspace(call.who.workspace)).settings.zone
    period = period_of(query.since, query.until, zone, call.desk.now())
    totals, rows = await _in_turn(call, name, by, period)
    if query.format == "csv":
        lines = _lines(by or "", list(_definitions(name)), totals, rows)
        return poured(call, write_csv(lines), f"{name}.csv")
    return Reply(
        body=ReportView(
            report=name,
            since=period.since,
            until=period.until,
            zone=zone,
            by=by,
            totals=totals,
            rows=tuple(rows),
            definitions=_definitions(name),
        )
    )


async def _in_turn(
    call: Call, name: str, by: By | None, period: Period
) -> tuple[dict[str, Number], list[Row]]:
    """Count when it is its turn.

    Raises:
        RefusalError: 429, it does not come soon.
    """
    try:
        async with _room.place(f"{call.who.workspace}|{call.who.agent}"):
            return await _made(call, name, by, period)
    except FullError:
        raise RefusalError(
            429,
            "too_many",
            "Other reports are being made; ask for this one again in a moment.",
            headers={"Retry-After": "5"},
        ) from None


async def _made(
    call: Call, name: str, by: By | None, period: Period
) -> tuple[dict[str, Number], list[Row]]:
    """Count, without keeping anybody waiting; sorting is done beside."""
    query: ReportQuery = call.query
    wanted = Wanted(
        scope=call.who.scope, channels=query.channel, accounts=query.account, teams=query.team
    )
    sheet: Agents | Sheet
    if name == AGENT_REPORT:
        sheet = Agents(period, call.desk.now())
    else:
        sheet = Sheet(REPORTS[name], period, by)
    pages = alive if name == AGENT_REPORT or REPORTS[name].open else ended
    async for page in pages(call.desk.store.port, call.who.workspace, period, wanted):
        began = time.monotonic()
        for one in page:
            sheet.add(one)
            if time.monotonic() - began > SLICE_S:  # a session may have hundreds of counters
                await asyncio.sleep(0)
                began = time.monotonic()
    return await asyncio.to_thread(sheet.finish, await _names(call, by))


async def _names(call: Call, by: By | None) -> dict[str, str]:
    """Return what to call agents, teams or accounts, by id."""
    port, workspace = call.desk.store.port, call.who.workspace
    if by == "team":
        policy = await port.get(POLICIES, workspace, workspace)
        return {team.id: team.name for team in policy.teams} if policy else {}
    found: dict[str, str] = {}
    if by == "agent":
        page = Page(order="email", limit=1000)
        while rows := await port.find(AGENTS, workspace, {}, page):
            found |= {agent.id: agent.name for agent in rows}
            page = Page(order="email", limit=1000, after=cursor(AGENTS, "email", rows[-1]))
    if by == "account":
        page = Page(order="external", limit=1000)
        while accounts := await port.find(ACCOUNTS, workspace, {}, page):
            found |= {account.id: account.name for account in accounts}
            last = cursor(ACCOUNTS, "external", accounts[-1])
            page = Page(order="external", limit=1000, after=last)
    return found


async def _lines(
    by: str, names: Sequence[str], totals: dict[str, Number], rows: Sequence[Row]
) -> AsyncIterator[Sequence[str]]:
    yield [by or "row", "name", *names]
    yield ["total", "", *(_text(totals.get(name)) for name in names)]
    for row in rows:
        yield [row.key, row.name, *(_text(row.values.get(name)) for name in names)]


def _text(number: Number) -> str:
    return "" if number is None else str(number)


def _definitions(name: str) -> dict[str, str]:
    return AGENT_COLUMNS if name == AGENT_REPORT else columns(REPORTS[name])


def _allowed(name: str) -> tuple[By, ...]:
    return ("agent",) if name == AGENT_REPORT else BY


def _check_by(name: str, by: By | None) -> None:
    if by is not None and by not in _allowed(name):
        allowed = ", ".join(_allowed(name))
        raise InvalidInputError(
            f"by: the report {name} has no rows by {by}; allowed: {allowed}.",
            field="by",
            allowed=allowed,
        )
