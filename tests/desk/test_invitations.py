"""Coming in: invitations and forgotten passwords, by links that open once and not for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import AGENTS, TOKENS
from libs.common.people import INVITATIONS, RESETS, Letter, open_letter
from libs.common.store.api import Page
from libs.common.subjects import ALERTS
from services.desk.api import login_sessions, tokens
from services.desk.throttle import LinkThrottle
from tests.desk.world import PASSWORD, Answer, World, open_world

NEW = "a new horse battery"
PUBLIC = "https://desk.example"


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """Desk that knows how it is reached."""
    async with open_world(nats_url, ready_url, public_url=PUBLIC) as made:
        yield made


async def invite(world: World, who: str = "adam", **body: Any) -> Answer:
    body = {"email": f"nora@{world.workspace}.example", **body}
    return await world.call("POST", "/invitations", who, body=body)


async def accept(world: World, token: str, **more: Any) -> Answer:
    body = {"token": token, "name": "Nora", "password": NEW, **more}
    return await world.call("POST", "/invitations/accept", body=body)


async def letters(world: World) -> list[Letter]:
    """Return what the notifier was asked to mail, opened as it does."""
    read = await world.bus.read(ALERTS, f"alert.letter.{world.workspace}.*", limit=20)
    found = [open_letter(world.desk.sealer, world.workspace, one.data) for one in read]
    return [letter for letter in found if letter is not None]


async def test_d24_who_is_invited_becomes_an_agent_as_they_were_meant_to_be(world: World) -> None:
    team = await world.call("PUT", "/teams/care", "adam", body={"name": "Care"})
    assert team.status == 201
    account = world.slug("line")
    asked = await invite(
        world, role="lead", teams=["care"], channels=["line"], accounts=[account], team_only=True
    )
    assert asked.status == 201
    made = asked.json
    assert made["invitation"]["state"] == "pending"
    assert made["url"] == f"{PUBLIC}/#/accept-invitation/{made['token']}"
    assert made["mailed"]
    [told] = await letters(world)
    assert (told.kind, told.to, told.url) == (
        "invitation",
        made["invitation"]["email"],
        made["url"],
    )
    answer = await accept(world, made["token"])
    assert answer.status == 200, answer.body
    assert answer.headers["Set-Cookie"].startswith("relaydesk=rdk_")
    world.tokens["nora"] = answer.json["token"]
    assert (await world.get("/me", "nora"))["role"] == "lead"
    shown = await world.get(f"/agents/{answer.json['agent']['id']}", "adam")
    assert shown["teams"] == ["care"]
    assert (shown["channels"], shown["accounts"], shown["team_only"]) == (["line"], [account], True)
    again = {"email": told.to.upper(), "password": NEW}
    assert (await world.call("POST", "/login", body=again)).status == 200
    actions = [entry.action for entry in await world.audited()]
    assert {"invitation.create", "invitation.accept"} <= set(actions)


async def test_d24_the_link_lies_nowhere_in_plain_text(world: World) -> None:
    token = (await invite(world)).json["token"]
    secret = token.rpartition("_")[2]
    read = await world.bus.read(ALERTS, f"alert.letter.{world.workspace}.*", limit=20)
    assert read
    assert all(secret.encode() not in one.data for one in read)
    kept = await world.store.find(INVITATIONS, world.workspace, {}, Page(order="created"))
    assert secret not in msgspec.json.encode(kept).decode()
    assert secret not in msgspec.json.encode(await world.audited()).decode()
    assert open_letter(world.desk.sealer, world.other, read[0].data) is None


REFUSED = {
    "no address": ({"email": "nora"}, "adam", 422),
    "an address with a second line": ({"email": "nora@x.example\nBcc: all@x.example"}, "adam", 422),
    "a role above one's own": ({"role": "owner"}, "adam", 403),
    "an unknown team": ({"teams": ["nowhere"]}, "adam", 422),
    "an unknown channel": ({"channels": ["pigeon"]}, "adam", 422),
    "another workspace's account": ({"accounts": ["{other}"]}, "adam", 422),
    "a lead": ({}, "lena", 403),
}


@pytest.mark.parametrize(("body", "who", "status"), REFUSED.values(), ids=REFUSED)
async def test_d24_an_invitation_is_refused(
    world: World, body: dict[str, Any], who: str, status: int
) -> None:
    if "accounts" in body:
        body = {"accounts": [world.slug("line", world.other)]}
    answer = await invite(world, who, **body)
    assert answer.status == status, answer.body


async def test_d24_whoever_works_here_or_is_invited_is_not_invited_again(world: World) -> None:
    here = await invite(world, email=world.email("amy").upper())
    assert (here.status, here.json["code"]) == (409, "already_here")
    first = await invite(world)
    second = await invite(world)
    assert (second.status, second.json["code"]) == (409, "already_invited")
    assert second.json["facts"]["invitation"] == first.json["invitation"]["id"]
    elsewhere = await invite(world, email=world.email("zoe", world.other))
    assert elsewhere.status == 201, "who works elsewhere may work here, too"


async def test_d24_a_repeated_key_is_the_same_invitation_without_its_link(world: World) -> None:
    body = {"email": f"kim@{world.workspace}.example"}
    headers = {"Idempotency-Key": "k-1"}
    first = await world.call("POST", "/invitations", "adam", body=body, headers=headers)
    again = await world.call("POST", "/invitations", "adam", body=body, headers=headers)
    other = {**body, "role": "lead"}
    else_ = await world.call("POST", "/invitations", "adam", body=other, headers=headers)
    assert (first.status, again.status, else_.status) == (201, 200, 409)
    assert again.json["invitation"] == first.json["invitation"]
    assert again.json["token"] == again.json["url"] == ""


async def expire(world: World) -> None:
    [found] = await world.store.find(INVITATIONS, world.workspace, {}, Page(order="created"))
    past = msgspec.structs.replace(found, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await world.store.replace(INVITATIONS, past)


async def revoke(world: World) -> None:
    [found] = (await world.get("/invitations", "adam"))["items"]
    assert (await world.call("DELETE", f"/invitations/{found['id']}", "adam")).status == 204


async def resend(world: World) -> None:
    [found] = (await world.get("/invitations", "adam"))["items"]
    fresh = await world.call("POST", f"/invitations/{found['id']}/resend", "adam")
    assert fresh.status == 200
    assert (await accept(world, fresh.json["token"])).status == 200, "the new link opens"


async def demote(world: World) -> None:
    done = await world.call("PATCH", "/agents/agt-adam", "olga", body={"role": "agent"})
    assert done.status == 200


async def disable(world: World) -> None:
    done = await world.call("PATCH", "/agents/agt-adam", "olga", body={"disabled": True})
    assert done.status == 200


async def use(world: World) -> None:
    """Nothing: the test itself accepts twice."""


DEAD = {
    "after seven days": expire,
    "once it is revoked": revoke,
    "once another one was sent": resend,
    "once who invited may not invite any more": demote,
    "once who invited is disabled": disable,
}


@pytest.mark.parametrize("happens", DEAD.values(), ids=DEAD)
async def test_d24_a_link_opens_nothing(world: World, happens: Any) -> None:
    token = (await invite(world)).json["token"]
    await happens(world)
    answer = await accept(world, token)
    bare = await accept(world, "inv_nowhere_abc_" + "a" * 43)
    assert (answer.status, answer.body) == (404, bare.body)


async def test_d24_of_two_who_use_a_link_at_once_one_gets_in(world: World) -> None:
    import asyncio  # noqa: PLC0415

    token = (await invite(world)).json["token"]
    answers = await asyncio.gather(*(accept(world, token) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 404, 404, 404]
    assert (await accept(world, token)).status == 404


async def test_d24_links_are_not_guessed_at_will(world: World) -> None:
    wrong = "inv_" + world.workspace + "_abc_" + "a" * 43
    statuses = [(await accept(world, wrong)).status for _ in range(32)]
    assert statuses[:30] == [404] * 30
    assert statuses[-1] == 429


# --- forgotten passwords -------------------------------------------------------------------------


async def ask(world: World, email: str, **more: Any) -> Answer:
    answer = await world.call("POST", "/password-resets", body={"email": email, **more})
    await world.desk.behind.idle()
    return answer


def tokens_in(found: list[Letter]) -> list[str]:
    return [letter.url.rpartition("/")[2] for letter in found if letter.kind == "reset"]


async def test_d24_a_forgotten_password_is_set_anew_and_everything_else_ends(world: World) -> None:
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    world.tokens["elsewhere"] = await world.token(amy, kind="session")
    assert (await ask(world, world.email("amy").upper())).status == 202
    [token] = tokens_in(await letters(world))
    body = {"token": token, "password": NEW}
    done = await world.call("POST", "/password-resets/done", body=body)
    assert done.status == 200, done.body
    for old in ("amy", "elsewhere"):
        assert (await world.call("GET", "/me", old)).status == 401
    world.tokens["amy"] = done.json["token"]
    assert (await world.get("/me"))["agent"]["id"] == "agt-amy"
    again = await world.call("POST", "/password-resets/done", body=body)
    assert (again.status, again.json["code"]) == (404, "link_gone")
    logins = [
        (await world.call("POST", "/login", body={"email": amy.email, "password": tried})).status
        for tried in (PASSWORD, NEW)
    ]
    assert logins == [401, 200]


async def test_d24_whether_somebody_has_an_address_is_told_by_nothing(world: World) -> None:
    dora = await world.hire("dora", "agent", world.workspace)
    await world.store.replace(AGENTS, msgspec.structs.replace(dora, disabled=True))
    asked = [world.email("amy"), world.email("dora"), "nobody@nowhere.example", "no address"]
    answers = [await ask(world, email) for email in asked]
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body for answer in answers}) == 1
    assert [letter.to for letter in await letters(world)] == [world.email("amy")]


async def test_d24_the_newest_link_alone_opens_and_for_an_hour(world: World) -> None:
    await ask(world, world.email("amy"))
    await ask(world, world.email("amy"))
    first, second = tokens_in(await letters(world))
    body = {"token": first, "password": NEW}
    assert (await world.call("POST", "/password-resets/done", body=body)).status == 404
    [kept] = await world.store.find(RESETS, world.workspace, {}, Page(order="agent"))
    past = msgspec.structs.replace(kept, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await world.store.replace(RESETS, past)
    body["token"] = second
    assert (await world.call("POST", "/password-resets/done", body=body)).status == 404


async def test_d24_nobody_is_buried_in_mail_and_nobody_learns_that_it_stopped(
    world: World,
) -> None:
    answers = [await ask(world, world.email("amy")) for _ in range(6)]
    assert {answer.status for answer in answers} == {202}
    assert len(await letters(world)) == 3


def test_d24_an_address_asks_so_often_and_then_waits() -> None:
    now = 0.0
    throttle = LinkThrottle(lambda: now)
    waits = [throttle.asks("192.0.2.1") for _ in range(21)]
    assert waits[:20] == [0] * 20
    assert waits[20] == 30
    assert throttle.asks("192.0.2.2") == 0
    office = [throttle.begins("192.0.2.1") for _ in range(101)]
    assert office == [0] * 100 + [1], "logins by a provider are not counted with resets"


# --- one's own password and logins ---------------------------------------------------------------


async def logged_in(world: World, name: str, *, agent: str = "amy") -> str:
    """Log *agent* in as *name*; return the login's id."""
    body = {"email": world.email(agent), "password": PASSWORD}
    headers = {"User-Agent": f"Browser of {name}"}
    answer = await world.call("POST", "/login", body=body, headers=headers)
    world.tokens[name] = answer.json["token"]
    found = (await world.get("/me/sessions", name))["items"]
    return str(next(one["id"] for one in found if one["current"]))


