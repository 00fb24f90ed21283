"""Publishing: what a confirmation promises, and how fast a failure is told."""

from __future__ import annotations

import asyncio
import time

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.errors import BusUnavailableError, GatewayError, PermanentError
from libs.common.subjects import DEAD, Stream
from tests.bus.kit import Cable, eventually, reconnecting, subject
from tests.nats_server import NatsProcess


async def test_a_message_is_stored_with_its_headers(bus: Bus, stream: Stream) -> None:
    ack = await bus.publish(subject(stream, 1), b"hi", msg_id="a", headers={"Traceparent": "00"})
    stored = await bus.read(stream, subject(stream, 1))
    assert (ack.sequence, ack.duplicate) == (1, False)
    assert stored[0].data == b"hi"
    assert stored[0].headers == {"Traceparent": "00", "Nats-Msg-Id": "a"}
    assert abs(stored[0].stored_at_ns / 1e9 - time.time()) < 60


async def test_the_same_id_again_is_a_duplicate(bus: Bus, stream: Stream) -> None:
    first = await bus.publish(subject(stream, 1), b"hi", msg_id="a")
    again = await bus.publish(subject(stream, 1), b"hi", msg_id="a")
    assert again == type(again)(first.sequence, duplicate=True)
    assert len(await bus.read(stream, subject(stream, 1))) == 1


async def test_many_at_once_are_confirmed_each_with_its_own_sequence(
    bus: Bus, stream: Stream
) -> None:
    futures = [bus.publish_soon(subject(stream, 1), b"x", msg_id=str(n)) for n in range(500)]
    acks = await asyncio.gather(*futures)
    assert [ack.sequence for ack in acks] == list(range(1, 501))


REFUSED: dict[str, tuple[str, int, type[GatewayError], str]] = {
    "no stream takes the subject": ("nobody.listens", 1, BusUnavailableError, "no stream"),
    "above the server's limit": ("{}.1.k", 9_000_000, PermanentError, "9000"),
    "a subject with a space": ("{}.1 k", 1, PermanentError, "not a subject"),
}


@pytest.mark.parametrize(("where", "size", "error", "words"), REFUSED.values(), ids=REFUSED)
async def test_refused_at_once(
    bus: Bus, stream: Stream, where: str, size: int, error: type[GatewayError], words: str
) -> None:
    with pytest.raises(error, match=words):  # not the words of a time-out
        await bus.publish(where.format(stream.subjects[0].split(".")[0]), b"x" * size, msg_id="a")


async def test_a_header_value_cannot_break_out_of_its_line(bus: Bus, stream: Stream) -> None:
    await bus.publish(subject(stream, 1), b"x", msg_id="a\r\nNats-Rollup: all", headers={})
    stored = await bus.read(stream, subject(stream, 1))
    assert set(stored[0].headers) == {"Nats-Msg-Id"}


async def test_a_lost_confirmation_and_its_repeat_store_one_message(
    nats_url: str, stream: Stream
) -> None:
    async with (
        Cable(nats_url) as cable,
        open_bus(cable.url, name="t", declared=(stream, DEAD)) as bus,
    ):
        cable.mute = True
        with pytest.raises(BusUnavailableError):
            await bus.publish(subject(stream, 1), b"x", msg_id="a")
        assert cable.lost > 0
        cable.mute = False
        async with reconnecting(bus):
            cable.cut()
        again = await bus.publish(subject(stream, 1), b"x", msg_id="a")
        assert again.duplicate
        assert len(await bus.read(stream, subject(stream, 1))) == 1


