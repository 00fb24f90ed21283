"""Web Push: what arrives in a browser, what becomes of one that is gone, and what delays nobody."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver, ResolveResult
from py_vapid import Vapid02

from libs.common import subjects
from libs.common.alerts import ATTENTION, PREFERENCES, Alert, Preferences
from libs.common.bus.delivery import Bury, Delivery, Outcome, Retry
from libs.common.push_keys import vapid_keys
from libs.common.pushes import Endpoint, Push
from libs.common.seal import new_key_setting
from libs.common.subjects import ALERTS, DEAD
from libs.common.switches import QuietHours
from services.notifier import metrics, push_hosts, push_worker
from services.notifier.app import serve
from services.notifier.bots_breaker import FAILURES
from services.notifier.faults import Bounded
from services.notifier.push import topic
from services.notifier.push_hosts import AT_ONCE
from tests.nats_server import NatsProcess
from tests.notifier.push_rig import (
    SILENCE,
    WORKSPACE,
    ZONE,
    Pushed,
    PushRig,
    Sink,
    push_stage,
    running,
)
from tests.notifier.rig import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PushRig]:
    folder = tmp_path_factory.mktemp("push")
    async with push_stage(nats_url, folder) as made, running(made):
        yield made


def counted(outcome: str) -> float:
    return float(metrics.PUSHES.labels(outcome)._value.get())


async def got(rig: PushRig, name: str, *, count: int = 1, within_s: float = 30) -> list[Pushed]:
    async def there() -> list[Pushed] | None:
        found = rig.sink.of(name)
        return found if len(found) >= count else None

    return await until(there, f"{count} pushes in {name}", within_s=within_s)


async def happens(outcome: str, more_than: float) -> None:
    async def so() -> bool:
        return counted(outcome) > more_than

    await until(so, f"a push that ends as {outcome}")


def claims(pushed: Pushed) -> dict[str, Any]:
    token = pushed.headers["Authorization"].split("t=")[1].split(",")[0].split(".")[1]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    found: dict[str, Any] = msgspec.json.decode(raw)
    return found


# --- what arrives -------------------------------------------------------------------------------


async def test_a_push_arrives_sealed_and_signed_in_each_of_the_agents_browsers(
    rig: PushRig,
) -> None:
    await rig.hire("ann")
    for name in ("ann-1", "ann-2"):
        await rig.subscribe("ann", name)
    alert = await rig.raises("ann")
    [key] = vapid_keys(rig.settings.secret_key)
    for name in ("ann-1", "ann-2"):
        [pushed] = await got(rig, name)
        assert pushed.shown["id"] == pushed.shown["tag"] == alert.id
        assert pushed.shown["url"] == alert.url
        heads = pushed.headers
        assert (heads["Urgency"], heads["Content-Encoding"]) == ("high", "aes128gcm")
        assert heads["Topic"] == topic(alert.id)
        assert len(heads["Topic"]) == 32
        assert 880 < int(heads["TTL"]) <= 900
        said = claims(pushed)
        assert (said["aud"], said["sub"]) == (rig.sink.origin, "mailto:alerts@acme.example")
        left = datetime.fromtimestamp(said["exp"], UTC) - datetime.now(UTC)
        assert timedelta(hours=5) < left <= timedelta(hours=12)
        assert Vapid02.verify(heads["Authorization"])
        assert heads["Authorization"].endswith(f",k={key}")


SHOWN: dict[str, tuple[str | None, dict[str, Any], str, str]] = {
    "nothing chosen: no personal data": (None, {}, "New message in Unassigned", ""),
    "generic: no personal data": ("generic", {}, "New message in Unassigned", ""),
    "generic, and several": ("generic", {"count": 3}, "New message in Unassigned", "3 messages"),
    "the contact's name": ("contact", {}, "New message in Unassigned", "Ivy Example"),
    "the name, and several": (
        "contact",
        {"count": 3},
        "New message in Unassigned",
        "Ivy Example: 3 messages",
    ),
    "an excerpt": (
        "excerpt",
        {},
        "New message in Unassigned",
        "Ivy Example: my card number is 4111",
    ),
    "an excerpt of many lines": (
        "excerpt",
        {"excerpt": "one\n\ntwo", "contact_name": ""},
        "New message in Unassigned",
        "one two",
    ),
    "a long excerpt is cut": (
        "excerpt",
        {"excerpt": "x" * 500, "contact_name": ""},
        "New message in Unassigned",
        "x" * 119 + "…",
    ),
    "a mention says what the note says where that may be shown": (
        "excerpt",
        {"trigger": "mention", "excerpt": "Bob: look"},
        "You were mentioned in a note",
        "Ivy Example: Bob: look",
    ),
    "nobody has reacted": (
        "contact",
        {"trigger": "notice", "because": "nobody_reacted"},
        "Nobody has reacted to a visitor",
        "Ivy Example",
    ),
    "a summary": (
        "excerpt",
        {"summary": True, "count": 7, "contact_name": "", "excerpt": "", "session": ""},
        "7 sessions wait",
        "",
    ),
    "an account": (
        "generic",
        {"trigger": "account.unhealthy", "session": "", "contact_name": "", "excerpt": ""},
        "An account needs attention",
        "",
    ),
}


@pytest.mark.parametrize(("chosen", "more", "title", "body"), SHOWN.values(), ids=SHOWN)
async def test_a_lock_screen_shows_no_more_than_the_agent_allows(
    rig: PushRig, chosen: Any, more: dict[str, Any], title: str, body: str
) -> None:
    agent = f"lock{[*SHOWN.values()].index((chosen, more, title, body))}"
    await rig.hire(agent)
    await rig.subscribe(agent, agent)
    if chosen is not None:
        chose = Preferences(id=agent, workspace=WORKSPACE, lock_screen=chosen)
        await rig.store.insert(PREFERENCES, chose)
    alert = await rig.raises(agent, **more)
    [pushed] = await got(rig, agent)
    assert (pushed.shown["title"], pushed.shown["body"]) == (title, body)
    if chosen in {None, "generic"}:
        text = msgspec.json.encode(pushed.shown).decode()
        for personal in (alert.contact_name, alert.excerpt):
            assert not personal or personal not in text


# --- what a push service answers ----------------------------------------------------------------

# The service's answers; how often it is called, what is counted, and whether the browser stays.
ANSWERED: dict[str, tuple[list[Any], int, str, bool]] = {
    "200": ([200], 1, "sent", True),
    "201": ([201], 1, "sent", True),
    "202": ([202], 1, "sent", True),
    "404: the browser is gone": ([404], 1, "gone", False),
    "410: the browser is gone": ([410], 1, "gone", False),
    "400": ([400], 1, "refused", True),
    "401: our signature": ([401], 1, "unauthorized", True),
    "403: our signature": ([403], 1, "unauthorized", True),
    "413, and then it is small enough": ([413, 201], 2, "sent", True),
    "413 again": ([413, 413], 2, "too_large", True),
    "429, and when to come again": ([(429, {"Retry-After": "2"}), 201], 2, "sent", True),
    "500 once": ([500, 201], 2, "sent", True),
    "503 once, and when to come again": ([(503, {"Retry-After": "1"}), 201], 2, "sent", True),
    "a redirect is not followed": (
        [(302, {"Location": "/push/elsewhere"})],
        1,
        "redirected",
        True,
    ),
}


@pytest.mark.parametrize(("script", "calls", "outcome", "stays"), ANSWERED.values(), ids=ANSWERED)
async def test_what_an_answer_of_a_push_service_leads_to(
    rig: PushRig, script: list[Any], calls: int, outcome: str, stays: bool
) -> None:
    agent = f"agt{[*ANSWERED.values()].index((script, calls, outcome, stays))}"
    await rig.hire(agent)
    id_ = await rig.subscribe(agent, agent)
    rig.sink.scripts[agent] = deque(script)
    before = counted(outcome)
    began = time.monotonic()
    await rig.raises(agent)
    await happens(outcome, before)
    assert rig.sink.asked.count(agent) == calls
    assert "elsewhere" not in rig.sink.asked
    asked_s = [float(said[1].get("Retry-After", 0)) for said in script if isinstance(said, tuple)]
    assert time.monotonic() - began >= max(asked_s, default=0.0)

    async def settled() -> bool:
        found = await rig.subscription(id_)
        if found is None:
            return not stays
        return stays and (found.last_ok_at is not None) == (outcome == "sent")

    await until(settled, "the subscription's state")


async def test_a_payload_that_is_too_large_is_pushed_smaller(rig: PushRig) -> None:
    await rig.hire("big")
    await rig.subscribe("big", "big")
    chose = Preferences(id="big", workspace=WORKSPACE, lock_screen="excerpt")
    await rig.store.insert(PREFERENCES, chose)
    rig.sink.scripts["big"] = deque([413])
    await rig.raises("big", excerpt="y" * 100)
    [pushed] = await got(rig, "big")
    assert (pushed.shown["title"], pushed.shown["body"]) == ("New message in Unassigned", "")


# --- whom is not pushed to, and what is not told any more ---------------------------------------


async def test_a_disabled_agent_and_one_who_is_gone_end_their_pushes(rig: PushRig) -> None:
    await rig.hire("off", disabled=True)
    ids = [await rig.subscribe("off", "off"), await rig.subscribe("ghost", "ghost")]
    before = metrics.PUSH_REMOVED.labels("agent")._value.get()
    await rig.raises("off")
    await rig.raises("ghost")

    async def removed() -> bool:
        return [await rig.subscription(id_) for id_ in ids] == [None, None]

    await until(removed, "both subscriptions gone")
    assert metrics.PUSH_REMOVED.labels("agent")._value.get() == before + 2
    assert not {"off", "ghost"} & set(rig.sink.asked)


async def test_a_subscription_of_a_key_that_is_set_no_more_ends(rig: PushRig) -> None:
    await rig.hire("old")
    [former] = vapid_keys(new_key_setting())
    id_ = await rig.subscribe("old", "old", key=former)
    await rig.raises("old")

    async def removed() -> bool:
        return await rig.subscription(id_) is None

    await until(removed, "the subscription gone")
    assert "old" not in rig.sink.asked


# What is published, whether the session waits still; and what is counted.
UNTOLD: dict[str, tuple[dict[str, Any], bool, str]] = {
    "cleared: a browser would have to show it": ({"kind": "cleared"}, True, "cleared"),
    "expired": ({"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, True, "expired"),
    "seen or claimed meanwhile": ({}, False, "moot"),
}


@pytest.mark.parametrize(("more", "waits", "outcome"), UNTOLD.values(), ids=UNTOLD)
async def test_what_is_not_worth_telling_is_not_pushed(
    rig: PushRig, more: dict[str, Any], waits: bool, outcome: str
) -> None:
    agent = f"untold-{outcome}"
    await rig.hire(agent)
    await rig.subscribe(agent, agent)
    before = counted(outcome)
    await rig.raises(agent, waits=waits, **more)
    await happens(outcome, before)
    assert agent not in rig.sink.asked


RENEWED: dict[str, tuple[tuple[str, ...], int]] = {
    "which is pushed itself: once is enough": (("browser", "push"), 0),
    "which was not pushed: this is all that the agent gets outside": (("browser",), 1),
}


@pytest.mark.parametrize(("told", "pushes"), RENEWED.values(), ids=RENEWED)
async def test_what_waits_when_another_alert_of_the_session_takes_its_place(
    rig: PushRig, told: Any, pushes: int
) -> None:
    agent = f"renewed-{pushes}"
    await rig.hire(agent)
    await rig.subscribe(agent, agent)
    alert = rig.alert(agent)
    await rig.attend(alert, newer=told)
    outcome = "sent" if pushes else "moot"
    before = counted(outcome)
    await rig.publish(alert)
    await happens(outcome, before)
    assert len(rig.sink.of(agent)) == pushes


async def test_an_agent_without_a_browser_is_counted(rig: PushRig) -> None:
    before = counted("no_browser")
    await rig.raises("nobody")
    await happens("no_browser", before)


async def test_what_became_moot_between_two_tries_is_not_tried_again(rig: PushRig) -> None:
    await rig.hire("quick")
    await rig.subscribe("quick", "quick")
    rig.sink.scripts["quick"] = deque([(503, {"Retry-After": "1"}), 201])
    before = counted("moot")
    alert = await rig.raises("quick")

    async def asked() -> bool:
        return "quick" in rig.sink.asked

    await until(asked, "the first try")
    await rig.store.delete(ATTENTION, WORKSPACE, alert.session)
    await happens("moot", before)
    assert rig.sink.asked.count("quick") == 1


def around_now(zone: str) -> QuietHours:
    now = datetime.now(ZoneInfo(zone))
    start, end = (now + timedelta(hours=hours) for hours in (-1, 1))
    return QuietHours(start=f"{start:%H:%M}", end=f"{end:%H:%M}")


# What the agent asks for between two tries, and how the push ends.
QUIET: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a mute": (lambda: {"muted": True}, "quiet"),
    "a mute that is over": (
        lambda: {"muted": True, "muted_until": datetime.now(UTC) - timedelta(seconds=1)},
        "sent",
    ),
    "quiet hours by their own clock": (
        lambda: {"quiet_hours": around_now("America/Lima"), "zone": "America/Lima"},
        "quiet",
    ),
    "quiet hours by the workspace's clock": (lambda: {"quiet_hours": around_now(ZONE)}, "quiet"),
    "quiet hours that are elsewhere": (
        lambda: {"quiet_hours": around_now(ZONE), "zone": "America/Lima"},
        "sent",
    ),
}


@pytest.mark.parametrize(("asked", "outcome"), QUIET.values(), ids=QUIET)
async def test_a_push_that_is_tried_again_heeds_a_wish_for_quiet(
    rig: PushRig, asked: Callable[[], dict[str, Any]], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = f"quiet{[*QUIET.values()].index((asked, outcome))}"
    monkeypatch.setattr(push_worker, "pause_s", lambda *_: 0.1)
    await rig.hire(agent)
    await rig.subscribe(agent, agent)

    async def ask_and_say_busy() -> int:
        chosen = Preferences(id=agent, workspace=WORKSPACE, **asked())
        await rig.store.insert(PREFERENCES, chosen)
        return 429

    rig.sink.scripts[agent] = deque([ask_and_say_busy])
    before = counted(outcome)
    await rig.raises(agent)
    await happens(outcome, before)
    assert rig.sink.asked.count(agent) == (2 if outcome == "sent" else 1)


@pytest.mark.parametrize("sink", ["push", "device"])
async def test_what_nobody_can_read_is_buried_at_once(rig: PushRig, sink: Any) -> None:
    subject = subjects.alert(sink, WORKSPACE, uuid.uuid4().hex)
    await rig.bus.publish(subject, b'{"id":"x"}', msg_id=uuid.uuid4().hex)

    async def buried() -> bool:
        found = await rig.bus.read(DEAD, "dead.>", limit=500)
        return any(one.headers.get("Relaydesk-Subject") == subject for one in found)

    await until(buried, "the burial")


async def test_a_fault_of_ours_is_tried_a_few_times_with_pauses_and_buried() -> None:
    async def wrong(_delivery: Delivery) -> Outcome:
        raise KeyError("a trigger of a newer version")

    bounded = Bounded(wrong)
    said = [await bounded(delivery_of(7)) for _ in range(5)]
    assert [one.delay_s for one in said if isinstance(one, Retry)] == [2, 4, 8, 16]
    assert said[-1] == Bury("bug", "KeyError")
    assert isinstance(await bounded(delivery_of(8)), Retry), "each has its own tries"


async def test_a_fault_of_ours_is_no_hot_loop(
    rig: PushRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def wrong(alert: Alert, _lock_screen: str) -> bytes:
        tries.append(alert.id)
        raise KeyError(alert.trigger)

    await rig.hire("faulty")
    await rig.subscribe("faulty", "faulty")
    with monkeypatch.context() as patched:
        patched.setattr(push_worker, "payload", wrong)
        alert = await rig.raises("faulty")
        await asyncio.sleep(1.0)
    assert tries == [alert.id]
    await got(rig, "faulty")


def delivery_of(sequence: int) -> Delivery:
    return Delivery(
        subject="alert.push.acme.ann",
        data=b"",
        headers={},
        sequence=sequence,
        attempt=1,
        partition=0,
        pending=0,
        reply="",
    )


async def test_what_cannot_arrive_in_time_is_given_up(rig: PushRig) -> None:
    await rig.hire("late")
    await rig.subscribe("late", "late")
    rig.sink.scripts["late"] = deque([(429, {"Retry-After": "60"})])
    before = counted("given_up")
    await rig.raises("late", expires_at=datetime.now(UTC) + timedelta(seconds=30))
    await happens("given_up", before)
    assert rig.sink.asked.count("late") == 1


async def test_a_subscription_that_moved_to_another_agent_gets_nothing_of_the_first(
    rig: PushRig,
) -> None:
    for agent in ("first", "second"):
        await rig.hire(agent)
    id_ = await rig.subscribe("second", "moved")
    before = counted("unsubscribed")
    alert = rig.alert("first")
    data = msgspec.json.encode(Push(alert=alert, subscription=id_))
    await rig.bus.publish(subjects.alert("device", WORKSPACE, "first"), data, msg_id="moved-1")
    await happens("unsubscribed", before)
    assert "moved" not in rig.sink.asked


async def test_a_repeat_of_an_alert_or_of_its_delivery_pushes_no_more(rig: PushRig) -> None:
    await rig.hire("rep")
    id_ = await rig.subscribe("rep", "rep")
    alert = await rig.raises("rep")
    await got(rig, "rep")
    subject = subjects.alert("push", WORKSPACE, "rep")
    again = await rig.bus.publish(subject, msgspec.json.encode(alert), msg_id="another-id")
    assert not again.duplicate
    before = counted("repeated")
    data = msgspec.json.encode(Push(alert=alert, subscription=id_))
    await rig.bus.publish(subjects.alert("device", WORKSPACE, "rep"), data, msg_id="rep-2")
    await happens("repeated", before)
    assert len(await rig.bus.read(ALERTS, subjects.alert("device", WORKSPACE, "rep"))) == 2
    assert len(rig.sink.of("rep")) == 1


async def test_a_browser_that_is_tried_again_does_not_double_at_the_others(rig: PushRig) -> None:
    await rig.hire("duo")
    for name in ("duo-well", "duo-ill"):
        await rig.subscribe("duo", name)
    rig.sink.scripts["duo-ill"] = deque([500, 500, 201])
    await rig.raises("duo")
    await got(rig, "duo-ill")
    assert rig.sink.asked.count("duo-well") == 1
    assert rig.sink.asked.count("duo-ill") == 3


async def test_one_who_subscribes_anew_is_not_removed_for_the_former(rig: PushRig) -> None:
    """A 410 that crosses the browser's new keys must not end them."""
    await rig.hire("anew")
    id_ = await rig.subscribe("anew", "anew")

    async def renew_and_say_gone() -> int:
        await rig.renew(id_, rig.sink.browser("anew"))
        return 410

    rig.sink.scripts["anew"] = deque([renew_and_say_gone])
    before = counted("gone")
    await rig.raises("anew")
    await happens("gone", before)
    assert await rig.subscription(id_) is not None
    await rig.raises("anew")
    await got(rig, "anew")


