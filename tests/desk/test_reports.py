"""D26: what reports answer: rows, days of a zone, scopes, CSV; and what they refuse."""

from __future__ import annotations

import csv
import io
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from libs.common.documents import AGENTS, Settings
from libs.common.figures import (
    FIGURES,
    QUARTERS_MOST,
    Asked,
    Course,
    Held,
    SessionFigures,
    counted,
    instant,
    quarter,
)
from libs.common.outflow import Room
from libs.common.store.api import Store
from libs.common.switches import Survey
from services.desk import report_rows
from services.desk.api import reports
from services.desk.api.report_period import period_of
from services.desk.report_agents import Spans
from services.desk.report_bits import REPORTS
from services.desk.report_read import Wanted, ended
from services.desk.report_rows import Period, Sheet, distribution, in_order
from services.desk.scope import WHOLE
from tests.desk.world import World

DAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def figures(workspace: str, number: int, at: datetime, **more: Any) -> SessionFigures:
    began = at - timedelta(minutes=10)
    course = Course(
        began="unassigned",
        people=True,
        needed_at=began,
        answered_at=began + timedelta(seconds=number),
        answered_by="agt-amy",
        waited_s=30.0,
        waits=1,
        held=(Held("agt-amy", began, at),),
        holder="agt-amy",
        ended_by="agent",
        ended_at=at,
        counts={f"{quarter(began)}:in": 2, f"{quarter(began)}:@agt-amy": 1},
    )
    fields = {"channel": "line", "account": "acme-line", "owner": "agt-amy"} | more
    return SessionFigures(
        id=f"ses_{number}",
        workspace=workspace,
        of=1,
        created_at=began,
        ended_at=at,
        active_until=at,
        course=fields.pop("course", course),
        **fields,
    )


async def keep(store: Store, *rows: SessionFigures) -> None:
    assert await store.insert_many(FIGURES, list(rows)) == {}


async def test_d26_reports_say_what_they_count_and_for_whom(world: World) -> None:
    mine, other = world.workspace, world.other
    asked = Asked(question="m1", agent="agt-amy", at=DAY, until=DAY + timedelta(days=1), score=4)
    await keep(
        world.store,
        figures(mine, 10, DAY, survey=asked),
        figures(mine, 20, DAY + timedelta(hours=1)),
        figures(mine, 60, DAY + timedelta(days=1), channel="web", team="vip"),
    )
    await keep(world.store, figures(other, 999, DAY))
    span = {"from": "2026-03-01", "to": "2026-03-05", "zone": "UTC"}
    found = await world.get("/reports/response", "lena", by="day", **span)
    assert found["totals"]["needed"] == 3
    assert found["totals"]["first_response_median_s"] == 20
    assert [(r["key"], r["values"]["first_response_mean_s"]) for r in found["rows"]] == [
        ("2026-03-01", None),
        ("2026-03-02", 15),
        ("2026-03-03", 60),
        ("2026-03-04", None),
    ]
    assert set(found["definitions"]) == set(found["totals"])
    by = await world.get("/reports/volume", "lena", by="agent", **span)
    rows = {row["key"]: row for row in by["rows"]}
    assert (rows["agt-amy"]["name"], rows["agt-amy"]["values"]["sent"]) == ("Amy", 3)
    only = await world.get("/reports/resolution", "lena", channel="web", team="vip", **span)
    assert only["totals"]["resolution_count"] == 1
    said = await world.get("/reports/satisfaction", "lena", by="agent", **span)
    assert (said["totals"]["mean"], said["totals"]["score_4"]) == (4, 1)
    load = await world.get("/reports/agents", "lena", **span)
    assert load["rows"][0]["values"] == {
        "owned": 3,
        "sent": 3,
        "load_mean": round(1800 / (4 * 86_400), 4),
        "load_max": 1,
    }
    kinds = await world.get("/reports", "lena")
    assert [kind["name"] for kind in kinds["items"]] == [*REPORTS, "agents"]
    theirs = await world.get("/reports/response", "zoe", **span)
    assert theirs["totals"]["needed"] == 1, "another workspace's are another's"


async def test_d26_a_lead_with_limits_sees_no_more_in_reports_than_in_lists(world: World) -> None:
    mine = world.workspace
    await keep(
        world.store,
        figures(mine, 1, DAY),
        figures(mine, 2, DAY, channel="web"),
        figures(mine, 3, DAY, team="vip"),
    )
    lena = await world.store.get(AGENTS, mine, "agt-lena")
    assert lena is not None
    lena.channels, lena.team_only = ("line",), True
    lena = await world.store.replace(AGENTS, lena)
    world.tokens["limited"] = await world.token(lena)
    span = {"from": "2026-03-01", "to": "2026-03-05"}
    found = await world.get("/reports/terminations", "limited", **span)
    assert found["totals"]["ended"] == 1


