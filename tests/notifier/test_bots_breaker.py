"""When a bot rests, and how many calls of it are under way."""

from __future__ import annotations

import asyncio

import pytest

from libs.common.bots.orders import Turn
from libs.common.bots.webhook import BotCase, BotContact, BotLine, call_id
from libs.common.documents import Bot
from libs.common.targets import ForbiddenTargetError
from services.notifier.bots_breaker import (
    FAILURES,
    FIRST_REST_S,
    LONGEST_REST_S,
    Breaker,
    Breakers,
    Places,
)
from services.notifier.bots_call import local_base
from tests.router.rig import T0


def bot(name: str = "b1", rev: int = 1) -> Bot:
    return Bot(id=name, workspace="acme", name="Robo", kind="webhook", rev=rev)


def failed(times: int, at: float = 0.0) -> Breaker:
    breaker = Breaker(1)
    for _ in range(times):
        assert breaker.admits(at)
        breaker.failed(at)
    return breaker


def test_one_failure_less_than_the_limit_leaves_it_closed() -> None:
    breaker = failed(FAILURES - 1)
    assert breaker.state(0) == "closed"
    breaker.succeeded()
    assert failed(FAILURES - 1).admits(0)


def test_a_success_between_failures_begins_the_count_anew() -> None:
    breaker = failed(FAILURES - 1)
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed(0)
    assert breaker.state(0) == "closed"


def test_it_opens_rests_and_lets_one_call_through() -> None:
    breaker = failed(FAILURES)
    assert [breaker.admits(at) for at in (0.0, FIRST_REST_S - 0.1)] == [False, False]
    assert breaker.state(FIRST_REST_S) == "half_open"
    assert [breaker.admits(FIRST_REST_S) for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.admits(FIRST_REST_S) for _ in range(3)] == [True, True, True]


def test_a_failed_probe_doubles_the_rest_up_to_the_longest() -> None:
    breaker, at, rests = failed(FAILURES), 0.0, []
    for _ in range(7):
        begun = at
        while not breaker.admits(at):
            at += 1.0
        rests.append(at - begun)
        breaker.failed(at)
    assert rests == [10, 20, 40, 80, 160, 300, 300]


def test_a_call_that_proved_nothing_leaves_room_for_the_next_probe() -> None:
    breaker = failed(FAILURES)
    assert breaker.admits(FIRST_REST_S)
    breaker.spared()
    assert breaker.admits(FIRST_REST_S)


def test_a_bot_that_wants_no_more_calls_rests_longest_at_once() -> None:
    breaker = Breaker(1)
    breaker.failed(0, for_good=True)
    assert not breaker.admits(LONGEST_REST_S - 1)
    assert breaker.admits(LONGEST_REST_S)


def test_a_changed_bot_begins_anew_and_others_never_rested() -> None:
    breakers = Breakers(lambda: 0.0)
    for _ in range(FAILURES):
        breakers.of(bot()).failed(0)
    assert breakers.of(bot()).state(0) == "open"
    assert breakers.of(bot("b2")).state(0) == "closed"
    assert (breakers.count("open"), breakers.count("closed")) == (1, 1)
    assert breakers.of(bot(rev=2)).state(0) == "closed"
    assert breakers.count("open") == 0


async def test_a_bot_that_holds_all_its_places_takes_none_of_another() -> None:
    places, order = Places(at_once=3, per_bot=2), []
    release = asyncio.Event()

    async def call(name: str) -> None:
        async with places.place(bot(name)):
            order.append(name)
            await release.wait()

    tasks = [asyncio.create_task(call(name)) for name in ("a", "a", "a", "b", "b")]
    await asyncio.sleep(0.01)
    assert (sorted(order), places.taken) == (["a", "a", "b"], 3)
    release.set()
    await asyncio.gather(*tasks)
    assert (sorted(order), places.taken) == (["a", "a", "a", "b", "b"], 0)
    assert places._bots == {}, "what nobody uses is forgotten"


LOCAL = {
    "a numbered local address": ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000"),
    "the name of this machine": ("http://localhost:9000/x", "http://localhost:9000"),
    "a private address": ("http://10.0.0.1/x", None),
    "the cloud's own": ("http://169.254.169.254/latest", None),
    "a public name over http": ("http://bot.example/x", None),
    "a name that ends so": ("http://localhost.example/x", None),
}


@pytest.mark.parametrize(("url", "origin"), LOCAL.values(), ids=LOCAL)
def test_only_this_machine_is_an_exception_to_the_doors_rules(url: str, origin: str | None) -> None:
    base = local_base(url)
    assert (base.origin if base else None) == origin


def test_no_address_at_all_is_forbidden() -> None:
    with pytest.raises(ForbiddenTargetError):
        local_base("ftp://127.0.0.1/")


def test_a_turn_has_the_id_of_the_call_that_asked_for_it() -> None:
    case = BotCase(
        workspace="acme",
        session="s1",
        epoch=3,
        channel="line",
        account="a",
        message=BotLine(id="m1", at=T0, sender="visitor", parts=()),
        contact=BotContact(id="c1"),
        reply_url="",
        deadline=T0,
    )
    turn = Turn(bot=bot(), session="s1", epoch=3, message="m1")
    assert turn.call == call_id(bot(), case)
