"""A notifier that dies in the middle of a bot's call, and where bots may not be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.common.bots.secrets import fresh_secret, seal_secret
from libs.common.bots.webhook import BotCase, BotContact, BotLine
from libs.common.documents import Bot, Settings
from libs.common.http import open_door
from libs.common.seal import Sealer, new_key_setting
from services.notifier.bots_call import BotFailedError, Caller, Reach
from tests.bot_stub import BotStub, Play
from tests.nats_server import NatsProcess
from tests.notifier.bot_rig import DEADLINE_S, Town, open_town
from tests.notifier.rig import Process, Rig, spawned, until


def rig_of(town: Town) -> Rig:
    """Return what starts a notifier process for the town."""
    return Rig(town.settings, town.bus, town.store, town.provider)


async def test_d19_a_kill_in_the_middle_of_a_call_loses_nothing(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_town(nats_process.url, tmp_path, notifies=False) as town:
        office = await town.found(settings=Settings(bot_deadline_s=25))
        town.bots.plan(office.name, Play(delay_s=0.6, body={"messages": [{"text": "I am back"}]}))
        async with spawned(rig_of(town), tmp_path, "first") as first:
            await office.writes("hello")
            await office.called(within_s=30)
            await first.kill()
        async with spawned(rig_of(town), tmp_path, "second"):
            assert await office.told(1) == ["I am back"]
        assert len({call.id for call in office.calls}) == 1, "the bot knows the repeat by its id"
        session = await office.session()
        assert (session.list, session.bot_asked) == ("bot_hosted", "")


async def test_d19_a_kill_without_a_successor_asks_a_human_at_the_deadline(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_town(nats_process.url, tmp_path, notifies=False) as town:
        office = await town.found(settings=Settings(bot_deadline_s=4))
        town.bots.plan(office.name, Play(hang=True))
        async with spawned(rig_of(town), tmp_path, "only") as only:
            await office.writes("hello")
            await office.called(within_s=30)
            await only.kill()
        session = await office.handed_off()
        assert session.updated_at - session.created_at <= timedelta(seconds=4 + 1.5)
        assert await office.handoff() == "bot_silent"


async def test_i17_a_stop_between_two_tries_leaves_the_rest_to_the_next_process(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_town(nats_process.url, tmp_path, notifies=False) as town:
        office = await town.found(settings=Settings(bot_deadline_s=60))
        town.bots.plan(office.name, Play(status=503), Play(body={"messages": [{"text": "here"}]}))
        async with spawned(rig_of(town), tmp_path, "first") as first:
            await office.writes("hello")
            await office.called(within_s=30)
            code, seconds = await first.terminate()
            assert (code, seconds < 10) == (0, True)
        async with spawned(rig_of(town), tmp_path, "second"):
            assert await office.told(1) == ["here"]


async def counted(one: Process) -> str | None:
    """Return the metrics once the turn is over: it ends when the router has answered."""
    metrics = await one.metrics()
    return metrics if 'relaydesk_bot_turns_total{outcome="handed_off"} 1.0' in metrics else None


async def test_neither_the_secret_nor_what_was_said_is_logged(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_town(nats_process.url, tmp_path, notifies=False) as town:
        office = await town.found()
        town.bots.plan(office.name, Play(body={"messages": [{"text": 1, "x": "answer-sentinel"}]}))
        async with spawned(rig_of(town), tmp_path, "one") as one:
            await office.writes("visitor-sentinel")
            await office.handed_off(within_s=30)
            metrics = await until(lambda: counted(one), "the turn is counted")
            await one.terminate()
        log = one.log.read_text()
    assert log.count('"event":"bot.handed_off"') == 1
    assert 'relaydesk_bot_calls_total{outcome="malformed_payload"} 1.0' in metrics
    assert 'relaydesk_bot_breakers{state="closed"} 1.0' in metrics
    for sentinel in ("visitor-sentinel", "answer-sentinel", town.bots.secrets[office.name]):
        assert sentinel not in log
        assert sentinel not in metrics


# --- where bots may not be ---------------------------------------------------------------------

FORBIDDEN = {
    "this machine": ("{stub}/bot", False),
    "this machine by name": ("http://localhost:{port}/bot", False),
    "this machine over https": ("https://127.0.0.1:{port}/bot", False),
    "this machine, oddly spelled": ("https://2130706433:{port}/bot", False),
    "this machine in IPv6": ("https://[::1]:{port}/bot", False),
    "a private address": ("https://10.0.0.1/bot", False),
    "the cloud's own address": ("https://169.254.169.254/latest", False),
    "plain http": ("http://bot.example/hook", False),
    "a private address, where this machine is allowed": ("http://10.0.0.1/bot", True),
    "plain http to others, where this machine is allowed": ("http://bot.example/hook", True),
}


@pytest.mark.parametrize(("url", "local"), FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_bot_inside_is_never_called_and_the_reason_is_clear(url: str, local: bool) -> None:
    async with BotStub().running() as stub, open_door() as door:
        target = url.format(stub=stub.base, port=stub.base.rpartition(":")[2])
        with pytest.raises(BotFailedError) as failed:
            await called(door, target, local=local)
        assert failed.value.detail == "forbidden_target: target is not allowed"
        assert stub.calls == {}


async def test_a_bot_on_this_machine_is_called_where_it_may_be() -> None:
    async with BotStub().running() as stub, open_door() as door:
        await called(door, stub.url("bot"), local=True)
        assert len(stub.calls["bot"]) == 1


async def called(door: object, url: str, *, local: bool) -> None:
    """Call a bot at *url* once."""
    sealer = Sealer.from_setting(new_key_setting())
    now = datetime.now(UTC)
    reach = Reach(
        door=door,  # type: ignore[arg-type]  # as `open_door` yields it
        sealer=sealer,
        timeout_s=2,
        local=local,
        stop=asyncio.Event(),
        now=lambda: datetime.now(UTC),
    )
    bot = Bot(
        id="b1",
        workspace="acme",
        name="Robo",
        kind="webhook",
        url=url,
        sealed=seal_secret(sealer, "acme", "b1", fresh_secret()),
    )
    case = BotCase(
        workspace="acme",
        session="s1",
        epoch=1,
        channel="line",
        account="a",
        message=BotLine(id="m1", at=now, sender="visitor", parts=()),
        contact=BotContact(id="c1"),
        reply_url="",
        deadline=now + timedelta(seconds=DEADLINE_S),
    )

    async def awaited() -> bool:
        return True

    await Caller(reach).call(bot, case, awaited)
