"""What customers' systems are told, signed, once each, and in the log (D20)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common import subjects
from libs.common.alerts import Alert
from libs.common.bots.secrets import fresh_secret
from libs.common.documents import AUDIT
from libs.common.errors import BusUnavailableError
from libs.common.events import Fact, MediaPart, TextPart
from libs.common.store.api import Page
from libs.common.subjects import EVENTS
from libs.common.webhook_events import body_of, fitted, message_data
from libs.common.webhook_queue import arm_parked, changed
from libs.common.webhooks import (
    DELIVERIES,
    ENDPOINTS,
    MOST_ANSWER,
    MOST_BODY,
    WebhookSecret,
    sealed_for,
)
from services.notifier.attention_metrics import SETTLED
from services.notifier.hooks_endpoints import Endpoints
from services.notifier.hooks_event import Events
from services.notifier.hooks_intake import Intake
from services.notifier.metrics import HOOK_TRIES
from tests.nats_server import NatsProcess
from tests.notifier.hooks_rig import (
    QUICK,
    WORKSPACE,
    Hooks,
    Play,
    delivery_of,
    is_signed,
    staged,
)
from tests.notifier.rig import until


async def stands(hooks: Hooks, name: str, **expected: int) -> None:
    """Wait until the log of an endpoint has exactly these states."""

    async def found() -> bool:
        return dict(await hooks.states(name)) == expected

    await until(found, f"{name} stands at {expected}", within_s=20)


def settled() -> float:
    return float(SETTLED.labels("webhook", "told")._value.get())


async def test_d20_what_happens_is_told_signed_and_logged(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session(tags=("vip",))
        await hooks.endpoint("one")
        async with hooks.running():
            [fact] = await hooks.happens()
            await stands(hooks, "one", delivered=1)
        [call] = hooks.receiver.calls["one"]
        assert call.id == delivery_of("hook_one", fact)
        assert is_signed(hooks.secrets["one"], call)
        assert not is_signed(fresh_secret(), call)
        assert (call.event["type"], call.event["timestamp"]) == (
            "session.moved",
            fact.at.isoformat().replace("+00:00", "Z"),
        )
        data = call.event["data"]
        assert (data["session"], data["tags"], data["contact"]["name"]) == (
            "ses_1",
            ["vip"],
            "Vera",
        )
        [logged] = await hooks.log("one")
        assert (logged.body, logged.tries) == (call.raw.decode(), 1)
        assert (logged.attempts[0].status, logged.attempts[0].answer) == (200, "ok")


async def test_d20_each_type_of_event_has_what_a_receiver_needs(
    nats_process: NatsProcess, ready_url: str
) -> None:
    picture = MediaPart(kind="image", url="https://provider.example/secret", media_id="hidden")
    async with staged(nats_process.url, ready_url) as hooks:
        session = await hooks.session()
        came = await hooks.message(session, TextPart(text="hello"), picture)
        went = await hooks.message(
            session, text="hi", direction="out", sender="agent", sender_id="agt-amy", status="sent"
        )
        note = await hooks.message(session, text="private", kind="note", direction="out")
        await hooks.endpoint("one")
        facts = [
            hooks.fact(kind, list="assigned", owner="agt-amy")
            for kind in ("session.created", "session.assigned", "session.ended", "session.handoff")
        ]
        facts += [hooks.fact("message.stored", message=m.id) for m in (came, went, note)]
        facts += [
            hooks.fact("session.tagged"),
            hooks.fact("message.status", message=went.id, status="sent"),
            hooks.fact("contact.changed"),
            hooks.fact("session.read"),
            hooks.fact(
                "account.unhealthy", session="acme-line", status="revoked", detail="credential"
            ),
            hooks.fact("import.finished", session="imp_1", counts={"created": 3}),
        ]
        at, before = datetime.now(UTC), settled()
        alert = Alert(
            id="ses_1:1:agt-amy",
            workspace=WORKSPACE,
            agent="agt-amy",
            trigger="mention",
            at=at,
            expires_at=at + timedelta(hours=1),
        )
        async with hooks.running():
            for fact in facts:
                await hooks.tell(fact)
            for n, kind in enumerate(("cleared", "raised")):
                told = msgspec.structs.replace(alert, kind=kind, n=n)
                subject = subjects.alert("webhook", WORKSPACE, "agt-amy")
                await hooks.bus.publish(subject, msgspec.json.encode(told), msg_id=f"a-{kind}")
            await stands(hooks, "one", delivered=12)
        assert settled() - before == 1, "of what is raised, and only that"
        told_of = {call.event["type"]: call for call in hooks.receiver.calls["one"]}
        assert set(told_of) == {
            "session.created",
            "session.assigned",
            "session.ended",
            "session.handoff",
            "session.tagged",
            "message.received",
            "message.sent",
            "message.status",
            "contact.changed",
            "account.unhealthy",
            "import.finished",
            "alert.raised",
        }
        received = told_of["message.received"].event["data"]
        assert (received["text"], received["sender"]["kind"]) == ("hello", "visitor")
        assert received["files"][0]["url"].startswith("https://desk.example/files/acme/")
        everything = b"".join(call.raw for call in told_of.values())
        assert b"provider.example" not in everything
        assert b"hidden" not in everything
        assert b"private" not in everything
        assert told_of["alert.raised"].event["data"]["agent"] == "agt-amy"
        assert (
            told_of["account.unhealthy"].event["data"]["because"],
            told_of["import.finished"].event["data"]["counts"],
        ) == ("credential", {"created": 3})


def ago(**more: int) -> datetime:
    return datetime.now(UTC) - timedelta(**more)


CHOOSING: dict[str, tuple[dict[str, Any], int]] = {
    "no filter gets everything": ({}, 2),
    "only the types it asks for": ({"events": ("session.tagged",)}, 1),
    "only its channels": ({"channels": ("whatsapp",)}, 0),
    "its own channel": ({"channels": ("line",)}, 2),
    "only its accounts": ({"accounts": ("other",)}, 0),
    "nothing from before it was there": ({"created_at": datetime(2100, 1, 1, tzinfo=UTC)}, 0),
    "nothing while a person has it off": ({"enabled": False, "disabled_reason": "person"}, 0),
    "noted while it is off for failing": (
        {"enabled": False, "disabled_reason": "failing", "disabled_at": ago(days=6)},
        2,
    ),
    "no more once that took a week": (
        {"enabled": False, "disabled_reason": "failing", "disabled_at": ago(days=7)},
        0,
    ),
    "noted for a while after it said that it is gone": (
        {"enabled": False, "disabled_reason": "gone", "disabled_at": ago(hours=23)},
        2,
    ),
    "not for longer than a day": (
        {"enabled": False, "disabled_reason": "gone", "disabled_at": ago(hours=25)},
        0,
    ),
}


async def test_d20_an_endpoint_gets_what_it_chose(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        for n, (choice, _) in enumerate(CHOOSING.values()):
            await hooks.endpoint(f"e{n}", **choice)
        async with hooks.running():
            await hooks.happens(kind="session.moved")
            await hooks.happens(kind="session.tagged")
            await stands(hooks, "e0", delivered=2)
        got = {name: len(await hooks.log(f"e{n}")) for n, name in enumerate(CHOOSING)}
        assert got == {name: count for name, (_, count) in CHOOSING.items()}
        off = list(CHOOSING).index("noted while it is off for failing")
        assert await hooks.states(f"e{off}") == {"pending": 2}
        assert not hooks.receiver.calls[f"e{off}"]


async def test_d20_a_fact_that_comes_twice_is_one_delivery(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        await hooks.endpoint("one")
        async with hooks.running(), hooks.running():  # two replicas
            facts = await hooks.happens(20)
            for fact in facts:
                await hooks.tell(fact, again=True)
            await stands(hooks, "one", delivered=20)
            await asyncio.sleep(0.5)
        assert [call.id for call in hooks.receiver.calls["one"]].count(
            delivery_of("hook_one", facts[0])
        ) == 1
        assert len(hooks.receiver.calls["one"]) == 20


async def test_d20_a_dead_endpoint_loses_nothing_and_gets_each_once_it_lives(
    nats_process: NatsProcess, ready_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.notifier.hooks_retry.PAUSES_S", (0.2,) * 60)
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        await hooks.endpoint("one")
        hooks.receiver.plan("one", Play(status=500))
        async with hooks.running():
            facts = await hooks.happens(40)
            await stands(hooks, "one", pending=40)
            await asyncio.sleep(1.0)
            tried = len(hooks.receiver.calls["one"])
            assert tried < 40, "it rests, and is not called by each"
            hooks.receiver.plan("one", Play())
            await stands(hooks, "one", delivered=40)
        taken = hooks.receiver.calls["one"][tried:]
        assert {delivery_of("hook_one", fact) for fact in facts} == {call.id for call in taken}
        assert len({c.id for c in taken}) == 40
        logged = await hooks.log("one")
        assert any(one.attempts[0].error == "http_500" for one in logged)


async def test_d20_a_slow_endpoint_delays_no_other(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        await hooks.endpoint("slow")
        await hooks.endpoint("quick")
        hooks.receiver.plan("slow", Play(hang=True))
        async with hooks.running(timeout_s=3.0):
            await hooks.happens(150)
            began = datetime.now(UTC)
            await stands(hooks, "quick", delivered=150)
            assert datetime.now(UTC) - began < timedelta(seconds=6)
            assert hooks.receiver.peak["slow"] <= QUICK.at_once
            assert (await hooks.states("slow"))["pending"] == 150
            hooks.receiver.let_go()


def put_off() -> float:
    return float(HOOK_TRIES.labels("put_off")._value.get())


async def test_d20_what_finds_no_place_waits_untimed_and_is_taken_up_in_turn(
    nats_process: NatsProcess, ready_url: str
) -> None:
    pace = msgspec.structs.replace(QUICK, at_once=4, waiting=16)
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        await hooks.endpoint("one")
        hooks.receiver.plan("one", Play(hang=True))
        before = put_off()
        async with hooks.running(pace=pace):
            await hooks.happens(60)

            async def all_wait() -> bool:
                return sum(one.parked_at is not None for one in await hooks.log("one")) >= 40

            await until(all_wait, "what finds no place is parked")
            await asyncio.sleep(1.0)
            assert put_off() - before < 70, "what waits is not looked at again and again"
            hooks.receiver.plan("one", Play())
            hooks.receiver.let_go()
            await stands(hooks, "one", delivered=60)
        assert len(hooks.receiver.calls["one"]) == 60, "each was called once"


async def test_d20_both_secrets_sign_while_one_is_being_changed(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        secrets = [fresh_secret() for _ in range(3)]
        now = datetime.now(UTC)
        ends = (None, now + timedelta(hours=24), now - timedelta(seconds=1))
        context = sealed_for(WORKSPACE, "hook_one")
        sealed = tuple(
            WebhookSecret(sealed=hooks.sealer.seal(secret, context), until=until_)
            for secret, until_ in zip(secrets, ends, strict=True)
        )
        endpoint = await hooks.endpoint("one", secrets=sealed)
        async with hooks.running():
            await hooks.delivery(endpoint)
            await stands(hooks, "one", delivered=1)
        [call] = hooks.receiver.calls["one"]
        assert [is_signed(secret, call) for secret in secrets] == [True, True, False]


FORBIDDEN = {
    "this machine": "{stub}/x",
    "this machine by name": "http://localhost:{port}/x",
    "this machine over https": "https://127.0.0.1:{port}/x",
    "this machine, oddly spelled": "https://2130706433:{port}/x",
    "this machine in IPv6": "https://[::1]:{port}/x",
    "this machine, mapped": "https://[::ffff:127.0.0.1]:{port}/x",
    "a private address": "https://10.0.0.1/x",
    "a link-local address": "https://169.254.1.1/x",
    "the cloud's own address": "https://169.254.169.254/latest",
    "plain http": "http://hooks.example/x",
    "another scheme": "ftp://hooks.example/x",
}


async def test_d20_nothing_inside_is_ever_called(nats_process: NatsProcess, ready_url: str) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        port = hooks.receiver.base.rpartition(":")[2]
        for n, url in enumerate(FORBIDDEN.values()):
            where = url.format(stub=hooks.receiver.base, port=port)
            await hooks.delivery(await hooks.endpoint(f"e{n}", url=where))

        async def tried() -> bool:
            logs = [await hooks.log(f"e{n}") for n in range(len(FORBIDDEN))]
            return all(one.attempts for log in logs for one in log)

        async with hooks.running(local=False):
            await until(tried, "each was tried")
        for n, name in enumerate(FORBIDDEN):
            [one] = await hooks.log(f"e{n}")
            assert one.attempts[0].error == "forbidden_target", name
            assert one.state == "pending", name
        assert not hooks.receiver.calls


async def test_d20_what_was_taken_is_delivered_however_much_is_answered(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        endpoint = await hooks.endpoint("one")
        hooks.receiver.plan("one", Play(body=b"x" * (1 << 20)))
        async with hooks.running():
            await hooks.delivery(endpoint)
            await stands(hooks, "one", delivered=1)
        [one] = await hooks.log("one")
        assert (one.attempts[0].status, one.attempts[0].answer) == (200, "x" * MOST_ANSWER)


async def test_d20_a_redirect_is_a_failure_and_is_not_followed(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        endpoint = await hooks.endpoint("one")
        to = {"Location": hooks.receiver.url("inside")}
        hooks.receiver.plan("one", Play(status=302, headers=to))
        async with hooks.running():
            await hooks.delivery(endpoint)

            async def tried() -> bool:
                return bool((await hooks.log("one"))[0].attempts)

            await until(tried, "it was tried")
        [one] = await hooks.log("one")
        assert (one.state, one.attempts[0].error, one.attempts[0].status) == (
            "pending",
            "redirected",
            302,
        )
        assert "inside" not in hooks.receiver.calls


OFF: dict[str, tuple[dict[str, Any], int, str]] = {
    "at once by 410": ({}, 410, "gone"),
    "after five days without success": (
        {"failing_since": datetime.now(UTC) - timedelta(days=5, minutes=1)},
        500,
        "failing",
    ),
    "not a moment sooner": (
        {"failing_since": datetime.now(UTC) - timedelta(days=5) + timedelta(hours=1)},
        500,
        "",
    ),
}


@pytest.mark.parametrize(("endpoint", "status", "reason"), OFF.values(), ids=OFF)
async def test_d20_an_endpoint_is_switched_off_and_people_are_told(
    nats_process: NatsProcess, ready_url: str, endpoint: dict[str, Any], status: int, reason: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        made = await hooks.endpoint("one", description="CRM", **endpoint)
        hooks.receiver.plan("one", Play(status=status))
        async with hooks.running():
            first = await hooks.delivery(made)

            async def tried() -> bool:
                return bool((await hooks.log("one"))[0].attempts)

            await until(tried, "it was tried")
            if reason:

                async def off() -> bool:
                    return not (await hooks.now("one")).enabled

                await until(off, "it is switched off")
            else:
                await asyncio.sleep(0.3)
        now = await hooks.now("one")
        assert (now.enabled, now.disabled_reason) == (not reason, reason)
        stored = await hooks.bus.read(EVENTS, "ev.acme.webhook.disabled.hook_one")
        facts = [msgspec.json.decode(one.data, type=Fact) for one in stored]
        expected = [("webhook.disabled", "hook_one", reason)] if reason else []
        assert [(f.type, f.session, f.because) for f in facts] == expected
        words = {"gone": "it answered 410", "failing": "it took nothing for five days"}
        assert all(f"CRM (127.0.0.1) is switched off: {words[reason]}" in f.detail for f in facts)
        entries = await hooks.store.find(AUDIT, WORKSPACE, {}, Page(order="at"))
        assert [e.object for e in entries] == (["webhook_endpoint:hook_one"] if reason else [])
        states = await hooks.states("one")
        assert states == ({"failed": 1} if status == 410 else {"pending": 1})
        assert first.id in hooks.receiver.ids("one")


async def test_d20_a_success_ends_the_failing_and_one_elsewhere_counts(
    nats_process: NatsProcess, ready_url: str
) -> None:
    old = datetime.now(UTC) - timedelta(days=6)
    async with staged(nats_process.url, ready_url) as hooks:
        one = await hooks.endpoint("one", failing_since=old)
        two = await hooks.endpoint("two", failing_since=old)
        hooks.receiver.plan("two", Play(status=500))
        done = datetime.now(UTC) - timedelta(hours=1)
        async with hooks.running():
            await hooks.delivery(two, state="delivered", next_at=None, ended_at=done)
            await hooks.delivery(one)
            await hooks.delivery(two)

            async def noted() -> bool:
                since = (await hooks.now("two")).failing_since
                return (await hooks.now("one")).failing_since is None and since != old

            await until(noted, "both are noted")
        assert (await hooks.now("two")).enabled


async def test_d20_what_waits_goes_out_once_it_is_switched_on_again(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        made = await hooks.endpoint("one", enabled=False, disabled_reason="failing")
        async with hooks.running():
            await hooks.happens(5)
            await stands(hooks, "one", pending=5)
            on = msgspec.structs.replace(made, enabled=True, disabled_reason="")
            await hooks.store.replace(ENDPOINTS, on)
            changed(hooks.bus, WORKSPACE)
            await arm_parked(hooks.bus, on, datetime.now(UTC))  # as desk does
            await stands(hooks, "one", delivered=5)


MENDED: dict[str, tuple[timedelta, dict[str, Any], dict[str, int]]] = {
    "what has lost its timer is tried": (timedelta(minutes=6), {}, {"delivered": 1}),
    "not what is hardly late": (timedelta(minutes=4), {}, {"pending": 1}),
    "what waited for a week has failed": (
        timedelta(days=8),
        {"enabled": False, "disabled_reason": "failing"},
        {"failed": 1},
    ),
    "what waits for an endpoint that is off, waits": (
        timedelta(days=6),
        {"enabled": False, "disabled_reason": "failing"},
        {"pending": 1},
    ),
    "what nobody gets is cancelled": (timedelta(minutes=6), {"id": "other"}, {"cancelled": 1}),
    "the log goes back thirty days": (timedelta(days=31), {}, {}),
}
PARKED_FOR: dict[str, tuple[timedelta, dict[str, Any], dict[str, int]]] = {
    "what is parked and has lost its timer is tried": (timedelta(0), {}, {"delivered": 1}),
    "what was parked for a week has failed": (
        timedelta(days=8),
        {"enabled": False, "disabled_reason": "failing"},
        {"failed": 1},
    ),
    "what is parked for an endpoint that is off, waits": (
        timedelta(days=6),
        {"enabled": False, "disabled_reason": "failing"},
        {"pending": 1},
    ),
}


@pytest.mark.parametrize(("later", "endpoint", "expected"), MENDED.values(), ids=MENDED)
async def test_d20_what_nobody_comes_to_is_found(
    nats_process: NatsProcess,
    ready_url: str,
    later: timedelta,
    endpoint: dict[str, Any],
    expected: dict[str, int],
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        made = await hooks.endpoint("one", **endpoint)
        past = datetime.now(UTC) - later
        times = {"created_at": past, "queued_at": past, "next_at": past}
        await hooks.delivery(made, endpoint="hook_one", **times)
        await hooks.bus.asker.api("STREAM.PURGE.TIMERS")  # its timer is lost
        async with hooks.running():
            if expected == {"pending": 1}:
                await asyncio.sleep(0.5)
            await stands(hooks, "one", **expected)


@pytest.mark.parametrize(("later", "endpoint", "expected"), PARKED_FOR.values(), ids=PARKED_FOR)
async def test_d20_what_is_parked_is_found(
    nats_process: NatsProcess,
    ready_url: str,
    later: timedelta,
    endpoint: dict[str, Any],
    expected: dict[str, int],
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        made = await hooks.endpoint("one", **endpoint)
        past = datetime.now(UTC) - later
        times = {"created_at": past, "queued_at": past, "parked_at": past, "next_at": None}
        await hooks.delivery(made, **times)
        await hooks.bus.asker.api("STREAM.PURGE.TIMERS")
        async with hooks.running():
            if expected == {"pending": 1}:
                await asyncio.sleep(0.5)
            await stands(hooks, "one", **expected)
        [one] = await hooks.log("one")
        errors = [attempt.error for attempt in one.attempts]
        assert errors == {"delivered": [""], "failed": ["expired"]}.get(one.state, [])


async def test_d20_what_waits_for_a_deleted_endpoint_is_cancelled(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        made = await hooks.endpoint("one", enabled=False, disabled_reason="failing")
        now = datetime.now(UTC)
        await hooks.delivery(made, parked_at=now, next_at=None)
        await hooks.bus.asker.api("STREAM.PURGE.TIMERS")
        async with hooks.running():
            await asyncio.sleep(0.2)  # the mender has looked
            await hooks.store.delete(ENDPOINTS, WORKSPACE, made.id)
            changed(hooks.bus, WORKSPACE)
            await arm_parked(hooks.bus, made, now)  # as desk does
            await stands(hooks, "one", cancelled=1)


async def test_d20_a_crash_between_the_write_and_sending_sends_it_all_the_same(
    nats_process: NatsProcess, ready_url: str
) -> None:
    class Broken:
        async def publish(self, *_args: Any, **_more: Any) -> None:
            raise BusUnavailableError("gone")

    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        await hooks.endpoint("one")
        events = Events(hooks.store, [b"k"], "")
        clock = lambda: datetime.now(UTC)  # noqa: E731
        broken: Any = Broken()
        intake = Intake(broken, hooks.store, Endpoints(hooks.store), events, clock)
        [fact] = await hooks.happens()
        [stored] = await hooks.bus.read(EVENTS, "ev.acme.session.moved.>")
        delivery: Any = stored
        with pytest.raises(BusUnavailableError):
            await intake.fact(delivery)
        assert await hooks.states("one") == {"pending": 1}, "it is written, and nobody sends it"
        async with hooks.running():
            await stands(hooks, "one", delivered=1)
        assert hooks.receiver.ids("one") == {delivery_of("hook_one", fact)}
        assert len(hooks.receiver.calls["one"]) == 1


async def test_d20_a_message_too_large_is_told_without_its_parts(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        session = await hooks.session()
        huge = await hooks.message(session, text="x" * (MOST_BODY + 1))
        data = message_data(huge, session, lambda _id, _name: "")
        body = body_of("message.received", huge.occurred_at, data)
        assert len(body.encode()) <= MOST_BODY
        assert msgspec.json.decode(body)["data"]["truncated"] is True
        assert msgspec.json.decode(body)["data"]["message"] == huge.id
        assert fitted(data).parts == ()


async def test_d20_without_endpoints_the_store_is_not_asked(
    nats_process: NatsProcess, ready_url: str
) -> None:
    class Counting:
        def __init__(self) -> None:
            self.finds = 0

        async def find(self, *_args: Any) -> list[Any]:
            self.finds += 1
            return []

    async with staged(nats_process.url, ready_url) as hooks:
        counting: Any = Counting()
        known = Endpoints(counting)
        intake = Intake(
            hooks.bus, counting, known, Events(counting, [], ""), lambda: datetime.now(UTC)
        )
        await hooks.happens(30)
        stored: Any = await hooks.bus.read(EVENTS, "ev.acme.session.moved.>")
        for one in stored:
            await intake.fact(one)
        assert (len(stored), counting.finds) == (30, 1)
        known.forget(WORKSPACE)
        await intake.fact(stored[0])
        assert counting.finds == 2


async def test_d20_what_is_told_twice_at_once_is_one_document(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with staged(nats_process.url, ready_url) as hooks:
        await hooks.session()
        endpoint = await hooks.endpoint("one")
        [fact] = await hooks.happens()
        stored: Any = await hooks.bus.read(EVENTS, "ev.acme.session.moved.>")
        intakes = [
            Intake(
                hooks.bus,
                hooks.store,
                Endpoints(hooks.store),
                Events(hooks.store, [], ""),
                lambda: datetime.now(UTC),
            )
            for _ in range(2)
        ]
        await asyncio.gather(*(intake.fact(stored[0]) for intake in intakes))
        where = {"endpoint": endpoint.id}
        found = await hooks.store.find(DELIVERIES, WORKSPACE, where, Page(order="log"))
        assert [one.id for one in found] == [delivery_of("hook_one", fact)]
