"""What calls for the caller's attention, as it happens, and a trial of how it does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from libs.common import subjects
from libs.common.alerts import Alert, Sink
from libs.common.errors import StoreUnavailableError
from services.desk.api.alert_preferences import read_own, sound_now, wants_quiet
from services.desk.api.route import RANK, Call, Reply
from services.desk.auth import still_good
from services.desk.live_stream import Reader
from services.desk.presence import Who

TEST_LASTS = timedelta(minutes=5)
TEST_EACH_S = 10
"""Of tests within so many seconds, one is told."""

_SINKS: Mapping[str, tuple[Sink, ...]] = {"browser": ("browser", "push"), "email": ("email",)}


class AlertTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to tell it: on open pages and by push (`browser`), or by `email`."""

    methods: Annotated[tuple[Literal["browser", "email"], ...], Meta(min_length=1, max_length=2)]


class AlertTested(msgspec.Struct, frozen=True, kw_only=True):
    """What was told: the alert's id, where, and the sound that it has (null: none now)."""

    id: str
    sinks: tuple[Sink, ...]
    sound: str | None


async def stream(call: Call) -> Reply:
    """Tell the caller's alerts until it leaves or may no longer read them.

    Raises:
        RefusalError: 429, too many streams are open; 503, they cannot be read now.
    """
    who = Who(call.who.workspace, call.who.agent)
    attends = RANK[call.who.role] >= RANK["agent"]

    async def still() -> bool:
        try:
            return await still_good(call.desk.store, call.who, call.desk.now())
        except StoreUnavailableError:  # nobody is cut off for a fault of ours: asked again soon
            return True

    async def quiet() -> bool:
        try:
            return await wants_quiet(call, await read_own(call))
        except StoreUnavailableError:  # it sounds as it would have
            return False

    async def pour(request: web.Request) -> web.StreamResponse:
        return await call.desk.live.streams.serve(
            request, who, Reader(still, quiet), attends=attends
        )

    return Reply(stream=pour)


async def test(call: Call) -> Reply:
    """Alert the caller of nothing, so that they see and hear how it is.

    Told through the sinks as any alert; repeated at once it is the same one.

    Raises:
        BusUnavailableError: It could not be told.
    """
    body: AlertTest = call.body
    alert = await _test_alert(call)
    sinks = tuple(sink for method in dict.fromkeys(body.methods) for sink in _SINKS[method])
    for sink in sinks:
        subject = subjects.alert(sink, alert.workspace, alert.agent)
        msg_id = f"{alert.id}:{alert.n}:{sink}"
        await call.desk.bus.publish(subject, msgspec.json.encode(alert), msg_id=msg_id)
    return Reply(status=202, body=AlertTested(id=alert.id, sinks=sinks, sound=alert.sound))


async def _test_alert(call: Call) -> Alert:
    own, now = await read_own(call), call.desk.now()
    sound = await sound_now(call, own, "notice")
    number = int(now.timestamp()) // TEST_EACH_S
    return Alert(
        id=f"test:{number}:{call.who.workspace}:{call.who.agent}",
        n=1,
        workspace=call.who.workspace,
        agent=call.who.agent,
        trigger="notice",
        at=now,
        expires_at=now + TEST_LASTS,
        excerpt="This is a test.",
        sound=sound,
        volume=own.volume,
    )
