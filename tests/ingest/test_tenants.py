"""A shared address: each account receives what is its own, and only behind its own secret."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.events import MessageReceived, Unparsed
from libs.common.simulate.signing import signed
from services.ingest.slices import slices
from tests.ingest.harness import Here, account, counted, events, now, raws, said


def entries(*bodies: bytes) -> bytes:
    """Return one body with the entries of all *bodies*, whatever their object."""
    opened: list[dict[str, Any]] = [msgspec.json.decode(body) for body in bodies]
    return msgspec.json.encode(
        {"object": opened[0]["object"], "entry": [e for one in opened for e in one["entry"]]}
    )


def tenants(channel: str, *, same_secret: bool) -> tuple[Account, Account]:
    """Return accounts of two workspaces behind the same address."""
    one, other = account(channel), account(channel)
    secrets = one.secrets if same_secret else other.secrets
    return one, msgspec.structs.replace(other, app=one.app, secrets=secrets)


async def test_a_secret_of_ones_own_opens_nobody_elses_page(here: Here) -> None:
    victim, attacker = tenants("messenger", same_secret=False)
    here.connect(victim, attacker)
    both = entries(said(victim, "forged"), said(attacker, "own"))
    answer = await here.post(attacker, signed(attacker, both, now=now()))
    assert answer.status == 200
    assert await events(here.bus, victim.workspace) == []
    assert await raws(here.bus, victim.workspace) == []
    (own,) = await events(here.bus, attacker.workspace)
    assert own.event.event_id.endswith("own")


async def test_a_secret_of_ones_own_does_not_let_one_listen(here: Here) -> None:
    victim, attacker = tenants("messenger", same_secret=False)
    claimed = msgspec.structs.replace(attacker, external_id=victim.external_id)
    here.connect(victim, claimed)
    answer = await here.post(victim, signed(victim, said(victim, "m-1"), now=now()))
    assert answer.status == 200
    assert len(await events(here.bus, victim.workspace)) == 1
    assert await events(here.bus, attacker.workspace) == []


async def test_a_malformed_body_goes_to_an_account_of_the_secret_that_signed_it(here: Here) -> None:
    victim, attacker = tenants("messenger", same_secret=False)
    here.connect(victim, attacker)
    for signer, other in ((victim, attacker), (attacker, victim)):
        before = len(await events(here.bus, other.workspace))
        await here.post(signer, signed(signer, b"no envelope", now=now()))
        kept = await events(here.bus, signer.workspace)
        assert isinstance(kept[-1].event, Unparsed)
        assert len(await events(here.bus, other.workspace)) == before


@pytest.mark.parametrize("channel", ["messenger", "fb_comment", "instagram", "whatsapp"])
async def test_two_accounts_in_one_body_get_their_own_part_each(here: Here, channel: str) -> None:
    one, other = tenants(channel, same_secret=True)
    here.connect(one, other)
    first, second = said(one, "m-1", "for the first"), said(other, "m-2", "for the second")
    answer = await here.post(one, signed(one, entries(first, second), now=now()))
    assert answer.status == 200
    for tenant, own, theirs in (
        (one, b"for the first", b"for the second"),
        (other, b"for the second", b"for the first"),
    ):
        (event,) = await events(here.bus, tenant.workspace)
        assert isinstance(event.event, MessageReceived)
        (raw,) = await raws(here.bus, tenant.workspace)
        assert raw.sliced
        assert own in raw.body
        assert theirs not in raw.body
        again = WebhookRequest(method="POST", headers={}, query={}, body=raw.body)
        assert len(CHANNELS[channel].parse(tenant, again).events) == 1


async def test_a_page_and_its_comments_get_their_own_part_each(here: Here) -> None:
    page = account("messenger")
    comments = msgspec.structs.replace(
        account("fb_comment", workspace=page.workspace),
        app=page.app,
        secrets=page.secrets,
        external_id=page.external_id,
    )
    here.connect(page, comments)
    message = msgspec.json.decode(said(page, "m-1"))["entry"][0]
    comment = msgspec.json.decode(said(comments, "c-1"))["entry"][0]
    body = msgspec.json.encode({"object": "page", "entry": [{**comment, **message}]})
    assert (await here.post(page, signed(page, body, now=now()))).status == 200
    found = {e.account for e in await events(here.bus, page.workspace)}
    assert found == {page.slug, comments.slug}
    for raw in await raws(here.bus, page.workspace):
        assert (b"messaging" in raw.body) != (b"changes" in raw.body)


async def test_two_numbers_of_one_business_in_one_entry(here: Here) -> None:
    one, other = tenants("whatsapp", same_secret=True)
    here.connect(one, other)
    entry = msgspec.json.decode(said(one, "m-1", "first"))["entry"][0]
    entry["changes"] += msgspec.json.decode(said(other, "m-2", "second"))["entry"][0]["changes"]
    body = msgspec.json.encode({"object": "whatsapp_business_account", "entry": [entry]})
    assert (await here.post(one, signed(one, body, now=now()))).status == 200
    for tenant, theirs in ((one, b"second"), (other, b"first")):
        assert len(await events(here.bus, tenant.workspace)) == 1
        (raw,) = await raws(here.bus, tenant.workspace)
        assert theirs not in raw.body


async def test_what_is_for_a_stranger_is_left_out_of_the_stored_body(here: Here) -> None:
    one, stranger = tenants("messenger", same_secret=True)
    here.connect(one)
    before = counted("unknown_addressees_total", endpoint="meta")
    body = entries(said(one, "m-1", "mine"), said(stranger, "m-2", "of a stranger"))
    assert (await here.post(one, signed(one, body, now=now()))).status == 200
    (raw,) = await raws(here.bus, one.workspace)
    assert b"of a stranger" not in raw.body
    assert counted("unknown_addressees_total", endpoint="meta") == before + 1


async def test_half_an_emoji_next_door_costs_nobody_anything(here: Here) -> None:
    one, other = tenants("messenger", same_secret=True)
    here.connect(one, other)
    body = entries(said(one, "m-1", "BROKEN"), said(other, "m-2", "sound"))
    body = body.replace(b"BROKEN", b"\\ud83d")
    assert (await here.post(one, signed(one, body, now=now()))).status == 200
    for tenant in (one, other):
        (event,) = await events(here.bus, tenant.workspace)
        assert isinstance(event.event, MessageReceived)


async def test_a_new_account_receives_as_soon_as_it_is_known(here: Here) -> None:
    one, other = tenants("messenger", same_secret=True)
    here.connect(one)
    await here.post(one, signed(one, said(other, "m-1"), now=now()))
    here.connect(other)
    await here.post(one, signed(one, said(other, "m-2"), now=now()))
    (event,) = await events(here.bus, other.workspace)
    assert event.event.event_id.endswith("m-2")


def test_slices_partition_any_mix_of_entries() -> None:
    """Every item of a mixed body is in exactly the slices of those it is addressed to."""
    pages = [account("messenger") for _ in range(5)]
    shuffled = [(pages[(n * n + n // 5) % 5], f"m-{n}") for n in range(60)]
    body = entries(*(said(page, name, name) for page, name in shuffled))
    request = WebhookRequest(method="POST", headers={}, query={}, body=body)
    addressees = CHANNELS["messenger"].addressees
    assert addressees is not None
    found = slices(request, addressees)
    for page in pages:
        own = found[("messenger", page.external_id)]
        names = {f'"{name}"'.encode() for owner, name in shuffled if owner is page}
        others = {f'"{name}"'.encode() for owner, name in shuffled if owner is not page}
        assert all(name in own for name in names)
        assert not any(name in own for name in others)
