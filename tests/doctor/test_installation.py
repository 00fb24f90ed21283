"""The doctor looks at an installation: each fault is named, a sound one is called so."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common.bus.client import open_bus
from libs.common.cli.admin import migrate
from libs.common.clocks import Skew
from libs.common.directory import AccountEntry, seal_context
from libs.common.doctor.findings import Check
from libs.common.doctor.health import look_at_health
from libs.common.doctor.installation import (
    examine,
    look_at_accounts,
    look_at_clock,
    look_at_public_url,
    look_at_settings,
    look_at_version,
)
from libs.common.health import Seen
from libs.common.seal import Sealer
from libs.common.subjects import ACCOUNTS_KV, HEALTH_KV

KEY = "k1:" + base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = "k1:" + base64.b64encode(bytes(32)).decode()
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def settings(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "RELAYDESK_NATS_URL": "nats://127.0.0.1:1",
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path}/store.db",
        "RELAYDESK_SECRET_KEY": KEY,
        **more,
    }


def entry(*, key: str = KEY, channel: str = "line", **secrets: str) -> AccountEntry:
    sealer = Sealer.from_setting(key)
    given = {"channel_secret": "s-0001", "access_token": "t-0001"} | secrets
    sealed = {n: sealer.seal(v, seal_context("acme", "a", n)) for n, v in given.items()}
    return AccountEntry(
        workspace="acme", slug="a", channel=channel, external_id="U1", sealed=sealed
    )


def without(name: str) -> AccountEntry:
    whole = entry()
    sealed = {n: v for n, v in whole.sealed.items() if n != name}
    return msgspec.structs.replace(whole, sealed=sealed)


ACCOUNTS: dict[str, tuple[AccountEntry, str, str]] = {
    "sound": (entry(), "ok", "line U1"),
    "switched off": (msgspec.structs.replace(entry(), enabled=False), "note", "switched off"),
    "sealed with another key": (entry(key=OTHER_KEY), "wrong", "another RELAYDESK_SECRET_KEY"),
    "without a secret": (without("access_token"), "wrong", "has no access_token"),
    "an empty secret": (entry(channel_secret=""), "wrong", "channel_secret is empty"),
    "an unknown channel": (entry(channel="fax"), "wrong", "channel fax is not known"),
    "a Meta account without an app": (entry(channel="messenger"), "wrong", "has no app"),
    "without an external id": (
        msgspec.structs.replace(entry(), external_id=""),
        "wrong",
        "has no external_id",
    ),
}


@pytest.mark.parametrize(("given", "grade", "words"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_d11_accounts_are_looked_at(given: AccountEntry, grade: str, words: str) -> None:
    checks = list(look_at_accounts([given], Sealer.from_setting(KEY)))
    assert (checks[0].grade, words in checks[0].words) == (grade, True), checks
    assert "0001" not in repr(checks)


WELL = Seen(at=NOW, webhook_at=NOW, state="ok", state_at=NOW)
REVOKED = msgspec.structs.replace(WELL, state="revoked", failed_code="credential")
FAILING = msgspec.structs.replace(WELL, state="failing", failed_code="timeout")
REFUSED = Seen(at=NOW, refused=3, refused_at=NOW)

HEALTH: dict[str, tuple[list[Seen], str, list[str]]] = {
    "well": ([WELL], "ok", ["ok since 2026-03-01", "last webhook 2026-03-01T00:00:00"]),
    "revoked": ([REVOKED], "wrong", ["revoked since 2026-03-01", "last webhook 2026-03-01"]),
    "failing": ([FAILING], "note", ["failing since 2026-03-01", "end in timeout"]),
    "bad signatures": ([REFUSED], "note", ["no webhook seen", "bad signatures: 3, the last 2026"]),
    "bad signatures of several processes": ([REFUSED, REFUSED, WELL], "note", ["signatures: 6"]),
    "revoked, as one of two processes says": (
        [msgspec.structs.replace(WELL, state_at=NOW - timedelta(hours=1)), REVOKED],
        "wrong",
        ["revoked"],
    ),
    "never seen": ([], "note", ["unknown"]),
}


@pytest.mark.parametrize(("seen", "grade", "words"), HEALTH.values(), ids=HEALTH)
def test_d19_the_health_of_accounts_is_told(seen: list[Seen], grade: str, words: list[str]) -> None:
    (check,) = look_at_health([entry()], {"a": seen, "b": [REVOKED]})
    assert (check.name, check.grade) == ("health a", grade)
    assert [word for word in words if word not in check.words] == [], check.words


def test_d19_an_account_that_is_switched_off_has_no_health() -> None:
    closed = msgspec.structs.replace(entry(), enabled=False)
    assert list(look_at_health([closed], {"a": [REVOKED]})) == []


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "a name that no service knows": ({"RELAYDESK_PORTT": "1"}, "RELAYDESK_PORTT is not a setting"),
    "a number out of range": ({"RELAYDESK_PORT": "99999"}, "RELAYDESK_PORT"),
    "a key of the wrong length": ({"RELAYDESK_SECRET_KEY": "k1:YWJj"}, "3 bytes, not 32"),
}


@pytest.mark.parametrize(("more", "words"), SETTINGS.values(), ids=SETTINGS)
def test_d11_settings_are_looked_at(tmp_path: Path, more: dict[str, str], words: str) -> None:
    checks = list(look_at_settings(settings(tmp_path, **more)))
    assert [c for c in checks if c.grade == "wrong" and words in c.words], checks
    sound = list(look_at_settings(settings(tmp_path)))
    assert {check.grade for check in sound} == {"ok"}


ADDRESSES = {
    "": "note",
    "http://chat.example.com": "wrong",
    "http://127.0.0.1:8080": "note",
    "https://desk.local": "wrong",
    "https://10.0.0.7": "wrong",
    "https://chat.example.com": "ok",
}


@pytest.mark.parametrize(("url", "grade"), ADDRESSES.items())
def test_d11_the_public_address_is_looked_at(url: str, grade: str) -> None:
    assert [check.grade for check in look_at_public_url(url, [entry()])] == [grade]


def test_d11_an_old_server_and_a_wrong_clock_are_named() -> None:
    assert look_at_version((2, 12, 2)).grade == "wrong"
    assert look_at_version((2, 12, 3)).grade == "ok"
    assert look_at_clock(Skew(0.9, 0.0)).grade == "ok"
    assert look_at_clock(Skew(2.0, 1.5)).grade == "ok", "the answer came too slowly to tell"
    found = look_at_clock(Skew(-60.0, 0.1))
    assert found.grade == "wrong"
    assert "the NATS server's clock is 60.0 s behind this machine's" in found.words


async def examined(environ: dict[str, str]) -> list[Check]:
    return [check async for check in examine(environ)]


async def test_d11_a_running_installation_is_examined(nats_url: str, tmp_path: Path) -> None:
    environ = settings(tmp_path, RELAYDESK_NATS_URL=nats_url)
    await migrate(environ)
    async with open_bus(nats_url, name="test") as bus:
        await bus.kv_put(ACCOUNTS_KV, "doctor-a", msgspec.json.encode(entry()))
        await bus.kv_put(HEALTH_KV, "a.notifier.01", msgspec.json.encode(REVOKED))
        await bus.kv_put(HEALTH_KV, "a.notifier.02", b'{"of": "a newer version"}')
    try:
        checks = await examined(environ)
    finally:
        async with open_bus(nats_url, name="test") as bus:
            await bus.kv_delete(ACCOUNTS_KV, "doctor-a")
            await bus.kv_delete(HEALTH_KV, "a.notifier.01")
            await bus.kv_delete(HEALTH_KV, "a.notifier.02")
    known = ("account", "health", "dead letters", "consumer")  # of tests on the same server
    others = [c for c in checks if c.grade == "wrong" and not c.name.startswith(known)]
    assert others == []
    named = {check.name: check.grade for check in checks}
    assert named["health a"] == "wrong"
    assert {n: named[n] for n in ("nats", "streams", "clock", "store", "files", "account a")} == {
        "nats": "ok",
        "streams": "ok",
        "clock": "ok",
        "store": "ok",
        "files": "ok",
        "account a": "ok",
    }


async def test_d11_what_does_not_answer_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = f"sqlite:///{tmp_path}/absent/folder/store.db"
    blocked = tmp_path / "absent"
    blocked.write_text("a file where a folder should be")
    checks = await examined(settings(tmp_path, RELAYDESK_STORE_URL=store))
    wrong = {check.name for check in checks if check.grade == "wrong"}
    assert {"nats", "store"} <= wrong
    words = {check.name: check.words for check in checks}
    assert words["nats"] == "does not answer: connection refused"
    assert words["accounts"] == "cannot be read without NATS"
    assert caplog.records == []  # the client's own callback logs a traceback
