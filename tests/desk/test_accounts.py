"""Accounts connected, changed, tested and disconnected by the API, never showing a secret."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from libs.common.account_entry import publish_account
from libs.common.admin import listening as listening_app
from libs.common.bus.client import open_bus
from libs.common.channels import CHANNELS
from libs.common.config import IngestSettings
from libs.common.directory import Directory, seal_context, watched
from libs.common.documents import ACCOUNTS, DIRECTORY, SYSTEM, AccountDocument
from libs.common.empty_webhooks import is_empty
from libs.common.guides import GUIDES
from libs.common.probes import webhook_probe
from libs.common.seal import Sealer, new_key_setting
from libs.common.subjects import ACCOUNTS_KV
from services.ingest.app import make_site
from services.ingest.outlet import Outlet
from services.ingest.reach import Reach
from services.ingest.server import listening
from services.ingest.spool import open_spool
from tests.desk.world import SECRET, Answer, World, open_world
from tests.ingest.harness import account, now

BOT = "U0123456789abcdef0123456789abcdef"
LINE = {
    "channel": "line",
    "external_id": BOT,
    "name": "Shop",
    "secrets": {"channel_secret": "0" * 32, "access_token": "the-access-token"},
}
HIDDEN = ("0" * 32, "the-access-token", "another-token", "nobody-sees")


def fresh(channel: str = "") -> str:
    return f"s{uuid.uuid4().hex[:10]}{channel}"


async def made(world: World, **more: Any) -> Answer:
    body = {"slug": fresh(), **LINE, "external_id": fresh("U"), **more}
    return await world.call("POST", "/accounts", "adam", body=body)


async def document(world: World, slug: str) -> AccountDocument:
    found = await world.store.get(ACCOUNTS, world.workspace, slug)
    assert found is not None
    return found


def opened(world: World, found: AccountDocument) -> dict[str, str]:
    return {
        name: world.desk.sealer.open(sealed, seal_context(found.workspace, found.id, name))
        for name, sealed in found.sealed.items()
    }


async def entry(world: World, slug: str) -> dict[str, Any] | None:
    found = await world.bus.kv_get(ACCOUNTS_KV, slug)
    if found is None or found.value is None:
        return None
    told: dict[str, Any] = msgspec.json.decode(found.value)
    return told


# --- the guide -----------------------------------------------------------------------------------


def test_every_channel_has_a_guide_that_names_all_of_its_secrets() -> None:
    for name, channel in CHANNELS.items():
        named = [secret.name for secret in GUIDES[name].secrets]
        assert sorted(named) == sorted((*channel.secrets, *channel.optional_secrets)), name
        assert GUIDES[name].app == (channel.addressees is not None), name
        codes = [step.code for step in GUIDES[name].steps]
        assert codes[-1] == "test", name
        assert len(set(codes)) == len(codes), name


@pytest.mark.parametrize("channel", sorted(set(CHANNELS) - {"wechat"}))
def test_a_probe_of_each_channel_is_taken_as_signed_and_nothing_happens_in_it(channel: str) -> None:
    one = account(channel)
    request = webhook_probe(one, now=now())
    assert request is not None
    CHANNELS[channel].verify(one, request)
    assert CHANNELS[channel].parse(one, request).events == ()
    assert is_empty(request.body)
    assert not is_empty(request.body + b" ")


async def test_the_kinds_tell_what_each_channel_needs(world: World) -> None:
    told = await world.get("/channels/kinds", "adam")
    kinds = {kind["channel"]: kind for kind in told["items"]}
    assert sorted(kinds) == sorted(CHANNELS)
    line = kinds["line"]
    assert line["webhook_path"] == "/webhooks/line/{account}"
    assert [one["name"] for one in line["secrets"] if one["needed"]] == [
        "channel_secret",
        "access_token",
    ]
    assert line["carries"] == sorted(CHANNELS["line"].carries)
    assert kinds["messenger"]["webhook_path"] == "/webhooks/meta/{app}"
    assert kinds["messenger"]["features"] == ["human_agent"]


# --- connecting ----------------------------------------------------------------------------------


async def test_a_connected_account_is_told_to_the_services_and_its_secrets_to_nobody(
    world: World,
) -> None:
    answer = await made(world)
    assert answer.status == 201, answer.body
    slug = answer.json["slug"]
    assert answer.headers["ETag"] == f'"{answer.json["version"]}"'
    assert opened(world, await document(world, slug)) == LINE["secrets"]
    told = await entry(world, slug)
    assert told is not None
    assert (told["name"], told["enabled"], told["workspace"]) == ("Shop", True, world.workspace)
    shown = await world.call("GET", f"/accounts/{slug}", "adam")
    listed = await world.call("GET", "/accounts", "adam")
    records = await world.call("GET", "/audit", "olga")
    for each in (answer, shown, listed, records):
        assert not any(text.encode() in each.body for text in HIDDEN)
    sets = {one["name"]: (one["needed"], one["is_set"]) for one in shown.json["secrets"]}
    assert sets == {
        "channel_secret": (True, True),
        "access_token": (True, True),
        "channel_secret_previous": (False, False),
    }
    assert all(one["since"] for one in shown.json["secrets"] if one["is_set"])
    (record,) = [one for one in await world.audited() if one.object == f"account:{slug}"]
    assert (record.action, record.before) == ("account.create", "")
    assert "sealed" not in record.after


async def test_what_we_choose_is_made_and_shown_once(world: World) -> None:
    answer = await made(world, channel="web", external_id="", secrets={})
    assert answer.status == 201, answer.body
    key = answer.json["made"]["visitor_key"]
    assert len(key) == 32
    assert answer.json["external_id"] == answer.json["slug"]
    found = await document(world, answer.json["slug"])
    assert opened(world, found) == {"visitor_key": key}
    again = await world.get(f"/accounts/{found.id}", "adam")
    assert again["made"] == {}


async def test_the_verify_token_is_shown_to_whoever_has_to_type_it_in(world: World) -> None:
    secrets = {"app_secret": "nobody-sees", "access_token": "another-token"}
    answer = await made(world, channel="messenger", app="our-app", secrets=secrets)
    assert answer.status == 201, answer.body
    shown = await world.get(f"/accounts/{answer.json['slug']}", "adam")
    assert shown["verify_token"] == answer.json["made"]["verify_token"]
    assert shown["webhook_path"] == "/webhooks/meta/our-app"


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "a slug of other characters": ({"slug": "Not A Slug"}, "slug"),
    "a slug that ends in a hyphen": ({"slug": "shop-"}, "slug"),
    "a channel that is none": ({"channel": "fax"}, "channel"),
    "no id at the provider": ({"external_id": ""}, "external_id"),
    "a secret missing": ({"secrets": {"channel_secret": "x"}}, "secrets.access_token"),
    "a secret that it has not": (
        {"secrets": {**LINE["secrets"], "word": "x"}},  # type: ignore[dict-item]
        "secrets.word",
    ),
    "an empty secret": ({"secrets": {**LINE["secrets"], "access_token": ""}}, "secrets"),  # type: ignore[dict-item]
    "no app where one is needed": ({"channel": "messenger"}, "app"),
    "a feature that is none": ({"features": ["magic"]}, "features.0"),
    "calls elsewhere": ({"api_base": "http://127.0.0.1:1/"}, "api_base"),
}


@pytest.mark.parametrize(("more", "field"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_connected_names_the_field(
    world: World, more: dict[str, Any], field: str
) -> None:
    answer = await made(world, **more)
    assert answer.status == 422, answer.body
    assert answer.json["facts"]["field"].startswith(field)
    assert answer.json["facts"]["allowed"]


async def test_a_name_or_an_id_that_is_taken_is_refused_and_said_why(world: World) -> None:
    first = (await made(world)).json
    same_name = await made(world, slug=first["slug"])
    assert (same_name.status, same_name.json["code"]) == (409, "slug_taken")
    elsewhere = await made(world, slug=world.slug("line", world.other))
    assert (elsewhere.status, elsewhere.json["code"]) == (409, "slug_taken")
    same_id = await made(world, external_id=first["external_id"])
    assert (same_id.status, same_id.json["code"]) == (409, "already_connected")
    assert same_id.json["facts"]["account"] == first["slug"]


async def test_a_repeat_of_the_key_answers_with_the_same_account(world: World) -> None:
    body = {"slug": fresh(), **LINE, "external_id": fresh("U")}
    key = {"Idempotency-Key": "one"}
    both = [await world.call("POST", "/accounts", "adam", body=body, headers=key) for _ in range(2)]
    assert [one.status for one in both] == [201, 200]
    other = {**body, "name": "Other"}
    refused = await world.call("POST", "/accounts", "adam", body=other, headers=key)
    assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")


# --- changing ------------------------------------------------------------------------------------


async def test_a_new_secret_takes_the_place_of_one_and_leaves_the_others(world: World) -> None:
    slug = (await made(world)).json["slug"]
    before = await document(world, slug)
    change = {"name": "Renamed", "secrets": {"access_token": "another-token"}}
    answer = await world.call("PATCH", f"/accounts/{slug}", "adam", body=change)
    assert answer.status == 200, answer.body
    after = await document(world, slug)
    assert opened(world, after) == {**LINE["secrets"], "access_token": "another-token"}  # type: ignore[dict-item]
    assert after.sealed["channel_secret"] == before.sealed["channel_secret"]
    assert after.secrets_at["channel_secret"] == before.secrets_at["channel_secret"]
    assert after.secrets_at["access_token"] > before.secrets_at["access_token"]
    told = await entry(world, slug)
    assert told is not None
    assert (told["name"], told["sealed"]) == ("Renamed", after.sealed)
    old = [one for one in await world.audited() if one.object == f"account:{slug}"][-1]
    assert "Shop" in old.before
    assert "Renamed" in old.after
    assert "another-token" not in old.after


async def test_an_optional_secret_is_taken_away_by_null_and_a_needed_one_is_not(
    world: World,
) -> None:
    slug = (await made(world)).json["slug"]
    path = f"/accounts/{slug}"
    for given in ("nobody-sees", None):
        body = {"secrets": {"channel_secret_previous": given}}
        assert (await world.call("PATCH", path, "adam", body=body)).status == 200
        held = opened(world, await document(world, slug))
        assert held.get("channel_secret_previous") == given
    refused = await world.call("PATCH", path, "adam", body={"secrets": {"access_token": None}})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "secrets.access_token")
    refused = await world.call("PATCH", path, "adam", body={"secrets": {"word": "x"}})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "secrets.word")


async def test_a_change_of_an_older_version_is_refused(world: World) -> None:
    first = await made(world)
    path, old = f"/accounts/{first.json['slug']}", {"If-Match": first.headers["ETag"]}
    changed = await world.call("PATCH", path, "adam", body={"name": "B"}, headers=old)
    assert changed.status == 200
    for method, body in (("PATCH", {"name": "C"}), ("DELETE", None)):
        late = await world.call(method, path, "adam", body=body, headers=old)
        assert (late.status, late.json["code"]) == (412, "changed_meanwhile")
    assert (await document(world, first.json["slug"])).name == "B"


async def test_an_account_that_is_off_is_known_to_ingest_as_off(world: World) -> None:
    slug = (await made(world)).json["slug"]
    directory = Directory(world.desk.sealer)
    for enabled in (False, True):
        body = {"enabled": enabled}
        assert (await world.call("PATCH", f"/accounts/{slug}", "adam", body=body)).status == 200
        found = await world.bus.kv_get(ACCOUNTS_KV, slug)
        directory.put_account(slug, found.value if found else None)
        assert (directory.account(slug) is not None) is enabled


# --- disconnecting -------------------------------------------------------------------------------


async def test_an_account_without_talk_is_gone_with_its_name(world: World) -> None:
    slug = (await made(world)).json["slug"]
    assert (await world.call("DELETE", f"/accounts/{slug}", "adam")).status == 204
    assert (await world.call("GET", f"/accounts/{slug}", "adam")).status == 404
    assert await entry(world, slug) is None
    assert await world.store.get(DIRECTORY, SYSTEM, f"account:{slug}") is None
    gone = [one for one in await world.audited() if one.object == f"account:{slug}"][-1]
    assert (gone.action, gone.after) == ("account.delete", "")
    assert (await made(world, slug=slug)).status == 201


async def test_one_with_open_sessions_asks_first_and_its_talk_stays(world: World) -> None:
    session = await world.writes("hello")
    slug = world.slug("line")
    path = f"/accounts/{slug}"
    asked = await world.call("DELETE", path, "adam")
    assert (asked.status, asked.json["code"]) == (409, "confirmation_required")
    assert asked.json["facts"]["count"] == "1"
    assert "1 open session" in asked.json["facts"]["summary"]
    token = (("confirm", asked.json["facts"]["token"]),)
    theirs = await world.call("DELETE", path, "olga", query=token)
    assert theirs.status == 409, "a token is of whoever asked"
    done = await world.call("DELETE", path, "adam", query=token)
    assert done.status == 204, done.body
    assert (await world.get(f"/sessions/{session.id}"))["id"] == session.id
    refused = await made(world, slug=slug, channel="web", secrets={})
    assert (refused.status, refused.json["code"]) == (409, "slug_used")
    assert (await made(world, slug=slug)).status == 201


async def test_one_that_something_names_is_not_taken_away(world: World) -> None:
    slug = (await made(world)).json["slug"]
    limits = {"accounts": [slug]}
    assert (await world.call("PATCH", "/agents/agt-amy", "olga", body=limits)).status == 200
    refused = await world.call("DELETE", f"/accounts/{slug}", "adam")
    assert (refused.status, refused.json["code"]) == (409, "in_use")
    assert world.email("amy") in refused.json["facts"]["naming"]


async def test_what_somebody_else_wrote_in_between_is_told_all_the_same(world: World) -> None:
    slug = (await made(world)).json["slug"]
    await world.bus.kv_put(ACCOUNTS_KV, slug, b"{}")
    await asyncio.gather(
        *(publish_account(world.store, world.bus, world.workspace, slug) for _ in range(4))
    )
    told = await entry(world, slug)
    assert told is not None
    assert told["name"] == "Shop"


# --- testing -------------------------------------------------------------------------------------


class Tried(World):
    """A world whose webhooks come in by a real ingest, and whose provider is a stub."""

    provider: str
    provider_says: dict[str, Any]


@pytest.fixture
async def tried(nats_url: str, ready_url: str, tmp_path: Path) -> AsyncIterator[Tried]:
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        key = new_key_setting()
        reach = Reach(Directory(Sealer.from_setting(key)))
        reach.bus = await enter(open_bus(nats_url, name="ingest-test"))
        spool = await enter(open_spool(tmp_path, 1 << 20))
        outlet = Outlet(reach, spool, publish_timeout_s=5)
        settings = IngestSettings(nats_url=nats_url, secret_key=key, spool_dir=str(tmp_path))
        site = make_site(settings, reach, outlet)
        port = await enter(listening(site.table, "127.0.0.1", 0, closing=site.close))
        says: dict[str, Any] = {"userId": BOT}

        async def answer(_request: web.Request) -> web.Response:
            return web.json_response(says, status=says.get("status", 200))

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        provider = await enter(listening_app(app, "127.0.0.1", 0))
        url = f"http://127.0.0.1:{port}"
        world = await enter(open_world(nats_url, ready_url, public_url=url, local_webhooks=True))
        reach.directory = await enter(watched(world.bus, world.desk.sealer, policies=False))
        world.__class__ = Tried
        assert isinstance(world, Tried)
        world.provider, world.provider_says = f"http://127.0.0.1:{provider}", says
        yield world


async def checked(world: Tried, slug: str) -> dict[str, tuple[str, str]]:
    answer = await world.call("POST", f"/accounts/{slug}/test", "adam")
    assert answer.status == 200, answer.body
    found = {one["code"]: (one["result"], one["reason"]) for one in answer.json["steps"]}
    assert answer.json["ok"] == all(result != "failed" for result, _ in found.values())
    return found


async def test_d10_a_test_goes_through_the_front_door_as_the_provider_would(tried: Tried) -> None:
    one = (await made(tried, external_id=BOT, api_base=tried.provider)).json
    assert one["webhook_url"].endswith(f"/webhooks/line/{one['slug']}")
    assert await checked(tried, one["slug"]) == {
        "secrets": ("ok", ""),
        "token": ("unknown", "not_told"),
        "public_url": ("failed", "not_public"),  # of a trial on this machine
        "webhook": ("ok", ""),
        "provider": ("ok", ""),
    }
    tried.provider_says["userId"] = "U-of-another"
    assert (await checked(tried, one["slug"]))["provider"] == ("failed", "other_account")
    tried.provider_says |= {"status": 401}
    assert (await checked(tried, one["slug"]))["provider"] == ("failed", "credential")
    tried.provider_says |= {"status": 500}
    assert (await checked(tried, one["slug"]))["provider"] == ("unknown", "status_500")
    off = {"enabled": False}
    await tried.call("PATCH", f"/accounts/{one['slug']}", "adam", body=off)
    found = await checked(tried, one["slug"])
    assert found["enabled"] == ("failed", "disabled")
    assert found["webhook"] == ("failed", "status_404")


async def test_d10_the_check_of_metas_address_and_of_an_unusual_secret(tried: Tried) -> None:
    secrets = {"app_secret": "short", "access_token": "t"}
    body = {"channel": "whatsapp", "app": fresh(), "secrets": secrets, "api_base": tried.provider}
    one = await made(tried, external_id="123", **body)
    assert one.status == 201, one.body
    tried.provider_says |= {"id": "123"}
    found = await checked(tried, one.json["slug"])
    assert found["secrets"] == ("unknown", "unusual_form")
    assert (found["handshake"], found["webhook"]) == (("ok", ""), ("ok", ""))
    assert found["provider"] == ("ok", "")
    tried.provider_says |= {"status": 400, "error": {"type": "OAuthException"}}
    assert (await checked(tried, one.json["slug"]))["provider"] == ("failed", "credential")


async def test_d10_the_web_chat_has_no_provider_and_wechat_is_not_asked(tried: Tried) -> None:
    web_chat = (await made(tried, channel="web", secrets={})).json
    assert await checked(tried, web_chat["slug"]) == {
        "secrets": ("ok", ""),
        "public_url": ("failed", "not_public"),
        "webhook": ("ok", ""),
    }
    keys = {"app_secret": "0" * 32, "aes_key": "too-short"}
    wechat = (await made(tried, channel="wechat", secrets=keys)).json
    found = await checked(tried, wechat["slug"])
    assert found["secrets"] == ("failed", "wrong_form")
    assert found["handshake"] == ("ok", "")
    assert found["provider"] == ("unknown", "no_call")
    assert "webhook" not in found


async def test_d10_who_cannot_be_reached_or_has_no_secrets_says_so(tried: Tried) -> None:
    sealed = await checked(tried, tried.slug("line"))  # furnished without the secrets of LINE
    assert SECRET not in str(sealed)
    assert sealed["secrets"] == ("failed", "absent")
    assert sealed["webhook"] == ("failed", "unsigned")


async def test_d10_an_installation_that_does_not_know_its_address_says_what_to_set(
    world: World,
) -> None:
    slug = (await made(world, channel="web", secrets={})).json["slug"]
    answer = await world.call("POST", f"/accounts/{slug}/test", "adam")
    steps = {one["code"]: one for one in answer.json["steps"]}
    assert (steps["public_url"]["result"], steps["webhook"]["result"]) == ("unknown", "unknown")
    assert "RELAYDESK_PUBLIC_URL" in steps["public_url"]["advice"]