# --- where it may go, and who delays whom -------------------------------------------------------


class Inside(AbstractResolver):
    """Says that every name is an address inside."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 2) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=family, proto=6, flags=0
            )
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
async def test_a_name_that_resolves_inside_is_never_called(
    nats_process: NatsProcess, tmp_path: Path, address: str
) -> None:
    resolver = Inside(address)
    async with push_stage(nats_process.url, tmp_path) as rig, running(rig, resolver):
        await rig.hire("ann")
        keys = rig.sink.browser("never")
        url = "https://fcm.googleapis.com/fcm/send/x"
        allowed = Endpoint(url=url, p256dh=keys.p256dh, auth=keys.auth)
        id_ = await rig.subscribe("ann", "never", allowed)
        before = counted("forbidden_target")
        await rig.raises("ann")
        await happens("forbidden_target", before)
        assert resolver.asked == ["fcm.googleapis.com"]
        assert rig.sink.asked == []
        assert await rig.subscription(id_) is not None


async def test_a_host_that_is_not_allowed_any_more_is_not_called(rig: PushRig) -> None:
    await rig.hire("stray")
    keys = rig.sink.browser("stray")
    url = "https://push.elsewhere.example/x"
    elsewhere = Endpoint(url=url, p256dh=keys.p256dh, auth=keys.auth)
    id_ = await rig.subscribe("stray", "stray", elsewhere)
    before = counted("forbidden")
    await rig.raises("stray")
    await happens("forbidden", before)
    assert await rig.subscription(id_) is not None


async def test_a_push_service_that_is_silent_delays_no_other(
    nats_process: NatsProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_worker, "CALL_S", 6.0)
    async with (
        Sink().serving() as dead,
        Sink().serving() as well,
        push_stage(nats_process.url, tmp_path, push_hosts=f"{dead.origin},{well.origin}") as rig,
        running(rig),
    ):
        for agent, sink in (("sad", dead), ("glad", well)):
            await rig.hire(agent)
            await rig.subscribe(agent, agent, sink.browser(agent))
        dead.scripts["sad"] = deque([SILENCE] * 1000)
        for _ in range(300):  # more than are in hand at once
            await rig.publish(rig.alert("sad", session="", id=f"sad:{uuid.uuid4().hex}"))
        for _ in range(10):
            await rig.raises("glad")

        async def all_there() -> bool:
            return len(well.of("glad")) == 10

        await until(all_there, "all pushes of the other service")
        assert len(dead.asked) <= AT_ONCE, "while the first calls of the silent one were waited for"

        async def left_alone() -> bool:
            return any(s.value == 1 for m in metrics.PUSH_RESTING.collect() for s in m.samples)

        await until(left_alone, "the silent service being left alone")
        await asyncio.sleep(1.5)
        assert len(dead.asked) <= AT_ONCE + FAILURES, "a service that rests was called"


@pytest.fixture
def quick_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second stands for about four minutes."""
    quick = {
        "CALL_S": 0.03,
        "FIRST_REST_S": 0.06,
        "LONGEST_REST_S": 0.24,
        "SPREAD_S": 0.06,
        "PUT_OFF_S": 0.01,
        "LONGEST_PUT_OFF_S": 0.12,
    }
    for name, value in quick.items():
        monkeypatch.setattr(push_hosts, name, value)
    monkeypatch.setattr(push_worker, "pause_s", lambda *_: 0.01)


