"""From what somebody or something does, over the fact, to what an agent is shown or pushed."""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from libs.common.config import NotifierSettings
from libs.common.directory import watched
from libs.common.finished import told
from libs.common.health import Seen
from libs.common.http import open_door
from libs.common.pushes import SUBSCRIPTIONS, subscription_id
from libs.common.subjects import EVENTS
from services.desk.app import mending
from services.notifier.alerting import alerting
from services.notifier.attention_metrics import PUBLISHED, SETTLED
from services.notifier.pushing import pushing
from services.notifier.unhealthy import Turn, Unhealthy, telling
from tests.desk.listening import listening
from tests.desk.world import World, open_world
from tests.nats_server import NatsProcess
from tests.notifier.push_rig import Sink
from tests.notifier.rig import until


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink().serving() as made:
        yield made


@pytest.fixture
async def town(nats_process: NatsProcess, ready_url: str, sink: Sink) -> AsyncIterator[World]:
    """A world whose notifier decides alerts and pushes them."""
    async with (
        open_world(nats_process.url, ready_url, push_hosts=sink.origin) as world,
        notifying(world, nats_process.url, sink),
    ):
        yield world


@asynccontextmanager
async def notifying(world: World, nats_url: str, sink: Sink) -> AsyncIterator[None]:
    settings = NotifierSettings(
        nats_url=nats_url,
        store_url="sqlite:///unused",
        secret_key=world.desk.settings.secret_key,
        push_hosts=sink.origin,
    )
    stop = asyncio.Event()
    async with (
        mending(world.store, world.bus, every_s=0.1),
        open_door() as door,
        watched(world.bus, world.desk.sealer) as directory,
        alerting(world.bus, world.store, directory, now, stop),
        pushing(
            settings,
            (world.bus, world.store, world.desk.sealer, door),
            lambda _workspace: "UTC",
            stop,
        ),
    ):
        try:

            async def known() -> bool:
                return bool(directory.policy(world.workspace).members)

            await until(known, "the workspace's people being known")
            yield
        finally:
            stop.set()


COUNTS = {"created": 120, "updated": 7, "failed": 2}


@pytest.mark.parametrize("ok", [True, False], ids=["done", "given up"])
async def test_b38_who_imports_is_told_when_it_is_over_with_its_counts(
    town: World, ok: bool
) -> None:
    async with listening(town, "amy") as amy, listening(town, "bob") as bob:
        for _ in range(2):  # the second as after a crash
            await told(
                town.bus, town.workspace, "imp_1", agent="agt-amy", counts=COUNTS, ok=ok, now=now()
            )
        alert = await amy.alert()
        assert (alert["trigger"], alert["counts"]) == ("import.finished", COUNTS)
        facts = await town.bus.read(EVENTS, f"ev.{town.workspace}.import.finished.imp_1")
        assert len(facts) == 1
        for page in (amy, bob):
            with pytest.raises(TimeoutError):
                await page.alert(within_s=0.5)


async def test_who_answers_for_accounts_is_told_of_one_that_turned_bad(town: World) -> None:
    slug = town.slug("line")
    turn = Turn(
        workspace=town.workspace,
        account=slug,
        state="revoked",
        code="credential",
        at=now(),
        before=Seen(at=now()),
    )
    async with listening(town, "lena") as lena, listening(town, "amy") as amy:
        replicas = [Unhealthy(town.bus, f"notifier.{n}") for n in range(2)]
        async with telling(replicas[0]), telling(replicas[1]):
            for replica in replicas:
                replica.turned(turn)
            alert = await lena.alert()
        assert (alert["trigger"], alert["account"]) == ("account.unhealthy", slug)
        for page in (lena, amy):
            with pytest.raises(TimeoutError):
                await page.alert(within_s=0.5)


def added_up(sink: str) -> float:
    """Return what was published to be told, without what the sink settled."""
    settled = [
        sample.value
        for metric in SETTLED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["sink"] == sink
    ]
    return float(PUBLISHED.labels(sink, "raised")._value.get()) - sum(settled)


async def test_who_is_mentioned_and_not_there_gets_a_push_in_the_browser_that_subscribed(
    town: World, sink: Sink
) -> None:
    browser = sink.browser("amys")
    body = {
        "endpoint": browser.url,
        "expirationTime": None,
        "keys": {"p256dh": browser.p256dh, "auth": browser.auth},
    }
    assert (await town.call("POST", "/push-subscriptions", "amy", body=body)).status == 201
    session = await town.writes("hello", channel="web")
    before = added_up("push")
    noted = await town.call(
        "POST",
        f"/sessions/{session.id}/notes",
        "bob",
        body={"text": "the secret number is 42", "mentions": ["agt-amy"]},
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )
    assert noted.status == 201, noted.body

    async def pushed() -> bool:
        return bool(sink.of("amys"))

    await until(pushed, "the push", within_s=30)
    [got] = sink.of("amys")
    assert got.shown["title"] == "You were mentioned in a note"
    assert session.id in got.shown["url"]
    assert added_up("push") == before
    assert "42" not in str(got.shown)
    assert "hello" not in str(got.shown)


async def test_d09_who_looks_again_at_what_they_had_read_has_seen_the_alert(town: World) -> None:
    session = await town.writes("hello")
    path = f"/sessions/{session.id}"
    async with listening(town, "amy") as amy, listening(town, "bob") as bob:
        assert (await town.call("PUT", f"{path}/read", "amy")).status == 200
        body = {"text": "look", "mentions": ["agt-amy", "agt-bob"]}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        noted = await town.call("POST", f"{path}/notes", "lena", body=body, headers=key)
        assert noted.status == 201
        for page in (amy, bob):
            alert = await page.alert()
            assert (alert["kind"], alert["trigger"]) == ("raised", "mention")
        for _ in range(2):
            assert (await town.call("PUT", f"{path}/read", "amy")).status == 200
        gone = await amy.alert()
        assert (gone["kind"], gone["because"], gone["id"]) == (
            "cleared",
            "seen",
            f"{session.id}:1:agt-amy",
        )
        with pytest.raises(TimeoutError):
            await bob.alert(within_s=0.3)


async def test_a_browser_that_is_gone_leaves_the_list_of_its_agent(town: World, sink: Sink) -> None:
    gone = sink.browser("gone")
    auth = base64.urlsafe_b64encode(os.urandom(16)).decode()
    body = {"endpoint": gone.url, "keys": {"p256dh": gone.p256dh, "auth": auth}}
    assert (await town.call("POST", "/push-subscriptions", "amy", body=body)).status == 201
    sink.scripts["gone"] = deque([410])
    await told(town.bus, town.workspace, "imp_2", agent="agt-amy", counts={}, ok=True, now=now())
    stored = subscription_id(gone.url)

    async def removed() -> bool:
        return await town.store.get(SUBSCRIPTIONS, town.workspace, stored) is None

    await until(removed, "the subscription gone")
    assert (await town.get("/push-subscriptions", "amy"))["items"] == []
