"""Logging in: who gets in, what the others learn (nothing), and how often one may try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.credentials import hash_password, verify_password
from libs.common.documents import AGENTS, DIRECTORY, SYSTEM, TOKENS, Agent
from libs.common.store.api import Page
from services.desk.api.login import CANDIDATES
from services.desk.passwords import Passwords
from services.desk.throttle import Buckets, Limit, LoginThrottle
from tests.desk.world import PASSWORD, Answer, World, password_hash, serving

OTHER_PASSWORD = "another horse battery"


async def log_in(world: World, email: str, password: str = PASSWORD, **more: Any) -> Answer:
    body = {"email": email, "password": password, **more}
    return await world.call("POST", "/login", body=body)


async def test_a_login_opens_the_api_by_cookie_and_by_token(world: World) -> None:
    answer = await log_in(world, world.email("amy").upper())
    assert answer.status == 200
    found = answer.json
    assert found["agent"] == {"id": "agt-amy", "name": "Amy"}
    assert (found["workspace"], found["role"]) == (world.workspace, "agent")
    world.tokens["script"] = found["token"]
    assert (await world.get("/me", "script"))["csrf"] == ""
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("relaydesk=rdk_")
    for attribute in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"):
        assert attribute in cookie
    assert "Domain" not in cookie


async def test_b23_a_fresh_login_is_shown_the_conversations_with_agents(world: World) -> None:
    assert (await world.get("/me"))["default_filter"] == "agent"


async def test_where_cookies_are_secure_the_name_binds_them_to_this_host(world: World) -> None:
    settings = msgspec.structs.replace(world.desk.settings, secure_cookies=True)
    async with serving(msgspec.structs.replace(world.desk, settings=settings)) as port:
        base = f"http://127.0.0.1:{port}/api/v1"
        body = {"email": world.email("amy"), "password": PASSWORD}
        answer = await world.call("POST", f"{base}/login", body=body)
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-relaydesk=")
        assert "Secure" in cookie
        assert "Strict-Transport-Security" in answer.headers
        plain = {"Cookie": f"relaydesk={answer.json['token']}"}
        assert (await world.call("GET", f"{base}/me", headers=plain)).status == 401
        bound = {"Cookie": f"__Host-relaydesk={answer.json['token']}"}
        assert (await world.call("GET", f"{base}/me", headers=bound)).status == 200


async def test_logging_out_ends_cookie_and_token_at_once(world: World) -> None:
    login = (await log_in(world, world.email("rita"))).json
    headers = {"Cookie": f"relaydesk={login['token']}", "X-CSRF-Token": login["csrf"]}
    answer = await world.call("POST", "/logout", headers=headers)
    assert answer.status == 204
    assert 'relaydesk=""' in answer.headers["Set-Cookie"]
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    world.tokens["gone"] = login["token"]
    assert (await world.call("GET", "/me", "gone")).status == 401


async def test_an_api_token_is_not_logged_out(world: World) -> None:
    answer = await world.call("POST", "/logout", "amy")
    assert (answer.status, answer.json["code"]) == (409, "not_a_login")
    await world.get("/me", "amy")


async def test_expired_logins_are_cleared_away_at_the_next_one(world: World) -> None:
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    await world.token(amy, kind="session", expires_at=datetime.now(UTC) - timedelta(hours=1))
    await log_in(world, world.email("amy"))
    where = {"agent": "agt-amy"}
    left = await world.store.find(TOKENS, world.workspace, where, Page(order="agent"))
    assert sorted(token.kind for token in left) == ["api", "session"]


# --- what a wrong login learns -------------------------------------------------------------------


async def test_g15_unknown_wrong_disabled_and_elsewhere_are_told_apart_by_nothing(
    world: World,
) -> None:
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    disabled = await world.hire("dora", "agent", world.workspace)
    await world.store.replace(AGENTS, msgspec.structs.replace(disabled, disabled=True))
    bare = await world.hire("nina", "agent", world.workspace)
    await world.store.replace(AGENTS, msgspec.structs.replace(bare, password_hash=""))
    tries = {
        "wrong password": await log_in(world, world.email("amy"), "wrong"),
        "unknown address": await log_in(world, "nobody@nowhere.example"),
        "disabled": await log_in(world, world.email("dora")),
        "without a password": await log_in(world, world.email("nina")),
        "an unknown workspace": await log_in(world, world.email("amy"), workspace="nowhere"),
        "another workspace": await log_in(world, world.email("amy"), workspace=world.other),
        "the system's workspace": await log_in(world, world.email("amy"), workspace=SYSTEM),
    }
    assert {answer.status for answer in tries.values()} == {401}
    assert len({answer.body for answer in tries.values()}) == 1
    assert not [name for name, answer in tries.items() if "Set-Cookie" in answer.headers]


AGENT = Agent(
    id="a", workspace="w", name="A", email="a@x", email_key="a@x", role="agent", password_hash="?"
)
KNOWN = {
    "nobody": [],
    "one": [AGENT],
    "one that is disabled": [msgspec.structs.replace(AGENT, disabled=True)],
    "one without a password": [msgspec.structs.replace(AGENT, password_hash="")],
    "an absent one": [None],
    "three": [AGENT] * 3,
}


@pytest.mark.parametrize("tries", [1, CANDIDATES])
@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
async def test_g15_every_login_costs_the_same_number_of_hashes(
    known: list[Agent | None], tries: int
) -> None:
    compared: list[str] = []

    def verify(stored: str, _text: str) -> bool:
        compared.append(stored)
        return False

    assert await Passwords("decoy", verify).matching(known, "wrong", tries=tries) == []
    assert len(compared) == tries
    assert "" not in compared


async def test_a_decoy_opens_nothing_even_when_the_password_fits_it() -> None:
    passwords = Passwords(hash_password("x"))
    disabled = msgspec.structs.replace(AGENT, disabled=True, password_hash=hash_password("x"))
    assert await passwords.matching([disabled, None], "x", tries=3) == []


# --- several workspaces --------------------------------------------------------------------------


async def works_in_both(world: World, *, same_password: bool) -> str:
    """Give amy's address an agent in the other workspace as well."""
    email = world.email("amy")
    hashed = password_hash() if same_password else hash_password(OTHER_PASSWORD)
    await world.store.insert(
        AGENTS,
        Agent(
            id="agt-amy2",
            workspace=world.other,
            name="Amy Two",
            email=email,
            email_key=email,
            role="lead",
            password_hash=hashed,
        ),
    )
    entry = await world.store.get(DIRECTORY, SYSTEM, f"login:{email}")
    assert entry is not None
    both = (world.workspace, world.other)
    await world.store.replace(DIRECTORY, msgspec.structs.replace(entry, targets=both))
    return email