async def test_d24_a_changed_password_ends_all_other_logins(world: World) -> None:
    await logged_in(world, "here")
    await logged_in(world, "there")
    body = {"old": "wrong", "new": NEW}
    refused = await world.call("PUT", "/me/password", "here", body=body)
    assert (refused.status, refused.json["code"]) == (403, "wrong_password")
    body["old"] = PASSWORD
    assert (await world.call("PUT", "/me/password", "here", body=body)).status == 204
    assert (await world.call("GET", "/me", "there")).status == 401
    await world.get("/me", "here")
    await world.get("/me", "amy")
    both = {"old": NEW, "new": PASSWORD, "end_tokens": True}
    assert (await world.call("PUT", "/me/password", "here", body=both)).status == 204
    assert (await world.call("GET", "/me", "amy")).status == 401, "the API token ended, too"


async def test_d24_a_changed_password_ends_however_many_logins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_AT_ONCE", 2)
    others = [f"there {n}" for n in range(5)]
    for name in ("here", *others):
        await logged_in(world, name)
    body = {"old": PASSWORD, "new": NEW}
    assert (await world.call("PUT", "/me/password", "here", body=body)).status == 204
    found = {name: (await world.call("GET", "/me", name)).status for name in others}
    assert found == dict.fromkeys(others, 401)
    await world.get("/me", "here")
    body = {"email": world.email("amy"), "password": NEW}
    for name in others:
        world.tokens[name] = (await world.call("POST", "/login", body=body)).json["token"]
    few = msgspec.structs.replace(login_sessions._PAGE, limit=2)
    monkeypatch.setattr(login_sessions, "_PAGE", few)
    assert (await world.call("DELETE", "/me/sessions", "here")).status == 204
    found = {name: (await world.call("GET", "/me", name)).status for name in others}
    assert found == dict.fromkeys(others, 401)
    await world.get("/me", "here")


