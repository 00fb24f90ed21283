"""Logging in by a provider: who gets in, and every lie that does not get anybody in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from libs.common.channel import HttpCall
from libs.common.documents import AGENTS
from libs.common.errors import SettingsError
from libs.common.http import open_door
from libs.common.people import OIDC_LOGINS
from libs.common.store.api import Page
from libs.common.targets import AllowedBase, ForbiddenTargetError, is_inside
from services.desk.oidc import ASK_AGAIN, Begun, Oidc, OidcAwayError, check_oidc
from services.desk.throttle import LinkThrottle
from tests.desk.oidc_provider import (
    CLIENT,
    SECRET,
    ProviderStub,
    by_client_secret,
    by_garbage,
    by_nobody,
    by_public_key,
    by_stranger,
    changed_later,
    serving_provider,
)
from tests.desk.world import Answer, World, desk_settings

PUBLIC = "https://desk.example"


class Way:
    """A browser that logs in by *stub* to *world*."""

    def __init__(self, world: World, stub: ProviderStub, base: str) -> None:
        self.world, self.stub, self.base = world, stub, base
        self.later = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    async def begin(self) -> tuple[str, str]:
        """Return where the browser is sent, and its cookie."""
        answer = await self.world.call("GET", f"{self.base}/login/oidc")
        assert answer.status == 303, answer.body
        return answer.headers["Location"], answer.headers["Set-Cookie"].partition(";")[0]

    async def back(self, query: Mapping[str, str], cookie: str) -> Answer:
        return await self.world.call(
            "GET",
            f"{self.base}/login/oidc/callback",
            headers={"Cookie": cookie},
            query=list(query.items()),
        )

    async def log_in(self, email: str | None = None, **claims: Any) -> Answer:
        self.stub.claims = {"email": email or self.world.email("amy"), **claims}
        where, cookie = await self.begin()
        return await self.back(self.stub.consent(where), cookie)

    async def whoami(self, answer: Answer) -> Any:
        """Return who is logged in by *answer*, which is a success."""
        assert answer.status == 303, answer.body
        cookies = answer.headers.getall("Set-Cookie")  # type: ignore[attr-defined]
        [mine] = [c.partition(";")[0] for c in cookies if c.startswith("relaydesk=")]
        headers = {"Cookie": mine}
        return (await self.world.call("GET", f"{self.base}/me", headers=headers)).json


@asynccontextmanager
async def way(world: World, **settings: Any) -> AsyncIterator[Way]:
    async with serving_provider() as stub, open_door() as door:
        chosen = desk_settings(
            oidc_issuer=stub.url,
            oidc_client_id=CLIENT,
            oidc_client_secret=SECRET,
            oidc_workspace=world.workspace,
            public_url=PUBLIC,
            **settings,
        )
        check_oidc(chosen)
        made = Way(world, stub, "")
        oidc = Oidc(chosen, door, made.now)
        before = world.desk
        doors = LinkThrottle(lambda: time.monotonic() * 10_000)
        world.desk = msgspec.structs.replace(
            before, oidc=oidc, settings=chosen, now=made.now, doors=doors
        )
        async with world.serving_desk() as base:
            made.base = f"{base}/api/v1"
            yield made
        world.desk = before


async def test_d24_who_works_here_logs_in_by_the_provider(world: World) -> None:
    async with way(world) as made:
        where, cookie = await made.begin()
        asked = {name: found[0] for name, found in parse_qs(urlsplit(where).query).items()}
        assert asked["redirect_uri"] == f"{PUBLIC}/api/v1/login/oidc/callback"
        assert (asked["response_type"], asked["scope"]) == ("code", "openid email profile")
        assert asked["code_challenge_method"] == "S256"
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
        assert cookie.startswith("relaydesk-oidc=")
        made.stub.claims = {"email": world.email("amy").upper()}
        answer = await made.back(made.stub.consent(where), cookie)
        assert answer.headers["Location"] == "/"
        assert (await made.whoami(answer))["agent"]["id"] == "agt-amy"
        [form] = made.stub.forms
        assert SECRET not in form.values()
        assert made.stub.credentials[0].startswith("Basic ")
        again = await made.log_in(email="amy.new@elsewhere.example")
        assert (await made.whoami(again))["agent"]["id"] == "agt-amy", "known by the account"
    assert "oidc.link" in [entry.action for entry in await world.audited()]


CLAIMS: dict[str, dict[str, Any]] = {
    "of another audience": {"aud": "another"},
    "of several audiences, made for another": {"aud": [CLIENT, "another"], "azp": "another"},
    "of several audiences, made for nobody": {"aud": [CLIENT, "another"]},
    "without an audience": {"aud": None},
    "of another issuer": {"iss": "https://evil.example"},
    "without an issuer": {"iss": None},
    "of another login": {"nonce": "another"},
    "without a nonce": {"nonce": None},
    "that is over": {"exp": int(time.time()) - 120},
    "that never ends": {"exp": None},
    "of the future": {"iat": int(time.time()) + 3600},
    "of nobody": {"sub": None},
    "with an address that is not verified": {"email_verified": False},
    "with an address of which nothing is said": {"email_verified": None},
    "with a word in place of a yes": {"email_verified": "true"},
    "without an address": {"email": None},
}


async def test_d24_a_token_is_refused_of_other_claims(world: World) -> None:
    async with way(world) as made:
        for sentence, claims in CLAIMS.items():
            where, cookie = await made.begin()
            made.stub.claims = {"email": world.email("amy"), **claims}
            answer = await made.back(made.stub.consent(where), cookie)
            assert answer.status == 403, sentence
            assert answer.json["code"] == "login_refused", sentence
            assert "Set-Cookie" not in answer.headers, sentence


SIGNED = {
    "by nobody": by_nobody,
    "by the public key as a shared secret": by_public_key,
    "by the client's secret": by_client_secret,
    "by a key that nobody publishes": by_stranger,
    "before it was changed": changed_later,
    "not at all: it is no token": by_garbage,
}


async def test_d24_a_token_is_refused_that_is_signed_otherwise(world: World) -> None:
    async with way(world) as made:
        for sentence, sign in SIGNED.items():
            made.stub.sign = sign
            answer = await made.log_in()
            assert answer.status == 403, sentence
            assert answer.json["code"] == "login_refused", sentence


BACK: dict[str, dict[str, str]] = {
    "with another state": {"state": "another"},
    "without a state": {"state": ""},
    "with another issuer": {"iss": "https://evil.example"},
    "with another's code": {"code": "code-of-another"},
    "without a code": {"code": ""},
    "with the provider's refusal": {"error": "access_denied"},
}


async def test_d24_a_browser_is_refused_that_comes_back_otherwise(world: World) -> None:
    async with way(world) as made:
        made.stub.claims = {"email": world.email("amy")}
        for sentence, changes in BACK.items():
            where, cookie = await made.begin()
            answer = await made.back({**made.stub.consent(where), **changes}, cookie)
            assert answer.status == 403, sentence
            assert answer.json["code"] == "login_refused", sentence


async def test_d24_a_login_comes_back_once_to_the_browser_that_began_it_and_soon(
    world: World,
) -> None:
    async with way(world) as made:
        made.stub.claims = {"email": world.email("amy")}
        where, cookie = await made.begin()
        query = made.stub.consent(where)
        assert (await made.back(query, cookie)).status == 303
        assert (await made.back(query, cookie)).status == 403, "the same once more"
        where, _ = await made.begin()
        _, others = await made.begin()
        assert (await made.back(made.stub.consent(where), others)).status == 403
        where, _ = await made.begin()
        assert (await made.back(made.stub.consent(where), "")).status == 403
        where, cookie = await made.begin()
        made.later = timedelta(minutes=11)
        assert (await made.back(made.stub.consent(where), cookie)).status == 403
        await made.begin()
        kept = await world.store.find(OIDC_LOGINS, world.workspace, {}, Page(order="expires"))
        assert len(kept) == 1, "what never came back is forgotten"


async def test_d24_a_new_key_of_the_provider_is_found_and_an_old_one_is_not_believed(
    world: World,
) -> None:
    async with way(world) as made:
        assert (await made.log_in()).status == 303
        assert made.stub.jwks_asked == 1
        assert (await made.log_in()).status == 303
        assert made.stub.jwks_asked == 1, "keys are remembered"
        made.stub.rotate()
        made.later = ASK_AGAIN
        assert (await made.log_in()).status == 303
        assert made.stub.jwks_asked == 2
        made.stub.keys.pop()
        made.later = ASK_AGAIN * 2
        assert (await made.log_in()).status == 403, "signed by the key that was withdrawn"
        assert (await made.log_in()).status == 403
        assert made.stub.jwks_asked == 3, "and it is not asked at will"


async def test_d24_who_is_new_gets_in_only_where_the_settings_or_an_invitation_say_so(
    world: World,
) -> None:
    nora = f"nora@{world.workspace}.example"
    async with way(world) as made:
        assert (await made.log_in(nora)).status == 403
        body = {"email": nora, "role": "lead"}
        assert (await world.call("POST", "/invitations", "adam", body=body)).status == 201
        me = await made.whoami(await made.log_in(nora))
        assert (me["role"], me["agent"]["name"]) == ("lead", "Nora")
        other = await made.log_in(f"kim@{world.workspace}.example", sub="u-2")
        assert other.status == 403
    domain = f"{world.workspace}.example"
    async with way(world, oidc_role="agent", oidc_domains=f"x.example, {domain}") as made:
        kim = await made.whoami(await made.log_in(f"kim@{domain}", sub="u-2"))
        assert kim["role"] == "agent"
        assert (await made.log_in("eve@evil.example", sub="u-3")).status == 403
        assert (await made.log_in(f"eve@sub.{domain}", sub="u-3")).status == 403


async def test_d24_whoever_gets_an_address_later_is_not_who_had_it(world: World) -> None:
    async with way(world) as made:
        assert (await made.log_in()).status == 303
        assert (await made.log_in(sub="u-2")).status == 403
        amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
        assert amy is not None
        await world.store.replace(AGENTS, msgspec.structs.replace(amy, disabled=True))
        assert (await made.log_in()).status == 403, "nor does who is disabled get in"


async def test_d24_a_provider_that_is_away_or_another_is_said_so(world: World) -> None:
    async with way(world) as made:
        made.stub.described = {"issuer": "https://evil.example"}
        answer = await world.call("GET", f"{made.base}/login/oidc")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
        offered = await world.call("GET", f"{made.base}/login")
        assert offered.json == {"password": True, "oidc": True}
    assert (await world.call("GET", "/login")).json == {"password": True, "oidc": False}
    none = await world.call("GET", "/login/oidc")
    assert (none.status, none.json["code"]) == (404, "not_found")


async def test_d24_a_login_leads_to_the_console_and_nowhere_else(world: World) -> None:
    async with way(world) as made:
        query = [("next", "https://evil.example")]
        answer = await world.call("GET", f"{made.base}/login/oidc", query=query)
        assert answer.status == 422


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "without a client": ({"oidc_client_id": ""}, "RELAYDESK_OIDC_CLIENT_ID"),
    "without a workspace": ({"oidc_workspace": ""}, "RELAYDESK_OIDC_WORKSPACE"),
    "without an address of our own": ({"public_url": ""}, "RELAYDESK_PUBLIC_URL"),
    "that let everybody in": ({"oidc_role": "agent"}, "RELAYDESK_OIDC_DOMAINS"),
    "over plain http": ({"oidc_issuer": "http://login.example"}, "RELAYDESK_OIDC_ISSUER"),
    "that are no address": ({"oidc_issuer": "login"}, "RELAYDESK_OIDC_ISSUER"),
}


@pytest.mark.parametrize(("changes", "named"), SETTINGS.values(), ids=SETTINGS)
def test_d24_settings_stop_the_start(changes: dict[str, str], named: str) -> None:
    right = {
        "oidc_issuer": "https://login.example",
        "oidc_client_id": CLIENT,
        "oidc_workspace": "acme",
        "public_url": PUBLIC,
    }
    check_oidc(desk_settings(**right))
    with pytest.raises(SettingsError, match=named):
        check_oidc(desk_settings(**{**right, **changes}))


async def test_d24_the_issuers_own_origin_may_lie_inside_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def noted(address: str) -> bool:
        asked.append(address)
        return False

    monkeypatch.setattr("libs.common.http.is_inside", noted)
    settings = desk_settings(
        oidc_issuer="https://10.0.0.8:8443/realms/acme",
        oidc_client_id=CLIENT,
        oidc_workspace="acme",
        public_url=PUBLIC,
    )
    check_oidc(settings)
    async with open_door() as door:
        oidc = Oidc(settings, door, lambda: datetime.now(UTC))
        with pytest.raises(OidcAwayError, match="forbidden_target"):
            await oidc.address(Begun(state="s", nonce="n", verifier="v" * 43))
        assert asked == ["10.0.0.8"]
        own = AllowedBase("https://10.0.0.8:8443", inside=True)
        for other in ("https://10.0.0.8/", "https://10.0.0.9:8443/", "http://10.0.0.8:8443/"):
            with pytest.raises(ForbiddenTargetError):
                await door.perform(HttpCall(url=other, method="GET"), timeout_s=1, allow=own)
    assert asked == ["10.0.0.8"]


INSIDE = {
    "10.1.2.3": True,
    "172.16.0.1": True,
    "192.168.1.1": True,
    "fd00::1": True,
    "127.0.0.1": True,
    "::1": True,
    "169.254.169.254": False,
    "fe80::1": False,
    "0.0.0.0": False,  # noqa: S104 (it is refused)
    "224.0.0.1": False,
    "::ffff:10.0.0.1": False,
    "255.255.255.255": False,
    "8.8.8.8": False,
}


@pytest.mark.parametrize(("address", "expected"), INSIDE.items(), ids=INSIDE)
def test_d24_an_address_of_a_private_network_is(address: str, expected: bool) -> None:
    assert is_inside(address) is expected
