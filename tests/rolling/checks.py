"""What must hold at rest, after replicas were restarted or replaced under load."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from tests.e2e.stack import until
from tests.rolling.load import LATE_S, Load

Timelines = dict[str, list[dict[str, Any]]]


async def check_all(load: Load, *, known: int = 0) -> None:
    """Check that nothing was refused, lost, doubled, out of order or late."""
    assert load.failures == []
    assert load.said
    assert load.replied
    assert load.scheduled
    expected = Counter(text for _, _, text in load.said)

    async def rest() -> bool:
        found = texts(await load.timelines(), "in")
        return found.total() >= expected.total() + known

    await until(rest, "all accepted webhooks in timelines", within_s=40)
    await until(lambda: _settled(load), "no reply is queued any more", within_s=40)
    timelines = await load.timelines()
    found = texts(timelines, "in")
    assert {t: n for t, n in found.items() if t in expected} == dict(expected)
    check_order(load, timelines)
    await check_sent(load, timelines)


def texts(timelines: Timelines, direction: str) -> Counter[str]:
    """Count the texts of a direction."""
    return Counter(
        one["text"] for each in timelines.values() for one in each if one["direction"] == direction
    )


async def _settled(load: Load) -> bool:
    out = [
        one
        for each in (await load.timelines()).values()
        for one in each
        if one["direction"] == "out"
    ]
    shown = {one["text"] for one in out}
    awaited = {text for _, text in load.replied} | set(load.scheduled)
    return awaited <= shown and all(one["status"] not in {"", "queued"} for one in out)


def check_order(load: Load, timelines: Timelines) -> None:
    """Each visitor's messages stand in the order in which they were accepted."""
    place = {text: n for n, (_, _, text) in enumerate(load.said)}
    for each in timelines.values():
        ours = [place[one["text"]] for one in each if one["text"] in place]
        assert ours == sorted(ours)


async def check_sent(load: Load, timelines: Timelines) -> None:
    """Each reply and scheduled message was sent once, replies in order, none of them too late."""
    shown = texts(timelines, "out")
    awaited = Counter([*(text for _, text in load.replied), *load.scheduled])
    assert {t: n for t, n in shown.items() if t in awaited} == dict(awaited)
    at_provider: list[str] = []
    for account in load.stack.demo["accounts"]:
        if account["channel"] != "web":
            sent = await load.stack.sent(account["slug"])
            at_provider += [item["text"] for item in sent if item["text"]]
    of_web = {
        one["text"]
        for each in timelines.values()
        for one in each
        if one["direction"] == "out" and one["id"] and _channel(load, each) == "web"
    }
    counted = Counter(at_provider)
    wrong = {t: counted[t] for t in awaited if t not in of_web and counted[t] != 1}
    assert wrong == {}, wrong
    statuses = {
        one["status"] for each in timelines.values() for one in each if one["text"] in awaited
    }
    assert statuses <= {"sent", "delivered", "read"}, statuses
    _check_reply_order(load, at_provider)
    _check_times(load, timelines)


def _channel(load: Load, timeline: list[dict[str, Any]]) -> str:
    known = {text: channel for channel, _, text in load.said}
    return next((known[one["text"]] for one in timeline if one["text"] in known), "")


def _check_reply_order(load: Load, at_provider: list[str]) -> None:
    place = {text: n for n, text in enumerate(at_provider)}
    by_session: dict[str, list[int]] = {}
    for session, text in load.replied:
        if text in place:
            by_session.setdefault(session, []).append(place[text])
    assert all(places == sorted(places) for places in by_session.values())


def _check_times(load: Load, timelines: Timelines) -> None:
    late = {}
    for each in timelines.values():
        for one in each:
            if one["text"] in load.scheduled:
                at = datetime.fromisoformat(one["at"])
                late[one["text"]] = (at - load.scheduled[one["text"]]).total_seconds()
    assert set(late) == set(load.scheduled)
    assert max(late.values()) <= LATE_S, late
    assert min(late.values()) >= -0.5, late  # to the resolution of `at`
