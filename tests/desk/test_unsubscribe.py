"""The page on which a mail's reader wants no more: one press, no login, nothing by looking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.common.alerts import PREFERENCES, Preferences
from libs.common.mails import SUPPRESSIONS, suppression_id
from libs.common.seal import new_key_setting
from libs.common.subjects import PREFERENCES_KV
from libs.common.unsubscribe import EndAlert, Wish, sign, unsubscribe_keys, visitor_wish
from tests.desk.world import Answer, World

VERA = "vera@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def token(world: World, wish: Wish) -> str:
    return sign(unsubscribe_keys(world.desk.settings.secret_key), wish)


def of_amy(world: World, trigger: Any = "mention") -> str:
    wish = EndAlert(workspace=world.workspace, agent="agt-amy", trigger=trigger)
    return token(world, wish)


async def ask(
    world: World, method: str, text: str, form: Mapping[str, str] | None = None
) -> Answer:
    """Ask as a mail program does: without cookie, credential or origin."""
    url = f"{world.base}/unsubscribe"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, params={"t": text}, data=form) as answer,
    ):
        return Answer(answer.status, answer.headers, await answer.read())


async def preferences(world: World, agent: str = "agt-amy") -> Preferences | None:
    return await world.store.get(PREFERENCES, world.workspace, agent)


async def test_looking_changes_nothing_and_shows_a_button(world: World) -> None:
    page = await ask(world, "GET", of_amy(world))
    assert page.status == 200
    assert b"by email of notes that mention you" in page.body
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; form-action")
    assert b'<form method="post"><button>Stop these emails</button></form>' in page.body
    assert await preferences(world) is None


async def test_one_click_ends_the_emails_of_that_trigger_alone(world: World) -> None:
    for _ in range(2):
        answer = await ask(world, "POST", of_amy(world), ONE_CLICK)
        assert (answer.status, b"no more of these emails" in answer.body) == (200, True)
    chosen = await preferences(world)
    assert chosen
    assert chosen.triggers == {"mention": ("browser",)}
    entry = await world.bus.kv_get(PREFERENCES_KV, f"{world.workspace}.agt-amy")
    assert entry
    assert entry.value
    assert msgspec.json.decode(entry.value, type=Preferences).triggers == chosen.triggers
    written = [e for e in await world.audited() if e.action == "mail.unsubscribe"]
    assert [(e.actor, e.object) for e in written] == [("agent:agt-amy", "agent:agt-amy")]


async def test_what_else_was_chosen_stays(world: World) -> None:
    body = {"triggers": {"mention": ["email", "webhook"], "notice": ["email"]}, "sound": "bell"}
    await world.call("PUT", "/alerts/preferences", "amy", body=body)
    assert (await ask(world, "POST", of_amy(world))).status == 200
    chosen = await preferences(world)
    assert chosen
    assert chosen.triggers == {"mention": ("webhook",), "notice": ("email",)}
    assert chosen.sound == "bell"


async def test_a_locked_trigger_says_so(world: World) -> None:
    alerts = {"triggers": {"mention": {"methods": ["email"], "locked": True}}}
    settled = await world.call("PATCH", "/settings", "olga", body={"alerts": alerts})
    assert settled.status == 200, settled.body
    for method in ("GET", "POST"):
        answer = await ask(world, method, of_amy(world))
        assert (answer.status, b"cannot be turned off here" in answer.body) == (409, True)
        assert b"<form" not in answer.body
    assert await preferences(world) is None


async def test_a20_a_visitor_gets_no_more_replies_by_email_of_this_workspace(world: World) -> None:
    link = token(world, visitor_wish(world.workspace, VERA))
    assert "…@example.org" in (await ask(world, "GET", link)).body.decode()
    for _ in range(2):
        assert (await ask(world, "POST", link, ONE_CLICK)).status == 200
    key = suppression_id(VERA, "visitor")
    found = await world.store.get(SUPPRESSIONS, world.workspace, key)
    assert found
    assert (found.reason, found.scope, found.shown) == ("unsubscribed", "visitor", "v…@example.org")
    assert await world.store.get(SUPPRESSIONS, world.workspace, suppression_id(VERA)) is None
    assert await world.store.get(SUPPRESSIONS, world.other, key) is None


FORGED = {
    "none": lambda _: "",
    "one that is cut off": lambda good: good[:-1],
    "one with another content": lambda good: "e30" + good[3:],
    "one that another installation signed": lambda _: sign(
        unsubscribe_keys(new_key_setting()),
        EndAlert(workspace="acme", agent="agt-amy", trigger="mention"),
    ),
    "one of endless length": lambda good: good * 50,
    "one that is not ASCII": lambda good: "é" + good,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_token_that_we_did_not_sign_does_nothing(world: World, forge: Any) -> None:
    for method in ("GET", "POST"):
        answer = await ask(world, method, forge(of_amy(world)))
        assert (answer.status, b"does not work" in answer.body) == (404, True)
    assert await preferences(world) is None


# --- addresses that get no mail ---------------------------------------------------------------


async def bounce(world: World, address: str, reason: str = "bounced") -> Answer:
    body = {"address": address, "reason": reason}
    return await world.call("POST", "/mail/bounces", "adam", body=body)


async def shown(world: World, who: str = "adam", **query: str) -> list[dict[str, Any]]:
    query_text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await world.call("GET", f"/mail/suppressions?{query_text}", who)
    found: list[dict[str, Any]] = answer.json["items"]
    return found


async def test_a_bounce_is_kept_listed_covered_and_lifted(world: World) -> None:
    told = await bounce(world, " Vera@Example.org")
    assert told.status == 200, told.body
    assert (await bounce(world, VERA)).json == told.json, "a repeat changes nothing"
    [row] = await shown(world)
    assert row == told.json
    assert (row["address"], row["reason"], row["until"]) == ("V…@Example.org", "bounced", None)
    assert await shown(world, address=VERA) == [row]
    assert await shown(world, address="other@example.org") == []
    complained = await bounce(world, VERA, "complaint")
    assert (complained.json["id"], complained.json["reason"]) == (row["id"], "complaint")
    lifted = await world.call("DELETE", f"/mail/suppressions/{row['id']}", "adam")
    assert lifted.status == 204
    assert await shown(world) == []
    again = await world.call("DELETE", f"/mail/suppressions/{row['id']}", "adam")
    assert again.status == 404
    actions = [e.action for e in await world.audited() if e.action.startswith("mail.")]
    assert sorted(actions) == ["mail.lift", "mail.suppress", "mail.suppress"]


async def test_suppressions_come_page_by_page(world: World) -> None:
    for number in range(5):
        assert (await bounce(world, f"v{number}@example.org")).status == 200
    seen, cursor = [], ""
    while cursor is not None:
        query = f"limit=2&cursor={cursor}"
        answer = await world.call("GET", f"/mail/suppressions?{query}", "adam")
        seen += [row["id"] for row in answer.json["items"]]
        cursor = answer.json["next"]
    assert len(seen) == len(set(seen)) == 5


WRONG = {
    "no address": ({"address": "vera"}, "address"),
    "two addresses": ({"address": "a@b.example,c@d.example"}, "address"),
    "another reason": ({"address": VERA, "reason": "bored"}, "reason"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG)
async def test_a_wrong_bounce_names_the_field(
    world: World, body: dict[str, str], field: str
) -> None:
    answer = await world.call("POST", "/mail/bounces", "adam", body=body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)