async def test_who_works_in_several_workspaces_is_asked_only_behind_the_right_password(
    world: World,
) -> None:
    email = await works_in_both(world, same_password=True)
    wrong = await log_in(world, email, "wrong")
    assert wrong.status == 401
    assert world.other.encode() not in wrong.body
    asked = await log_in(world, email)
    assert (asked.status, asked.json["code"]) == (409, "workspace_needed")
    assert asked.json["facts"]["field"] == "workspace"
    named = set(asked.json["facts"]["workspaces"].split(", "))
    assert named == {world.workspace, world.other}
    chosen = await log_in(world, email, workspace=world.other)
    assert (chosen.status, chosen.json["role"]) == (200, "lead")


async def test_only_the_workspaces_that_the_password_fits_are_named(world: World) -> None:
    email = await works_in_both(world, same_password=False)
    asked = await log_in(world, email)
    assert asked.json["facts"]["workspaces"] == world.workspace
    crossed = await log_in(world, email, workspace=world.other)
    assert crossed.status == 401
    assert (await log_in(world, email, OTHER_PASSWORD, workspace=world.other)).status == 200


# --- how often -----------------------------------------------------------------------------------


async def test_g15_an_account_takes_ten_wrong_passwords_and_then_waits(world: World) -> None:
    email = world.email("amy")
    for _ in range(10):
        answer = await log_in(world, email, "wrong", workspace=world.workspace)
        assert answer.status == 401
    stopped = await log_in(world, email)
    assert (stopped.status, stopped.json["code"]) == (429, "too_many_logins")
    assert 1 <= int(stopped.headers["Retry-After"]) <= 30
    assert (await log_in(world, world.email("bob"))).status == 200


async def test_right_logins_are_never_throttled(world: World) -> None:
    for _ in range(12):
        answer = await log_in(world, world.email("amy"), workspace=world.workspace)
        assert answer.status == 200


async def test_g14_a_forwarded_address_does_not_open_a_fresh_bucket(world: World) -> None:
    throttle = LoginThrottle(lambda: 0.0, address=Limit(burst=3, refill_s=60))
    async with serving(msgspec.structs.replace(world.desk, throttle=throttle)) as port:
        answers = []
        for n in range(4):
            body = {"email": f"guess{n}@x.example", "password": "wrong"}
            headers = {"X-Forwarded-For": f"10.0.0.{n}", "Forwarded": f"for=10.1.0.{n}"}
            url = f"http://127.0.0.1:{port}/api/v1/login"
            answers.append((await world.call("POST", url, body=body, headers=headers)).status)
        assert answers == [401, 401, 401, 429]


@pytest.mark.parametrize("email", ["", " ", "\t\n"])
async def test_g15_a_login_without_an_address_shares_no_bucket_it_is_refused(
    world: World, email: str
) -> None:
    for _ in range(12):
        answer = await log_in(world, email)
        assert (answer.status, answer.json["facts"]["field"]) == (422, "email")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_refills_and_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    buckets = Buckets(Limit(burst=2, refill_s=10), clock)
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 0.0]
    assert buckets.take("a") == pytest.approx(10.0)
    assert buckets.take("b") == 0.0
    clock.now += 10
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    clock.now += 10_000
    assert [buckets.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_the_table_of_buckets_is_bounded_and_forgets_who_is_full_again() -> None:
    clock = Clock()
    buckets = Buckets(Limit(burst=2, refill_s=10, keys=3), clock)
    for n in range(50):
        buckets.take(f"key {n}")
    assert len(buckets) == 3
    buckets.give_back("key 49")
    assert len(buckets) == 2


def test_no_bucket_has_an_empty_key() -> None:
    with pytest.raises(ValueError, match="key"):
        Buckets(Limit(burst=1, refill_s=1), Clock()).take("")
    with pytest.raises(ValueError, match="key"):
        LoginThrottle(Clock()).take("a@x", "")


def test_what_the_address_refuses_costs_the_account_nothing() -> None:
    clock = Clock()
    throttle = LoginThrottle(
        clock, account=Limit(burst=1, refill_s=10), address=Limit(burst=1, refill_s=10)
    )
    assert throttle.take("a@x", "1.1.1.1") == 0
    assert throttle.take("b@x", "1.1.1.1") == 10
    assert throttle.take("b@x", "2.2.2.2") == 0


def test_hashes_are_salted_and_only_their_password_fits() -> None:
    first, second = hash_password("pä55 wörd"), hash_password("pä55 wörd")
    assert first != second
    assert first.startswith("$argon2id$")
    assert verify_password(first, "pä55 wörd")
    assert not verify_password(first, "pä55 wörd ")
    assert not verify_password("", "")
    assert not verify_password("$argon2id$damaged", "x")