async def test_d26_csv_has_the_same_numbers_and_no_formula(world: World) -> None:
    await keep(world.store, figures(world.workspace, 1, DAY, team="=cmd()"))
    query = [("from", "2026-03-01"), ("to", "2026-03-05"), ("by", "team"), ("format", "csv")]
    answer = await world.call("GET", "/reports/terminations", "lena", query=query)
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert rows[0][:4] == ["team", "name", "ended", "by_agent"]
    assert rows[1][:4] == ["total", "", "1", "1"]
    assert rows[2][:4] == ["'=cmd()", "", "1", "1"]


async def test_d26_what_is_going_on_counts_in_volumes_and_load(world: World) -> None:
    visitor = f"U{uuid.uuid4().hex[:6]}"
    world.switches[world.workspace] = Settings(
        auto_hosting=False, survey=Survey(channels=("line",))
    )
    session = await world.writes("hello", visitor=visitor)
    assert (await world.send(session.id, "hi", "amy")).status == 201
    volume = await world.get("/reports/volume", "lena")
    assert volume["totals"] == volume["totals"] | {
        "opened": 1,
        "ended": 0,
        "received": 1,
        "sent": 1,
    }
    load = await world.get("/reports/agents", "lena")
    assert load["rows"][0]["values"]["load_max"] == 1
    assert (await world.do("end", session.id)).status == 200
    volume = await world.get("/reports/volume", "lena")
    assert (volume["totals"]["ended"], volume["totals"]["sent_automatically"]) == (1, 1)
    asked = await world.session(session.id)
    assert asked.survey is not None
    shown = await world.get(f"/sessions/{session.id}")
    assert shown["survey"] == {
        "asked_at": shown["ended_at"],
        "until": shown["survey"]["until"],
        "agent": "agt-amy",
        "score": None,
        "answered_at": None,
    }


REFUSED: dict[str, tuple[str, dict[str, str], int, str]] = {
    "an unknown report": ("nothing", {}, 404, ""),
    "an unknown zone": ("response", {"zone": "Mars/Base"}, 422, "zone"),
    "a day that is none": ("response", {"from": "2026-02-30"}, 422, "from"),
    "an instant without a zone": ("response", {"to": "2026-03-01T12:00"}, 422, "to"),
    "a year that nobody means": ("response", {"from": "0001-01-01"}, 422, "from"),
    "an empty period": ("response", {"from": "2026-03-02", "to": "2026-03-02"}, 422, "from"),
    "a period too long": ("response", {"from": "2024-01-01", "to": "2026-03-02"}, 422, "from"),
    "a kind of channel that there is not": ("volume", {"channel": "fax"}, 422, "channel"),
    "rows that there are not": ("response", {"by": "moon"}, 422, "by"),
    "rows that the report does not have": ("agents", {"by": "day"}, 422, "by"),
    "an unknown format": ("response", {"format": "pdf"}, 422, "format"),
}


async def test_d26_what_is_wrong_is_named_and_agents_may_not(world: World) -> None:
    for sentence, (name, query, status, field) in REFUSED.items():
        answer = await world.call("GET", f"/reports/{name}", "lena", query=list(query.items()))
        assert (answer.status, answer.json["facts"].get("field", "")) == (status, field), sentence
    assert (await world.call("GET", "/reports/response", "amy")).status == 403
    assert (await world.call("GET", "/reports", "amy")).status == 403


# --- days and percentiles

DAYS: dict[str, tuple[str, str, str, float]] = {
    "a day of 24 hours": ("2026-03-28", "2026-03-29", "Europe/Paris", 24),
    "the day on which summer begins": ("2026-03-29", "2026-03-30", "Europe/Paris", 23),
    "the day on which it ends": ("2026-10-25", "2026-10-26", "Europe/Paris", 25),
    "a day of a zone of quarters": ("2026-03-01", "2026-03-02", "Asia/Kathmandu", 24),
    "instants, rounded down": (
        "2026-03-01T12:07:00Z",
        "2026-03-01T15:29:00+02:00",
        "UTC",
        1.25,
    ),
}


@pytest.mark.parametrize(("since", "until", "zone", "hours"), DAYS.values(), ids=DAYS)
def test_d26_a_period_is(since: str, until: str, zone: str, hours: float) -> None:
    period = period_of(since, until, zone, DAY)
    assert (period.until - period.since).total_seconds() == hours * 3600
    assert len(list(period.days())) == 1


def test_d26_without_a_period_the_last_thirty_days_are_meant() -> None:
    days = list(period_of("", "", "Asia/Tokyo", datetime(2026, 3, 1, 16, tzinfo=UTC)).days())
    assert (days[0], days[-1], len(days)) == ("2026-02-01", "2026-03-02", 30)


