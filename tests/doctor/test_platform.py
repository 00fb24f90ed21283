"""The doctor looks beneath: dead letters, storage, copies, consumers, spool, keys, transport."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.bus.client import open_bus
from libs.common.cli.admin import migrate
from libs.common.cli.main import main
from libs.common.directory import AccountEntry, seal_context
from libs.common.doctor.platform import (
    look_at_consumers,
    look_at_dead,
    look_at_keys,
    look_at_platform,
    look_at_spool,
    look_at_storage,
    look_at_stream,
    look_at_transport,
)
from libs.common.seal import Sealer, new_key_setting
from tests.nats_server import NatsProcess

STORAGE = {
    "half full": (50, 100, "ok"),
    "79 %": (79, 100, "ok"),
    "80 %": (80, 100, "wrong"),
    "full": (100, 100, "wrong"),
    "no limit told": (50, 0, "note"),
}


@pytest.mark.parametrize(("used", "limit", "grade"), STORAGE.values(), ids=STORAGE)
def test_storage(used: int, limit: int, grade: str) -> None:
    assert look_at_storage(used, limit).grade == grade


def test_dead_letters_are_told_by_service_and_reason() -> None:
    assert look_at_dead({}).grade == "ok"
    found = look_at_dead({("router", "bug"): 2, ("notifier", ""): 1})
    assert found.grade == "wrong"
    assert "1 of notifier (no reason), 2 of router (bug)" in found.words


def stream(copies: int = 1, **cluster: Any) -> dict[str, Any]:
    config = {"name": "INBOUND", "num_replicas": copies}
    return {"config": config, "state": {"last_seq": 10}, "cluster": cluster}


BEHIND = {"name": "n2", "current": False}
COPIES = {
    "one wanted, one there": (stream(1), 1, []),
    "three wanted, one there": (stream(1), 3, ["has 1 copies, not 3"]),
    "three, all well": (stream(3, leader="n1", replicas=[{"name": "n2", "current": True}]), 3, []),
    "one behind": (stream(3, leader="n1", replicas=[BEHIND]), 3, ["the copy on n2"]),
    "one offline": (
        stream(3, leader="n1", replicas=[{"name": "n3", "current": True, "offline": True}]),
        3,
        ["the copy on n3"],
    ),
    "no leader": (stream(3), 3, ["has no leader"]),
    "more than wanted": (stream(3, leader="n1"), 1, []),
}


@pytest.mark.parametrize(("info", "wanted", "words"), COPIES.values(), ids=COPIES)
def test_copies(info: dict[str, Any], wanted: int, words: list[str]) -> None:
    found = [check.words for check in look_at_stream(info, wanted)]
    assert len(found) == len(words)
    assert all(word in each for word, each in zip(words, found, strict=True))


def consumer(**more: Any) -> dict[str, Any]:
    return {"name": "router-0", "config": {"durable_name": "router-0"}, **more}


CONSUMERS = {
    "idle": (consumer(num_pending=0, ack_floor={"stream_seq": 10}), ""),
    "at work": (consumer(num_pending=5, num_ack_pending=3), ""),
    "asked for": (consumer(num_pending=5, num_waiting=1), ""),
    "nobody asks": (consumer(num_pending=5), "5 messages wait"),
    "past the end": (consumer(ack_floor={"stream_seq": 11}), "has settled up to 11"),
    "not durable": ({"name": "x", "num_pending": 5, "config": {}}, ""),
}


@pytest.mark.parametrize(("one", "words"), CONSUMERS.values(), ids=CONSUMERS)
def test_consumers(one: dict[str, Any], words: str) -> None:
    found = [check.words for check in look_at_consumers("INBOUND", stream(), [one])]
    assert len(found) == bool(words)
    assert not found or words in found[0]


def test_the_spool(tmp_path: Path) -> None:
    elsewhere = look_at_spool(tmp_path)
    assert (elsewhere.grade, "is not seen" in elsewhere.words) == ("note", True)
    (tmp_path / "lock").touch()
    assert look_at_spool(tmp_path).grade == "ok"
    (tmp_path / "1.spool").write_bytes(b"webhook")
    found = look_at_spool(tmp_path)
    assert (found.grade, "7 bytes" in found.words) == ("note", True)


def test_secrets_on_an_older_key() -> None:
    old, new = new_key_setting(), new_key_setting()
    sealed = {"t": Sealer.from_setting(old).seal("x", seal_context("acme", "a", "t"))}
    entry = AccountEntry(
        workspace="acme", slug="a", channel="line", external_id="U1", sealed=sealed
    )
    assert look_at_keys([entry], Sealer.from_setting(f"{old},{new}")).grade == "ok"
    found = look_at_keys([entry], Sealer.from_setting(f"{new},{old}"))
    assert (found.grade, "relaydesk reseal" in found.words) == ("note", True)


SET = "mongodb://db.example.org/relaydesk?replicaSet=rs0"
URLS = {
    "all on this machine": ("nats://127.0.0.1:4222", "sqlite:///x.db", []),
    "with TLS": ("tls://n1.example.org", f"{SET}&tls=true", []),
    "NATS in the clear": ("nats://n1.example.org,tls://n2", "", ["n1.example.org"]),
    "MongoDB in the clear": ("", SET, ["tls=true"]),
    "MongoDB by SRV": ("", "mongodb+srv://db.example.org/x", []),
    "no replica set": ("", "mongodb://db.example.org/x?tls=true", ["no replicaSet"]),
    "weak writes": ("", f"{SET}&tls=true&w=1", ["weakens the writes"]),
    "writes without a journal": ("", f"{SET}&tls=true&journal=false", ["weakens the writes"]),
}


@pytest.mark.parametrize(("nats", "store", "words"), URLS.values(), ids=URLS)
def test_transport(nats: str, store: str, words: list[str]) -> None:
    settings = {"RELAYDESK_NATS_URL": nats, "RELAYDESK_STORE_URL": store}
    found = [check.words for check in look_at_transport(settings)]
    assert len(found) == len(words)
    assert all(word in each for word, each in zip(words, found, strict=True))


async def test_d14_seeded_faults_are_found_on_real_servers(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    settings = {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}",
        "RELAYDESK_STREAM_REPLICAS": "1",
    }
    await migrate(settings)

    async def wrongs(**more: str) -> set[str]:
        found = [check async for check in look_at_platform(settings | more)]
        return {check.name for check in found if check.grade == "wrong"}

    assert await wrongs() == set()
    assert "stream INBOUND" in await wrongs(RELAYDESK_STREAM_REPLICAS="3")
    async with open_bus(nats_process.url, name="test", publish_timeout_s=10) as bus:
        headers = {"Relaydesk-Reason": "bug"}
        await bus.publish("dead.router.x", b"?", msg_id="1", headers=headers)
    assert await wrongs() == {"dead letters"}


def test_the_command_prints_json_and_its_exit_code_counts_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELAYDESK_STORE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setenv("RELAYDESK_NATS_URL", "nats://127.0.0.1:1")
    assert main(["doctor", "--json"]) == 1
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["faults"] == sum(one["grade"] == "wrong" for one in told["checks"]) > 0
