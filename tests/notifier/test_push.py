"""Web Push: what arrives in a browser, what becomes of one that is gone, and what delays nobody."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver, ResolveResult
from py_vapid import Vapid02

from libs.common import subjects
from libs.common.alerts import ATTENTION, PREFERENCES, Preferences
from libs.common.documents import AGENTS
from libs.common.push_keys import vapid_keys
from libs.common.pushes import SUBSCRIPTIONS, Endpoint, Push
from libs.common.seal import new_key_setting
from libs.common.subjects import ALERTS
from services.notifier import metrics
from services.notifier.app import serve
from services.notifier.push import topic
from tests.notifier.push_rig import WORKSPACE, Pushed, PushRig, push_stage, running
from tests.notifier.rig import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PushRig]:
    folder = tmp_path_factory.mktemp("push")
    async with push_stage(nats_url, folder) as made, running(made):
        yield made


def counted(outcome: str) -> float:
    return float(metrics.PUSHES.labels(outcome)._value.get())


async def got(rig: PushRig, name: str, *, count: int = 1, within_s: float = 5) -> list[Pushed]:
    async def there() -> list[Pushed] | None:
        found = rig.sink.of(name)
        return found if len(found) >= count else None

    return await until(there, f"{count} pushes in {name}", within_s=within_s)


async def happens(outcome: str, more_than: float) -> None:
    async def so() -> bool:
        return counted(outcome) > more_than

    await until(so, f"a push that ends as {outcome}", within_s=5)


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
    [key] = vapid_keys(rig.settings.secret_key)
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
    "429, and when to come again": ([(429, {"Retry-After": "1"}), 201], 2, "sent", True),
    "500 once": ([500, 201], 2, "sent", True),
    "503 once, and when to come again": ([(503, {"Retry-After": "1"}), 201], 2, "sent", True),
    "a redirect is not followed": (
        [(302, {"Location": "/push/elsewhere"})],
        1,
        "redirected",
        True,
    ),
}


@pytest.mark.parametrize(
    ("script", "calls", "outcome", "stays"), ANSWERED.values(), ids=ANSWERED
)
async def test_what_an_answer_of_a_push_service_leads_to(
    rig: PushRig, script: list[Any], calls: int, outcome: str, stays: bool
) -> None:
    agent = f"ans{[*ANSWERED.values()].index((script, calls, outcome, stays))}"
    await rig.hire(agent)
    id_ = await rig.subscribe(agent, agent)
    rig.sink.scripts[agent] = deque(script)
    before = counted(outcome)
    began = time.monotonic()
    await rig.raises(agent)
    await happens(outcome, before)
    assert rig.sink.asked.count(agent) == calls
    assert "elsewhere" not in rig.sink.asked
    if any(isinstance(said, tuple) and "Retry-After" in said[1] for said in script):
        assert time.monotonic() - began >= 1.0

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
