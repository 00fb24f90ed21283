"""What customers' systems are told, signed, once, and in the log (D20)."""

from __future__ import annotations

from tests.notifier.hooks_rig import delivery_of, is_signed, staged
from tests.notifier.rig import until
from tests.nats_server import NatsProcess


async def test_d20_what_happens_is_told_signed_and_logged(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        await hooks.endpoint("one")
        async with hooks.running():
            [fact] = await hooks.happens()
            await until(lambda: done(hooks, "one", 1), "it is delivered")
        [call] = hooks.receiver.calls["one"]
        assert call.id == delivery_of("whe_one", fact)
        assert is_signed(hooks.secrets["one"], call)
        assert call.event["type"] == "session.moved"
        [logged] = await hooks.log("one")
        assert (logged.body, logged.tries) == (call.raw.decode(), 1)
        assert logged.attempts[0].status == 200


async def done(hooks, name: str, count: int) -> bool:
    return (await hooks.states(name))["delivered"] == count