@pytest.mark.usefixtures("quick_rests")
async def test_what_waits_for_a_push_service_that_is_down_costs_next_to_nothing(
    nats_process: NatsProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = 15
    caplog.set_level(logging.INFO)
    async with push_stage(nats_process.url, tmp_path) as rig, running(rig):
        await rig.hire("ann")
        await rig.subscribe("ann", "ann")
        rig.sink.down = True
        before, began = counted("put_off") + counted("again"), time.monotonic()
        for _ in range(waiting):
            await rig.raises("ann")
        await asyncio.sleep(0.8)
        tries = counted("put_off") + counted("again") - before
        down_s = time.monotonic() - began
        rests = 3 + down_s / push_hosts.LONGEST_REST_S  # the first are shorter
        assert tries <= waiting * (rests + 1), "what waits comes back about once in a rest"
        assert len(rig.sink.asked) <= AT_ONCE + FAILURES, "a trial in a rest"
        rig.sink.down = False
        began = time.monotonic()
        await got(rig, "ann", count=waiting)
        rest = push_hosts.LONGEST_REST_S + push_hosts.CALL_S + push_hosts.SPREAD_S
        assert time.monotonic() - began < rest + push_hosts.LONGEST_PUT_OFF_S + 0.3
    said = Counter(record.message for record in caplog.records)
    assert (said["push.service_rests"], said["push.service_back"]) == (1, 1)
    assert said["bus.retry"] < FAILURES, "the failures that led to the rest"


async def test_failures_that_were_under_way_as_a_rest_began_do_not_prolong_it() -> None:
    hosts = push_hosts.Hosts(lambda: 100.0)
    async with AsyncExitStack() as places:
        held = [await places.enter_async_context(hosts.place("h")) for _ in range(AT_ONCE)]
        said = [hosts.failed(host, "timeout") for host in held]
    assert said[: FAILURES - 1] == [0.0] * (FAILURES - 1)
    assert said[FAILURES - 1] == push_hosts.FIRST_REST_S, "it tries again as the rest ends"
    rest = push_hosts.FIRST_REST_S + push_hosts.CALL_S
    assert all(rest <= after <= rest + push_hosts.SPREAD_S for after in said[FAILURES:])
    with pytest.raises(push_hosts.PutOffError) as put_off:
        await places.enter_async_context(hosts.place("h"))
    assert rest <= put_off.value.after_s <= rest + push_hosts.SPREAD_S


async def test_a_trial_that_proved_nothing_leaves_room_for_another() -> None:
    clock = [100.0]
    hosts = push_hosts.Hosts(lambda: clock[0])
    for _ in range(FAILURES):
        async with hosts.place("h") as host:
            hosts.failed(host, "timeout")
    clock[0] += push_hosts.FIRST_REST_S
    for _ in range(2):
        async with hosts.place("h"):
            with pytest.raises(push_hosts.PutOffError):
                await hosts.place("h").__aenter__()


# Which delivery it was, not before when there is a place, how long the alert is worth telling; and
# the shortest and longest pause, or None: it is given up.
PUT_OFF: dict[str, tuple[int, float, float, tuple[float, float] | None]] = {
    "crowded once": (1, 0.0, 900.0, (2.0, 3.0)),
    "crowded for the third time": (3, 0.0, 900.0, (8.0, 12.0)),
    "crowded for long": (9, 0.0, 900.0, (30.0, 45.0)),
    "tries without number": (100_000, 0.0, 900.0, (30.0, 45.0)),
    "a rest": (1, 60.0, 900.0, (60.0, 60.0)),
    "the end of a rest, after many tries": (9, 6.0, 900.0, (30.0, 45.0)),
    "a rest that ends too late: a last time before": (1, 60.0, 30.0, (25.0, 25.0)),
    "too old by then": (1, 60.0, 6.0, None),
}


@pytest.mark.parametrize(("attempt", "after_s", "left_s", "pause"), PUT_OFF.values(), ids=PUT_OFF)
async def test_when_what_was_put_off_comes_back(
    attempt: int, after_s: float, left_s: float, pause: tuple[float, float] | None
) -> None:
    said = [push_hosts.put_off_s(attempt, after_s, left_s) for _ in range(50)]
    if pause is None:
        assert set(said) == {None}
    else:
        assert all(one is not None and pause[0] <= one <= pause[1] for one in said)


async def test_two_replicas_push_each_alert_once(nats_process: NatsProcess, tmp_path: Path) -> None:
    async with push_stage(nats_process.url, tmp_path) as rig, running(rig), running(rig):
        await rig.hire("ann")
        for name in ("a", "b"):
            await rig.subscribe("ann", name)
        alerts = [await rig.raises("ann") for _ in range(60)]
        for alert in alerts[:20]:
            await rig.publish(alert)  # as the engine does after a crash
        for name in ("a", "b"):
            await got(rig, name, count=60)
        await asyncio.sleep(0.3)
        for name in ("a", "b"):
            shown = [pushed.shown["id"] for pushed in rig.sink.of(name)]
            assert sorted(shown) == sorted(alert.id for alert in alerts)


async def test_a_notifier_pushes_beside_all_else_that_it_does(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with push_stage(nats_process.url, tmp_path) as rig:
        stop = asyncio.Event()
        notifier = asyncio.create_task(serve(rig.settings, stop))
        await rig.hire("ann")
        await rig.subscribe("ann", "a")
        await rig.raises("ann")
        await got(rig, "a")
        stop.set()
        await asyncio.wait_for(notifier, 12)
