"""Two notifiers tell an endpoint, and one is killed: nothing is left out (D20)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from libs.common.config import NotifierSettings
from tests.nats_server import NatsProcess
from tests.notifier.hooks_rig import Hooks, Play, delivery_of, is_signed, staged
from tests.notifier.rig import Rig, spawned, until


def rig_of(hooks: Hooks, nats_url: str, store_url: str) -> Rig:
    """Return what starts a notifier process that tells the endpoints of *hooks*."""
    settings = NotifierSettings(
        nats_url=nats_url, store_url=store_url, secret_key=hooks.key, local_webhooks=True
    )
    stub: Any = None
    return Rig(settings, hooks.bus, hooks.store, stub)


async def test_d20_a_kill_in_the_middle_loses_nothing_and_repeats_by_id(
    nats_process: NatsProcess, ready_url: str, tmp_path: Path
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        rig = rig_of(hooks, nats_process.url, ready_url)
        await hooks.session()
        await hooks.endpoint("one")
        hooks.receiver.plan("one", Play(hang=True))
        async with spawned(rig, tmp_path, "first") as first, spawned(rig, tmp_path, "second"):
            facts = await hooks.happens(20)

            async def under_way() -> bool:
                return hooks.receiver.peak["one"] > 0

            await until(under_way, "it is being called")
            await first.kill()
            hooks.receiver.plan("one", Play())
            hooks.receiver.let_go()

            async def taken() -> bool:
                return (await hooks.states("one"))["delivered"] == 20

            await until(taken, "all are delivered", within_s=40)
        assert hooks.receiver.ids("one") == {delivery_of("hook_one", fact) for fact in facts}
        assert all(is_signed(hooks.secrets["one"], call) for call in hooks.receiver.calls["one"])
        assert len(await hooks.log("one")) == 20, "two notifiers made one delivery each"


async def test_d20_what_is_counted_adds_up_and_no_secret_is_logged(
    nats_process: NatsProcess, ready_url: str, tmp_path: Path
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        rig = rig_of(hooks, nats_process.url, ready_url)
        session = await hooks.session()
        said = await hooks.message(session, text="visitor-sentinel")
        await hooks.endpoint("one")
        await hooks.endpoint("gone")
        hooks.receiver.plan("gone", Play(status=410, body=b"answer-sentinel"))
        async with spawned(rig, tmp_path, "one") as one:
            await hooks.tell(hooks.fact("message.stored", message=said.id))

            async def over() -> bool:
                found = await hooks.states("one") + await hooks.states("gone")
                return found == {"delivered": 1, "failed": 1}

            await until(over, "both have ended", within_s=20)

            async def counted() -> str | None:
                text = await one.metrics()
                return text if 'deliveries_total{outcome="failed"}' in text else None

            metrics = await until(counted, "it is counted")

            async def logged() -> str | None:
                text = one.log.read_text()
                return text if '"event":"hook.disabled"' in text else None

            log = await until(logged, "it is logged")
        for outcome, count in (("created", 2.0), ("delivered", 1.0), ("failed", 1.0)):
            line = f'relaydesk_hooks_deliveries_total{{outcome="{outcome}"}} {count}'
            assert line in metrics, outcome
        assert log.count('"event":"hook.disabled"') == 1
        hidden = ("visitor-sentinel", "answer-sentinel", *hooks.secrets.values())
        assert not [word for word in hidden if word in log or word in metrics]
        assert msgspec.json.decode((await hooks.log("one"))[0].body)["type"] == "message.received"