def test_d26_sessions_fall_into_the_days_and_hours_of_the_zone() -> None:
    zone = ZoneInfo("Europe/Paris")
    period = period_of("2026-03-28", "2026-03-31", "Europe/Paris", DAY)
    ends = [datetime(2026, 3, 28, 22, 59, tzinfo=UTC), datetime(2026, 3, 28, 23, 0, tzinfo=UTC)]
    ends += [datetime(2026, 3, 29, 21, 59, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC)]
    sheet = Sheet(REPORTS["terminations"], period, "day")
    hours = Sheet(REPORTS["terminations"], Period(period.since, period.until, zone), "hour")
    for number, at in enumerate(ends):
        sheet.add(figures("w", number, at))
        hours.add(figures("w", number, at))
    _, rows = sheet.finish({})
    assert [(row.key, row.values["ended"]) for row in rows] == [
        ("2026-03-28", 1),
        ("2026-03-29", 2),
        ("2026-03-30", 1),
    ]
    _, rows = hours.finish({})
    assert {r.key: r.values["ended"] for r in rows if r.values["ended"]} == {
        "sat 23": 1,
        "sun 00": 1,
        "sun 23": 1,
        "mon 00": 1,
    }


SPREADS: dict[str, tuple[list[float], tuple[Any, ...]]] = {
    "nothing": ([], (0, None, None, None, None)),
    "one": ([7], (1, 7, 7, 7, 7)),
    "two": ([1, 2], (2, 1.5, 1.5, 2, 2)),
    "ten": ([float(n) for n in range(10, 0, -1)], (10, 5.5, 5.5, 9, 10)),
    "eleven": ([float(n) for n in range(11)], (11, 5, 5, 9, 10)),
}


@pytest.mark.parametrize(("seconds", "expected"), SPREADS.values(), ids=SPREADS)
def test_d26_mean_median_and_percentile_are(seconds: list[float], expected: Any) -> None:
    assert tuple(distribution(seconds).values()) == expected


def test_d26_a_session_of_thousands_of_quarters_stays_small_and_counts_all() -> None:
    course, begin = Course(), quarter(DAY)
    for number in range(3000):
        course = counted(course, instant(begin + number), "in")
    assert len(course.counts) <= QUARTERS_MOST
    assert sum(course.counts.values()) == 3000
    assert course.counts[f"{begin + 2999}:in"] == 1


async def test_d26_reading_many_keeps_nobody_waiting(world: World) -> None:
    mine = world.workspace
    for start in range(0, 4000, 1000):
        rows = [figures(mine, n, DAY + timedelta(minutes=n)) for n in range(start, start + 1000)]
        await keep(world.store, *rows)
    period = period_of("2026-03-01", "2026-04-01", "UTC", DAY)
    sheet = Sheet(REPORTS["response"], period, "day")
    pages = 0
    async for page in ended(world.store, mine, period, Wanted(scope=WHOLE)):
        pages += 1
        assert len(page) <= 250, "what is decoded at a stretch"
        for one in page:
            sheet.add(one)
    totals, _ = sheet.finish({})
    assert (totals["needed"], pages >= 16) == (4000, True)


def test_d26_numbers_sorted_in_pieces_are_those_sorted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report_rows, "PIECE", 7)
    chance = random.Random(5)  # noqa: S311 (the same numbers each time)
    seconds = [chance.randrange(40) / 2 for _ in range(100)]
    spans = Spans()
    for since in seconds:
        spans.add(since, since + 3)
    assert list(in_order(seconds)) == sorted(seconds)
    assert spans.most() == max(sum(a <= at < a + 3 for a in seconds) for at in seconds)
    assert max(map(len, sorted_at_once(monkeypatch, seconds))) <= 7, "none holds the loop for long"


def sorted_at_once(monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> list[list[float]]:
    """Return what each call of `sorted` gets."""
    got: list[list[float]] = []

    def noted(numbers: list[float]) -> list[float]:
        got.append(list(numbers))
        return sorted(numbers)

    monkeypatch.setattr(report_rows, "sorted", noted, raising=False)
    distribution(seconds)
    return got


async def test_d26_few_reports_are_made_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(total=2, each=1, patience_s=0.05)
    monkeypatch.setattr(reports, "_room", room)
    async with room.place(f"{world.workspace}|agt-lena"):
        answer = await world.call("GET", "/reports/volume", "lena")
        assert (answer.status, answer.json["code"]) == (429, "too_many")
        assert answer.headers["Retry-After"] == "5"
        assert (await world.call("GET", "/reports/volume", "adam")).status == 200, "another's turn"
        async with room.place("others"):
            assert (await world.call("GET", "/reports/volume", "adam")).status == 429
    assert (await world.call("GET", "/reports/volume", "lena")).status == 200


WROTE = {
    "a bot and then nobody": ({"900:bot": 1}, False, ["began_with_bot", "contained"]),
    "a bot, and people had it": ({"900:bot": 1}, True, ["began_with_bot"]),
    "nobody": ({"900:in": 3}, False, []),
}


@pytest.mark.parametrize(("counts", "people", "expected"), WROTE.values(), ids=WROTE)
def test_d26_a_bot_spared_people_a_session_in_which_wrote(
    counts: dict[str, int], people: bool, expected: list[str]
) -> None:
    course = Course(began="bot_hosted", people=people, ended_by="agent", counts=counts)
    one = figures("acme", 1, DAY, course=course)
    assert [bit.column for bit in REPORTS["bots"].bits(one)] == expected
