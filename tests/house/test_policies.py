"""The policy in the store, in the bucket, in the file, and in the eyes of those who watch it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import KvEntry
from libs.common.directory import Directory, refresh_policy, watched
from libs.common.documents import (
    AGENTS,
    AUDIT,
    BOTS,
    COLLECTIONS,
    POLICIES,
    WORKSPACES,
    Bot,
    PolicyDocument,
    Settings,
    Workspace,
)
from libs.common.errors import SettingsError
from libs.common.policies import MOST_BYTES, policy_of, publish_policy
from libs.common.policy import AddTag, AssignToAgent, BotRef, Policy, ReplyWith, Rule, Team
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.subjects import POLICY_KV, Bucket
from libs.common.switches import IdleRule, QuietHours, Termination
from libs.common.workspace import WorkspaceWriter, publish_directory
from libs.common.workspace_file import read_workspace_file
from libs.common.workspace_policy import agent_id

SEALER = Sealer.from_setting(new_key_setting())
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)

FILE = """
workspace: acme
settings: {auto_assign: true, calendar: office}
agents:
  - {name: Ada, email: Ada@acme.example, role: lead, limit: 3, teams: [sales], skills: [vip]}
  - {name: Ben, email: ben@acme.example, languages: [de], priority: 2}
  - {name: Cid, email: cid@acme.example, disabled: true}
teams: [{id: sales, calendar: office}]
calendars: [{id: office, zone: Europe/Berlin, spans: [{days: [0], opens: 09:00, closes: 18:00}]}]
rules:
  - {id: vip, actions: [{do: agent, agent: ada@acme.example}]}
  - {id: told, actions: [{do: notify, agents: [ben@acme.example], team: sales}]}
"""
ADA, BEN, CID = (agent_id("acme", f"{name}@acme.example") for name in ("ada", "ben", "cid"))


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    async with open_store(sqlite_url, COLLECTIONS) as opened:
        yield opened


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    async with open_bus(nats_url, name="policy-test") as opened:
        yield opened


@pytest.fixture
def name() -> str:
    return f"acme-{uuid.uuid4().hex[:8]}"


async def apply(store: Store, text: str, now: datetime = NOW) -> WorkspaceWriter:
    writer = WorkspaceWriter(store, SEALER, actor="test", now=now)
    await writer.apply(read_workspace_file(text.encode()))
    return writer


# --- the file ------------------------------------------------------------------------------------


async def test_a_file_makes_the_policy(store: Store) -> None:
    await apply(store, FILE)
    policy = await policy_of(store, "acme")
    assert policy.settings == Settings(auto_assign=True, calendar="office")
    ada, ben = sorted(policy.members, key=lambda one: one.name)
    assert (ada.id, ada.role, ada.limit) == (ADA, "lead", 3)
    assert (ada.teams, ada.skills) == (("sales",), ("vip",))
    assert (ben.id, ben.limit, ben.languages, ben.priority) == (BEN, 0, ("de",), 2)
    assert [team.id for team in policy.teams] == ["sales"]
    assert [calendar.zone for calendar in policy.calendars] == ["Europe/Berlin"]
    actions = [msgspec.to_builtins(rule.actions[0]) for rule in policy.rules]
    assert actions == [
        {"do": "agent", "agent": ADA, "else_team": ""},
        {"do": "notify", "agents": (BEN,), "team": "sales"},
    ]


TERMINATION = """
workspace: acme
settings:
  auto_termination: true
  zone: Europe/Berlin
  quiet_hours: {start: 22:00, end: 07:00}
  termination:
    rules:
      - {channels: [line], lists: [assigned], last: [agent], idle_s: 3600, farewell: Bye}
    per_minute: 7
    undo_s: 60
    since: 2020-01-01T00:00:00Z
