"""`relaydesk dead`: what it prints, what it refuses, and its exit codes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from libs.common.bus.client import open_bus
from libs.common.cli.main import main
from libs.common.documents import AUDIT, COLLECTIONS, SYSTEM
from libs.common.ledger.page import LEDGERS, Ledger
from libs.common.store.api import Page
from libs.common.store.open import open_store
from libs.common.subjects import INBOUND
from tests.nats_server import NatsProcess

SECRET = "the visitor's words"
SUBJECT = "in.3.acme.line.acme-line"


@pytest.fixture
def env(
    nats_process: NatsProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Settings of an installation with three letters: two events, and one that names no place."""
    found = {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}",
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    asyncio.run(_bury(nats_process.url))
    return found


async def _bury(url: str) -> None:
    whole = {
        "Relaydesk-Stream": "INBOUND",
        "Relaydesk-Sequence": "5",
        "Relaydesk-Subject": SUBJECT,
        "Relaydesk-Consumer": "router",
        "Relaydesk-Attempts": "5",
    }
    router = {"durable_name": "router-0", "ack_policy": "explicit"}
    async with open_bus(url, name="test", publish_timeout_s=10) as bus:
        made = {"stream_name": "INBOUND", "config": router}
        await bus.asker.api("CONSUMER.DURABLE.CREATE.INBOUND.router-0", made)
        for number, reason in enumerate(("bug", "malformed"), 1):
            headers = whole | {"Relaydesk-Reason": reason}
            data = msgspec.json.encode({"text": SECRET})
            await bus.publish(f"dead.router.{SUBJECT}", data, msg_id=str(number), headers=headers)
        await bus.publish("dead.notifier.x", b"?", msg_id="3", headers={"Relaydesk-Reason": "bug"})


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["dead", *words])
    found = capsys.readouterr()
    return code, found.out, found.err


@pytest.mark.usefixtures("env")
def test_list_counts_by_service_and_reason_and_hides_content(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "list")
    assert (code, len(out.splitlines()), SECRET in out) == (0, 3, False)
    assert "router/router  bug  5 tries  INBOUND 5" in out
    assert err.splitlines() == ["1 of notifier: bug", "1 of router: bug", "1 of router: malformed"]
    code, out, err = run(capsys, "list", "--service", "router", "--json", "--limit", "1")
    assert (code, msgspec.json.decode(out)["reason"]) == (0, "bug")
    assert "1 more" in err


@pytest.mark.usefixtures("env")
def test_show_tells_headers_and_content_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", "1")
    assert (code, SECRET in out) == (0, False)
    assert "Relaydesk-Subject: " + SUBJECT in out
    assert SECRET in run(capsys, "show", "1", "--show")[1]
    code, out, err = run(capsys, "show", "99")
    assert (code, "no message 99" in err) == (1, True)


def test_redrive_by_filter_says_what_happened_to_each(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "redrive", "--all", "--dry-run")
    assert (code, err.strip()) == (1, "1 kept, 2 would be redriven")
    code, out, _ = run(capsys, "redrive", "--reason", "bug", "--json")
    told = [msgspec.json.decode(line) for line in out.splitlines()]
    assert [(one["letter"], one["done"]) for one in told] == [(1, "redriven"), (3, "kept")]
    assert code == 1
    assert run(capsys, "redrive", "2")[0] == 0
    code, _, err = run(capsys, "redrive", "2")
    assert (code, "2: not on DEAD" in err) == (1, True)
    assert _inbound(env) == 2


def test_drop_waits_for_the_ledger(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """What it has not passed yet is found on DEAD alone; gone from there it would be missing."""

    async def counted(up_to: int) -> None:
        async with open_store(env["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
            await store.delete(LEDGERS, SYSTEM, "INBOUND")
            page = Ledger(id="INBOUND", workspace=SYSTEM, sequence=up_to)
            await store.insert(LEDGERS, page)

    asyncio.run(counted(4))
    code, out, _ = run(capsys, "drop", "1", "--yes")
    assert (code, out.startswith("1: kept: the ledger")) == (1, True)
    asyncio.run(counted(5))
    assert run(capsys, "drop", "1", "--yes")[0] == 0


def test_drop_needs_a_yes_and_leaves_a_line_in_the_audit_log(
    env: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "drop", "1")
    assert (code, "--yes" in err) == (2, True)
    assert run(capsys, "drop", "1", "--dry-run")[0] == 0
    code, out, _ = run(capsys, "drop", "1", "--yes")
    assert (code, out.startswith("1: dropped")) == (0, True)
    assert len(run(capsys, "list")[1].splitlines()) == 2
    [entry] = asyncio.run(_audit(env))
    assert (entry.action, entry.object) == ("dead.drop", "dead:1")
    assert SECRET not in entry.before
    assert _inbound(env) == 0


WRONG = {
    "nothing is chosen": ["redrive"],
    "everything and something": ["redrive", "--all", "--reason", "bug"],
    "all with a number": ["drop", "1", "--all", "--yes"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
@pytest.mark.usefixtures("env")
def test_a_choice_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code, _, err = run(capsys, *words)
    assert (code, "name sequences, or filters" in err) == (2, True)


BAD = {
    "no number": ["show", "x"],
    "a number that is none": ["redrive", "0"],
    "an age that is none": ["list", "--since", "yesterday"],
    "a limit that is none": ["list", "--limit", "-1"],
}


@pytest.mark.parametrize("words", BAD.values(), ids=BAD)
def test_bad_options_are_refused_with_what_is_allowed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["dead", *words])
    assert stopped.value.code == 2
    assert "is no number" in (err := capsys.readouterr().err) or "neither a time" in err


def _inbound(env: dict[str, str]) -> int:
    async def count() -> int:
        async with open_bus(env["RELAYDESK_NATS_URL"], name="test", provision=False) as bus:
            return await bus.end_of(INBOUND)

    return asyncio.run(count())


async def _audit(env: dict[str, str]) -> list:  # type: ignore[type-arg]
    async with open_store(env["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        return await store.find(AUDIT, "acme", {}, Page(order=AUDIT.indexes[0].name))