async def test_d24_a_stolen_login_does_not_guess_the_password_at_will(world: World) -> None:
    await logged_in(world, "here")
    body = {"old": "wrong", "new": NEW}
    answers = [await world.call("PUT", "/me/password", "here", body=body) for _ in range(11)]
    assert [answer.status for answer in answers] == [403] * 10 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_d24_ones_logins_are_listed_and_ended(world: World) -> None:
    here = await logged_in(world, "here")
    there = await logged_in(world, "there")
    await logged_in(world, "bobs", agent="bob")
    found = (await world.get("/me/sessions", "here"))["items"]
    assert [(one["id"], one["device"], one["current"]) for one in found] == [
        (there, "Browser of there", False),
        (here, "Browser of here", True),
    ]
    assert found[0]["address"] == "127.0.0.1"
    stolen = await world.call("DELETE", f"/me/sessions/{there}", "bobs")
    unknown = await world.call("DELETE", "/me/sessions/nowhere", "bobs")
    assert (stolen.status, stolen.body) == (404, unknown.body)
    assert (await world.call("DELETE", f"/me/sessions/{there}", "here")).status == 204
    assert (await world.call("GET", "/me", "there")).status == 401
    await logged_in(world, "third")
    assert (await world.call("DELETE", "/me/sessions", "here")).status == 204
    assert (await world.call("GET", "/me", "third")).status == 401
    await world.get("/me", "here")
    await world.get("/me", "bobs")
    kept = await world.store.find(TOKENS, world.workspace, {"kind": "api"}, Page(order="kind"))
    assert len(kept) == 6, "API tokens are no logins"