"""


async def test_a12_a_file_sets_when_sessions_end_but_not_since_when_that_counts(
    store: Store,
) -> None:
    await apply(store, TERMINATION)
    rule = IdleRule(
        channels=("line",), lists=("assigned",), last=("agent",), idle_s=3600, farewell="Bye"
    )
    settings = (await policy_of(store, "acme")).settings
    assert settings == Settings(
        auto_termination=True,
        zone="Europe/Berlin",
        quiet_hours=QuietHours(start="22:00", end="07:00"),
        termination=Termination(rules=(rule,), per_minute=7, undo_s=60, since=NOW),
    )
    faster = TERMINATION.replace("per_minute: 7", "per_minute: 8")
    for text, since in (
        (TERMINATION, NOW),
        (faster, NOW),
        (faster.replace("3600", "60"), LATER),
    ):
        await apply(store, text, LATER)
        assert (await policy_of(store, "acme")).settings.termination.since == since
    before = len(await store.find(AUDIT, "acme", {}, Page(order="at", limit=100)))
    await apply(store, faster.replace("3600", "60"), LATER)
    assert len(await store.find(AUDIT, "acme", {}, Page(order="at", limit=100))) == before


async def test_applied_again_it_changes_nothing_and_each_change_is_on_record(store: Store) -> None:
    first = await apply(store, FILE)
    assert "policy:acme" in first.applied.created
    again = await apply(store, FILE)
    assert (again.applied.created, again.applied.updated) == ([], [])
    entries = await store.find(AUDIT, "acme", {}, Page(order="at", limit=100))
    assert [entry.object for entry in entries].count("policy:acme") == 1
    assert f"agent:{ADA}" in {entry.object for entry in entries}  # as the API's records name them
    assert "agent:ada@acme.example" in first.applied.created


async def test_who_changed_a_rule_by_a_file_is_found_by_the_rule(store: Store) -> None:
    rule = "workspace: acme\nrules: [{id: vip, actions: [{do: tag, tag: %s}]}]"
    for at, text in enumerate((rule % "a", rule % "b", "workspace: acme\nrules: []")):
        writer = WorkspaceWriter(store, SEALER, actor="test", now=NOW + timedelta(seconds=at))
        await writer.apply(read_workspace_file(text.encode()))
    page = Page(order="object", limit=100)
    entries = await store.find(AUDIT, "acme", {"object": "rule:vip"}, page)
    shown = [(entry.action, bool(entry.before), bool(entry.after)) for entry in entries]
    assert shown == [
        ("config.apply", False, True),
        ("config.apply", True, True),
        ("config.apply", True, False),
    ]


async def test_what_a_file_does_not_name_stays(store: Store) -> None:
    await apply(store, FILE)
    before = await policy_of(store, "acme")
    await apply(
        store, "workspace: acme\nagents: [{name: Ada, email: ada@acme.example, role: lead}]"
    )
    assert await policy_of(store, "acme") == before
    await apply(store, "workspace: acme\nrules: []")
    assert await policy_of(store, "acme") == msgspec.structs.replace(before, rules=())


WRONG = {
    "a rule for a team that is not there": (
        "rules: [{id: a, actions: [{do: team, team: sels}]}]",
        "rules[0].actions[0].team: 'sels' is no team; allowed: sales",
    ),
    "a rule for somebody who is not there": (
        "rules: [{id: a, actions: [{do: agent, agent: eve@acme.example}]}]",
        "rules[0].actions[0].agent: ",
    ),
    "a pattern that is none": (
        "rules: [{id: a, conditions: [{if: regex, pattern: '('}], actions: [{do: end}]}]",
        "rules[0].conditions[0].pattern: ",
    ),
    "an agent of a team that is not there": (
        "agents: [{name: Ben, email: ben@acme.example, teams: [sels]}]",
        "agents[ben@acme.example].teams[0]: 'sels' is no team; allowed: sales",
    ),
    "hours of a calendar that is not there": (
        "settings: {calendar: home}",
        "settings.calendar: 'home' is no calendar; allowed: office",
    ),
    "switches of an account that is not there": (
        "settings: {accounts: {fax: {auto_assign: true}}}",
        "settings.accounts: 'fax' is no account",
    ),
    "a zone that is none": (
        "calendars: [{id: office, zone: Berlin}]",
        "calendars[0].zone: ",
    ),
    "a window that is too short": (
        "settings: {alerts: {window_s: 4}}",
        "settings.alerts.window_s: 4 is out of range; allowed: 5 to 3600",
    ),
    "an email before it is quiet": (
        "settings: {alerts: {email_after_s: 700}}",
        "settings.alerts.email_within_s: 600 is less than email_after_s; allowed: 700 to 86400",
    ),
    "rungs that do not rise": (
        "settings: {alerts: {escalation: [{after_s: 60}, {after_s: 30}]}}",
        "settings.alerts.escalation[1].after_s: 30 does not rise; allowed: more than 60",
    ),
    "a visitor who is gone at once": (
        "settings: {offline_visitors: {after_s: 19}}",
        "settings.offline_visitors.after_s: 19 is out of range; allowed: 20 to 3600",
    ),
    "an end after a second": (
        "settings: {termination: {rules: [{idle_s: 1}]}}",
        "settings.termination.rules[0].idle_s: 1 is out of range; allowed: 60 to 7776000",
    ),
    "ends on a channel nobody has": (
        "settings: {termination: {rules: [{channels: [fax]}]}}",
        "settings.termination.rules[0].channels[0]: 'fax' is no channel; allowed: ",
    ),
    "ends of what has ended": (
        "settings: {termination: {rules: [{lists: [ended]}]}}",
        "settings.termination.rules[0].lists[0]: 'ended' is none of them; allowed: bot_hosted",
    ),
    "more ends than a rate can be": (
        "settings: {termination: {per_minute: 6001}}",
        "settings.termination.per_minute: 6001 is out of range; allowed: 1 to 6000",
    ),
    "a long farewell": (
        f"settings: {{termination: {{rules: [{{farewell: {'x' * 1001}}}]}}}}",
        "settings.termination.rules[0].farewell: has 1001 characters; allowed: at most 1000",
    ),
    "a workspace nowhere": ("settings: {zone: Berlin}", "settings.zone: 'Berlin' is no zone"),
    "quiet hours that are none": (
        "settings: {quiet_hours: {start: 7:00, end: 08:00}}",
        "settings.quiet_hours.start: '7:00' is no end of them; allowed: HH:MM",
    ),
    "the team taken away that a rule needs": ("teams: []", "'sales' is no team"),
    "the same rule twice": (
        "rules: [{id: a, actions: [{do: end}]}, {id: a, actions: [{do: end}]}]",
        "rules[1].id: 'a' is the id of rules[0], too",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.values(), ids=WRONG)
async def test_a_file_that_does_not_hold_together_is_refused_before_anything_is_written(
    store: Store, text: str, sentence: str
) -> None:
    await apply(store, FILE)
    before = await policy_of(store, "acme")
    with pytest.raises(SettingsError) as caught:
        await apply(store, f"workspace: acme\nname: Other\n{text}")
    assert sentence in caught.value.detail
    assert await policy_of(store, "acme") == before
    workspace = await store.get(WORKSPACES, "acme", "acme")
    assert workspace is not None
    assert workspace.name == ""


async def test_what_did_not_hold_before_does_not_block_another_part(store: Store) -> None:
    await apply(store, FILE)
    found = await store.get(POLICIES, "acme", "acme")
    assert found is not None
    await store.replace(POLICIES, msgspec.structs.replace(found, teams=()))
    await apply(store, "workspace: acme\nname: Other")


async def test_a_rule_may_go_on_naming_who_is_disabled(store: Store) -> None:
    await apply(store, FILE)
    assert CID not in [one.id for one in (await policy_of(store, "acme")).members]
    rule = "rules: [{id: a, actions: [{do: agent, agent: cid@acme.example}]}]"
    await apply(store, f"workspace: acme\n{rule}")
    [named] = (await policy_of(store, "acme")).rules
    assert named.actions == (AssignToAgent(agent=CID),)


# --- the bucket ----------------------------------------------------------------------------------


async def furnish(store: Store, name: str) -> None:
    await apply(store, FILE.replace("workspace: acme", f"workspace: {name}"))


async def published(bus: Bus, name: str) -> Policy:
    entry = await bus.kv_get(POLICY_KV, name)
    assert entry is not None
    assert entry.value is not None
    return msgspec.json.decode(entry.value, type=Policy)


async def test_what_is_published_is_what_the_store_says(store: Store, bus: Bus, name: str) -> None:
    await furnish(store, name)
    bot = Bot(id="bot-1", workspace=name, name="Helper", kind="faq", channels=("line",))
    await store.insert(BOTS, bot)
    assert await publish_policy(store, bus, name)
    found = await published(bus, name)
    assert found == await policy_of(store, name)
    assert found.bots == (BotRef(id="bot-1", name="Helper", kind="faq", rev=1, channels=("line",)),)
    assert not await publish_policy(store, bus, name)


async def test_of_changes_at_once_all_stand_in_the_bucket(
    store: Store, bus: Bus, name: str
) -> None:
    """Each writer changes a document of its own, and publishes: no order loses one."""
    await furnish(store, name)

    async def agent(number: int) -> None:
        before = (await store.find(AGENTS, name, {}, Page(order="email", limit=10)))[number]
        for limit in range(1, 8):
            before = await store.replace(AGENTS, msgspec.structs.replace(before, limit=limit))
            await publish_policy(store, bus, name)

    async def teams() -> None:
        before = await store.get(POLICIES, name, name)
        for number in range(8):
            assert before is not None
            more = (*before.teams, Team(id=f"t{number}"))
            before = await store.replace(POLICIES, msgspec.structs.replace(before, teams=more))
            await publish_policy(store, bus, name)

    async def switches() -> None:
        before = await store.get(WORKSPACES, name, name)
        for number in range(8):
            assert before is not None
            after = Settings(removed_for_s=number)
            before = await store.replace(
                WORKSPACES, msgspec.structs.replace(before, settings=after)
            )
            await publish_policy(store, bus, name)

    await asyncio.gather(agent(0), agent(1), teams(), switches())
    found = await published(bus, name)
    assert found == await policy_of(store, name)
    assert {one.limit for one in found.members} == {7}
    assert (len(found.teams), found.settings.removed_for_s) == (9, 7)


class Overtaken:
    """Lets somebody else change the store and publish just before the first write."""

    def __init__(self, bus: Bus, store: Store, name: str) -> None:
        self._bus = bus
        self._store = store
        self._name = name
        self._done = False

    async def kv_get(self, bucket: Bucket, key: str) -> KvEntry | None:
        return await self._bus.kv_get(bucket, key)

    async def kv_put(self, bucket: Bucket, key: str, value: bytes, **more: Any) -> int:
        if not self._done:
            self._done = True
            before = await self._store.get(WORKSPACES, self._name, self._name)
            assert before is not None
            after = msgspec.structs.replace(before, settings=Settings(removed_for_s=7))
            await self._store.replace(WORKSPACES, after)
            await publish_policy(self._store, self._bus, self._name)
        return await self._bus.kv_put(bucket, key, value, **more)


@pytest.mark.parametrize("there", [True, False], ids=["changed", "published first"])
async def test_who_is_overtaken_while_publishing_undoes_nothing(
    store: Store, bus: Bus, name: str, there: bool
) -> None:
    await furnish(store, name)
    if there:
        await bus.kv_put(POLICY_KV, name, b"{}")
    slow: Any = Overtaken(bus, store, name)
    await publish_policy(store, slow, name)
    assert (await published(bus, name)).settings.removed_for_s == 7


async def test_a_policy_too_large_is_refused_and_says_of_what_there_is_too_much(
    store: Store, bus: Bus, name: str
) -> None:
    rules = tuple(
        Rule(id=f"r{n}", actions=(ReplyWith(text="x" * 4000),)) for n in range(MOST_BYTES // 4000)
    )
    await store.insert(WORKSPACES, Workspace(id=name, workspace=name))
    fits = PolicyDocument(id=name, workspace=name, rules=rules[:200])
    stored = await store.insert(POLICIES, fits)
    assert await publish_policy(store, bus, name)
    await store.replace(POLICIES, msgspec.structs.replace(stored, rules=rules))
    with pytest.raises(SettingsError, match=r"at most 900,000: rules take 9\d\d,\d\d\d and"):
        await publish_policy(store, bus, name)
    assert len((await published(bus, name)).rules) == 200


async def test_the_reconciler_mends_each_workspace_on_its_own(
    store: Store, bus: Bus, name: str
) -> None:
    large, gone = f"{name}-large", f"{name}-gone"
    await furnish(store, name)
    await furnish(store, large)
    before = await store.get(POLICIES, large, large)
    assert before is not None
    rules = tuple(Rule(id=f"r{n}", actions=(ReplyWith(text="x" * 4000),)) for n in range(250))
    await store.replace(POLICIES, msgspec.structs.replace(before, rules=rules))
    await bus.kv_put(POLICY_KV, gone, b"{}")
    await publish_directory(store, bus)
    assert await published(bus, name) == await policy_of(store, name)
    assert await bus.kv_get(POLICY_KV, large) is None
    assert await bus.kv_get(POLICY_KV, gone) is None
    assert await publish_directory(store, bus) == 0


# --- those who watch -----------------------------------------------------------------------------


def entry(policy: Policy | None, revision: int) -> KvEntry:
    value = None if policy is None else msgspec.json.encode(policy)
    return KvEntry(key="acme", value=value, revision=revision)


TAGS = [Policy(rules=(Rule(id=f"r{n}", actions=(AddTag(tag="t"),)),)) for n in range(4)]

SEEN: dict[str, tuple[list[tuple[str, int, int]], int | None, int]] = {
    "nothing": ([], None, 0),
    "each change": ([("watch", 1, 10), ("watch", 2, 11)], 2, 2),
    "a look ahead is not undone by what the watch tells late": (
        [("watch", 1, 10), ("look", 3, 12), ("watch", 2, 11), ("watch", 3, 12)],
        3,
        2,
    ),
    "a bucket made anew counts from the beginning": (
        [("watch", 3, 900), ("watch", 1, 2)],
        1,
        2,
    ),
    "and goes on from there": ([("watch", 3, 900), ("watch", 1, 2), ("watch", 2, 3)], 2, 3),
    "removed": ([("watch", 1, 10), ("watch", -1, 11)], None, 2),
    "gone while nobody looked": ([("watch", 1, 10), ("watch", -1, 0)], None, 2),
    "removed twice is told once": (
        [("watch", 1, 10), ("watch", -1, 11), ("watch", -1, 0)],
        None,
        2,
    ),
}


@pytest.mark.parametrize(("steps", "last", "changes"), SEEN.values(), ids=SEEN)
def test_a_directory_has_the_newest_policy(
    steps: list[tuple[str, int, int]], last: int | None, changes: int
) -> None:
    directory = Directory(SEALER)
    told: list[str] = []
    directory.on_policy.append(told.append)
    for how, number, revision in steps:
        apply_it = directory.watch_policy if how == "watch" else directory.put_policy
        apply_it(entry(None if number < 0 else TAGS[number], revision))
    found = directory.policy("acme")
    assert found.rules == (() if last is None else TAGS[last].rules)
    assert told == ["acme"] * changes
    assert directory.policy("acme") is found


def test_what_cannot_be_read_leaves_what_was_seen_last() -> None:
    directory = Directory(SEALER)
    directory.watch_policy(entry(TAGS[1], 10))
    for number, value in enumerate((b"", b"{", b'{"rules":[{"id":"a","actions":[{"do":"fly"}]}]}')):
        directory.watch_policy(KvEntry(key="acme", value=value, revision=11 + number))
    assert directory.policy("acme").rules == TAGS[1].rules


async def test_a_watcher_is_told_and_its_version_is_the_revision(
    store: Store, bus: Bus, name: str
) -> None:
    await furnish(store, name)
    async with watched(bus, SEALER) as directory:
        await asyncio.wait_for(directory.complete.wait(), 30)
        assert directory.settings(name) == Settings()
        changed = asyncio.Event()
        directory.on_policy.append(lambda told: changed.set() if told == name else None)
        await publish_policy(store, bus, name)
        await asyncio.wait_for(changed.wait(), 20)
        found = await bus.kv_get(POLICY_KV, name)
        assert found is not None
        assert directory.policy(name).version == found.revision
        assert directory.settings(name).auto_assign
        seen = directory.policy(name)
        await refresh_policy(bus, directory, name)
        assert directory.policy(name) is seen
    async with watched(bus, SEALER) as later:
        await refresh_policy(bus, later, name)
        assert later.settings(name).auto_assign