async def test_a_cut_connection_fails_what_waits_and_then_at_once(
    nats_url: str, stream: Stream
) -> None:
    async with (
        Cable(nats_url) as cable,
        open_bus(cable.url, name="t", declared=(stream, DEAD)) as bus,
    ):
        cable.mute, cable.up = True, False
        waiting = bus.publish_soon(subject(stream, 1), b"x", msg_id="a")
        await asyncio.sleep(0.05)
        cable.cut()
        with pytest.raises(BusUnavailableError, match="lost"):
            await waiting
        with pytest.raises(BusUnavailableError, match="not connected"):
            await bus.publish(subject(stream, 1), b"x", msg_id="b")
        cable.mute, cable.up = False, True
        await eventually(lambda: bus.connected)
        assert (await bus.publish(subject(stream, 1), b"x", msg_id="b")).sequence


async def test_a_dead_server_is_told_in_time(nats_process: NatsProcess, stream: Stream) -> None:
    async with open_bus(nats_process.url, name="t", declared=(stream, DEAD)) as bus:
        await bus.publish(subject(stream, 1), b"x", msg_id="a")
        nats_process.kill()
        started = time.monotonic()
        with pytest.raises(BusUnavailableError):
            await bus.publish(subject(stream, 1), b"x", msg_id="b")
        assert time.monotonic() - started < 10
        nats_process.start()
        await eventually(lambda: bus.connected)
        assert (await bus.publish(subject(stream, 1), b"x", msg_id="a")).duplicate


async def test_a_paused_server_costs_the_time_out_and_then_heals(
    nats_process: NatsProcess, stream: Stream
) -> None:
    async with open_bus(
        nats_process.url, name="t", declared=(stream, DEAD), publish_timeout_s=0.3
    ) as bus:
        nats_process.pause()
        started = time.monotonic()
        with pytest.raises(BusUnavailableError, match="not confirmed"):
            await bus.publish(subject(stream, 1), b"x", msg_id="a")
        assert 0.25 < time.monotonic() - started < 10
        nats_process.resume()
        again = await bus.publish(subject(stream, 1), b"x", msg_id="a")
        stored = await bus.read(stream, subject(stream, 1))
        assert again.duplicate
        assert len(stored) == 1


async def test_an_answer_that_comes_after_its_waiter_left_breaks_nothing(
    nats_process: NatsProcess, stream: Stream
) -> None:
    """A late PONG ended the reading of nats-py 2.16: no more messages, and no error either."""
    async with open_bus(nats_process.url, name="t", declared=(stream, DEAD)) as bus:
        nats_process.pause()
        await bus.connection.settle(0.2)
        nats_process.resume()
        await bus.publish(subject(stream, 1), b"x", msg_id="a")
        await bus.publish(subject(stream, 1), b"x", msg_id="b")
        assert bus.connection.stats["reconnects"] == 0


@pytest.mark.chaos
async def test_a_server_paused_for_long_is_given_up_and_found_again(
    nats_process: NatsProcess, stream: Stream
) -> None:
    async with open_bus(
        nats_process.url, name="t", declared=(stream, DEAD), publish_timeout_s=0.3
    ) as bus:
        nats_process.pause()
        await eventually(lambda: not bus.connected)
        nats_process.resume()
        await eventually(lambda: bus.connected)
        assert (await bus.publish(subject(stream, 1), b"x", msg_id="a")).sequence


async def test_what_was_confirmed_survives_a_kill_of_the_server(
    nats_process: NatsProcess, stream: Stream
) -> None:
    confirmed: set[str] = set()

    async def publish_all(bus: Bus) -> None:
        for number in range(3000):
            try:
                await bus.publish(subject(stream, 1, str(number)), b"x", msg_id=str(number))
            except BusUnavailableError:
                return
            confirmed.add(subject(stream, 1, str(number)))

    async with open_bus(nats_process.url, name="t", declared=(stream, DEAD)) as bus:
        publishing = asyncio.create_task(publish_all(bus))
        await eventually(lambda: len(confirmed) > 200)
        nats_process.kill()
        await publishing
        nats_process.start()
        await eventually(lambda: bus.connected)
        await bus.connection.settle(5)  # what hears of the new connection gives readers up
        stored = await bus.read(stream, subject(stream, 1, "*"), limit=5000)
        assert confirmed <= {message.subject for message in stored}
