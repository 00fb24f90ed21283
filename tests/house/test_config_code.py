"""Configuration as code (D13): plans that tell, applies that are whole, exports that return."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.applied import CONFIGS, standing
from libs.common.documents import (
    AGENTS,
    ATTACHMENTS,
    AUDIT,
    COLLECTIONS,
    CONTACTS,
    TAGS,
    WORKSPACES,
    Attachment,
    Bot,
    Contact,
    FaqEntry,
    PolicyDocument,
    Tag,
    Workspace,
)
from libs.common.errors import SettingsError
from libs.common.later import FOLDERS
from libs.common.policy import Calendar
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.workspace_apply import finish
from libs.common.workspace_diff import lines
from libs.common.workspace_drift import drift_of
from libs.common.workspace_export import exported, placeholder, text_of
from libs.common.workspace_plan import plan as make_plan
from libs.common.workspace_state import State, read_state
from tests.dying import DyingStore, KilledError
from tests.house.full_workspace import (
    FULL,
    NOW,
    SIGNS,
    apply,
    export,
    file_of,
    here_of,
    plan,
    touched,
    writer,
)
from tests.soak import sized


@pytest.fixture
async def store(ready_url: str) -> AsyncIterator[Store]:
    async with open_store(ready_url, COLLECTIONS) as opened:
        yield opened


@pytest.fixture(scope="module")
def furnished_file(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the full workspace, to be copied."""
    path = tmp_path_factory.mktemp("furnished") / "store.db"
    shutil.copy(empty_store, path)

    async def furnish() -> None:
        async with open_store(f"sqlite:///{path}", COLLECTIONS) as opened:
            await apply(opened, FULL)

    asyncio.run(furnish())
    return path


@pytest.fixture
async def full(furnished_file: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """A store that has the full workspace."""
    path = tmp_path / "full.db"
    shutil.copy(furnished_file, path)
    async with open_store(f"sqlite:///{path}", COLLECTIONS) as opened:
        yield opened


# --- export and plan -----------------------------------------------------------------------------


async def test_d13_a_plan_on_an_export_is_empty_and_says_what_it_cannot_compare(
    store_url: str,
) -> None:
    async with open_store(store_url, COLLECTIONS) as store:
        await apply(store, FULL)
        text = await export(store)
        found = await plan(store, text, prune=True)
        assert touched(found) == {}
        assert not found.steps
        assert {line.split(":")[0] for line in found.not_compared} == {
            "accounts[acme-line].secrets.access_token",
            "accounts[acme-line].secrets.channel_secret",
            "accounts[acme-whatsapp].secrets.access_token",
            "accounts[acme-whatsapp].secrets.app_secret",
            "accounts[acme-whatsapp].secrets.verify_token",
            "bots[hook].secret",
            "webhook_endpoints[crm].secret",
        }
        before = await read_state(store, "acme")
        await apply(store, text, prune=True)
        assert await read_state(store, "acme") == before


async def test_d13_an_export_has_no_secret_and_makes_the_same_workspace_elsewhere(
    full: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await export(full)
    for secret in (SIGNS, "correct-horse", "argon2"):
        assert secret not in text
    wanted = placeholder("acme-line", "access_token")
    assert wanted == "RELAYDESK_ACME_LINE_ACCESS_TOKEN"
    assert f"env: {wanted}" in text
    for slug in ("acme-line", "acme-whatsapp"):
        text = text.replace(f"slug: {slug}", f"slug: other-{slug}")
    text = text.replace("workspace: acme", "workspace: other").replace(
        "- acme-line", "- other-acme-line"
    )
    text = text.replace("    acme-line:\n", "    other-acme-line:\n")
    for line in text.splitlines():
        if line.strip().startswith("env: "):
            signs = "HOOK" in line or "CRM" in line
            monkeypatch.setenv(line.split()[1], SIGNS if signs else "given")
    await apply(full, text)
    again = await export(full, "other")
    assert again.replace("other-acme", "acme").replace("workspace: other", "workspace: acme") == (
        await export(full)
    )


async def test_d13_references_of_secrets_are_remembered(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t\n")
    monkeypatch.setenv("LINE_SECRET", "s")
    text = f"""
workspace: acme
accounts:
  - slug: acme-line
    channel: line
    external_id: U1
    secrets: {{channel_secret: {{env: LINE_SECRET}}, access_token: {{file: {tmp_path / "token"}}}}}
"""
    await apply(store, text)
    found = await export(store)
    assert "env: LINE_SECRET" in found
    assert f"file: {tmp_path / 'token'}" in found
    assert touched(await plan(store, found)) == {}
    monkeypatch.setenv("LINE_SECRET", "another")
    [change] = [one for one in (await plan(store, found)).objects if one.action == "update"]
    shown = list(lines([change]))
    assert shown == [
        "~ account:acme-line",
        "    secrets.channel_secret: changed",
        "    secrets.access_token: same",
    ]


PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20
)


@settings(max_examples=sized(60, 1000), deadline=None)
@example(name="a", answer="b", away="a line\x85ends\u2028so\ufeff\r\n")
@given(name=PLAIN, answer=PLAIN, away=st.text(max_size=30).filter(lambda t: "\0" not in t))
def test_d13_whatever_texts_there_are_the_export_returns(name: str, answer: str, away: str) -> None:
    faq = FaqEntry(id="a", keywords=("hours",), answers=(answer, away))
    calendar = Calendar(id="office", name=name, away_text=away)
    state = State(
        workspace=Workspace(id="acme", workspace="acme", rev=1, name=name),
        policy=PolicyDocument(id="acme", workspace="acme", rev=1, calendars=(calendar,)),
        bots={"b": Bot(id="b", workspace="acme", rev=1, name=name, kind="faq", faq=(faq,))},
    )
    file = file_of(text_of(exported(state, {}), name))
    found = make_plan(file, state, here_of(file, state))
    assert touched(found) == {}
    assert not found.steps


CHANGES = {
    "a switch": ("auto_hosting: false", "auto_hosting: true", "workspace:acme", "settings.auto_"),
    "an answer of a bot": ("Ask us", "Ask me", "bot:helper", 'faq[price].answers: ["Ask us"] -> ['),
    "a step of a flow": ("say: Hi,", "say: Hey,", "bot:guide", 'steps[hello].say: "Hi" -> "Hey"'),
    "a holiday": ("Christmas", "Xmas", "calendar:office", "holidays: "),
    "an agent's limit": ("limit: 3", "limit: 4", "agent:ada@acme.example", "limit: 3 -> 4"),
    "a tag's colour": ("#1e90ff", "#000000", "tag:", 'color: "#1e90ff" -> "#000000"'),
    "the order of fields": ("order: 1", "order: 2", "contact_field:", "order: 1 -> 2"),
    "a shared filter": ("list: [assigned]", "list: [ended]", "filter:mine-line", "query.list: "),
    "an endpoint": ("per_s: 5", "per_s: 6", "webhook_endpoint:crm", "per_s: 5 -> 6"),
    "the survey": ("1 to 5", "5 or 1", "workspace:acme", "settings.survey.question: "),
    "a canned text": ("Bye: see", "So: see", "standard_message:so-long", 'text: "Bye: see you'),
    "a folder's users": ("[ada@acme.example]", "[]", "folder:hello", 'users: ["Ada@acme.exam'),
}


@pytest.mark.parametrize(("old", "new", "name", "line"), CHANGES.values(), ids=CHANGES)
async def test_d13_a_plan_shows_each_field_before_and_after(
    full: Store, old: str, new: str, name: str, line: str
) -> None:
    changed = FULL.replace(old, new)
    found = await plan(full, changed)
    [(touched_name, action)] = touched(found).items()
    assert touched_name.startswith(name)
    assert action == "update"
    assert any(line in one for one in lines(found.objects)), list(lines(found.objects))
    await apply(full, changed)
    assert touched(await plan(full, changed)) == {}


async def test_d13_what_a_list_of_rules_loses_and_its_order_is_shown(full: Store) -> None:
    first, second = FULL.index("  - id: refunds"), FULL.index("  - id: robot")
    end = FULL.index("bots:\n")
    swapped = FULL[:first] + FULL[second:end] + FULL[first:second] + FULL[end:]
    assert list(lines((await plan(full, swapped)).objects)) == [
        "~ rules",
        '    (order): ["refunds","robot"] -> ["robot","refunds"]',
    ]
    fewer = FULL[:second] + FULL[end:]
    assert touched(await plan(full, fewer)) == {"rule:robot": "delete"}


# --- apply: all or nothing -----------------------------------------------------------------------


CHANGED = FULL.replace("auto_hosting: false", "auto_hosting: true").replace("Ask us", "Ask me")
SMALL = "workspace: acme\nbots: []\nfolders: [{id: new, name: New}]\nstandard_messages: []\n"


LITTLE = """
workspace: acme
settings: {auto_hosting: false}
tags: [{name: VIP}]
bots:
  - {id: helper, name: H, kind: faq, faq: [{id: a, keywords: [a], answers: [x]},
     {id: price, keywords: [price], answers: [Ask us]}]}
"""
LITTLE_CHANGED = LITTLE.replace("false", "true").replace("Ask us", "Ask me").replace("VIP", "new")


async def test_d13_killed_at_any_write_an_apply_is_whole_or_nothing(store: Store) -> None:
    """What is read through `finish`, as desk does, is the state before or the one after."""
    outcomes = []
    for lives in range(40):
        workspace = f"acme{lives}"
        before_text, after_text = (
            text.replace("acme", workspace) for text in (LITTLE, LITTLE_CHANGED)
        )
        await apply(store, before_text)
        dying: Any = DyingStore(store, lives)
        survived = True
        try:
            await writer(dying).apply(file_of(after_text), prune=True)
        except KilledError:
            survived = False
        await finish(store, workspace)
        after = await read_state(store, workspace)
        assert told(after) in {(False, "Ask us", "VIP"), (True, "Ask me", "new")}, lives
        outcomes.append(told(after)[0])
        await apply(store, after_text, prune=True)  # run again, it is as it should be
        assert told(await read_state(store, workspace)) == (True, "Ask me", "new")
        page = Page(order="object", limit=10)
        found = await store.find(AUDIT, workspace, {"object": "bot:helper"}, page)
        assert len(found) == 2  # once made, once changed: never twice on record
        if survived:
            break
    assert outcomes[0] is False
    assert outcomes == sorted(outcomes)  # from the journal on it is done
    assert 5 < outcomes.count(True) < 40


def told(state: State) -> tuple[bool, str, str]:
    [tag] = [tag.name for tag in state.tags.values() if tag.id != "tag_old"]
    return state.workspace.settings.auto_hosting, state.bots["helper"].faq[1].answers[0], tag


KILLED = """
import asyncio, os, signal, sys
from libs.common.documents import COLLECTIONS
from libs.common.store.open import open_store
from tests.dying import DyingStore
from tests.house.full_workspace import file_of, writer

class Gone(DyingStore):
    def __getattr__(self, name):
        if self.lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattr__(name)

async def run():
    async with open_store(sys.argv[1], COLLECTIONS) as store:
        await writer(Gone(store, 4)).apply(file_of(sys.argv[2]), prune=True)

asyncio.run(run())
"""


async def test_d13_a_process_that_was_killed_in_an_apply_is_finished_by_the_next(
    ready_url: str,
) -> None:
    async with open_store(ready_url, COLLECTIONS) as store:
        await apply(store, LITTLE)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, ready_url, LITTLE_CHANGED)
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    async with open_store(ready_url, COLLECTIONS) as store:
        assert await standing(store, "acme") is None
        found = await plan(store, LITTLE_CHANGED, prune=True)  # looking finishes it
        assert touched(found) == {}
        assert told(await read_state(store, "acme")) == (True, "Ask me", "new")


async def test_d13_of_two_applies_at_once_one_wins_and_the_other_does_nothing(
    store_url: str,
) -> None:
    async with open_store(store_url, COLLECTIONS) as store:
        await apply(store, FULL)
        texts = [
            f"workspace: acme\nname: Name {who}\n"
            f"standard_messages: [{{id: of-{who}, title: Of {who}, text: x}}]\n"
            for who in ("a", "b", "c")
        ]
        found = await asyncio.gather(
            *(
                writer(store, who).apply(file_of(text))
                for who, text in zip("abc", texts, strict=True)
            ),
            return_exceptions=True,
        )
        won = [number for number, one in enumerate(found) if not isinstance(one, BaseException)]
        lost = [one for one in found if isinstance(one, BaseException)]
        assert len(won) == 1
        assert all(isinstance(one, SettingsError) for one in lost)
        assert all("somebody else applied" in str(one.args) for one in lost)
        winner = "abc"[won[0]]
        state = await read_state(store, "acme")
        assert state.workspace.name == f"Name {winner}"
        made = {id_ for id_ in state.standard_messages if id_.startswith("of-")}
        assert made == {f"of-{winner}"}


async def test_d13_what_people_changed_since_the_plan_is_found(full: Store) -> None:
    expected = (await plan(full, CHANGED)).fingerprint
    assert (await plan(full, CHANGED)).fingerprint == expected
    found = await full.get(WORKSPACES, "acme", "acme")
    assert found is not None
    changed = msgspec.structs.replace(found.settings, show_read=False)
    await full.replace(WORKSPACES, msgspec.structs.replace(found, settings=changed))
    with pytest.raises(SettingsError) as caught:
        await apply(full, CHANGED, expect=expected)
    assert "has changed since the plan" in caught.value.detail
    kept = await full.get(WORKSPACES, "acme", "acme")
    assert kept is not None
    assert kept.settings == changed
    await apply(full, CHANGED, expect=(await plan(full, CHANGED)).fingerprint)


class MeddlingStore(DyingStore):
    """A store in which a person changes a switch while an apply takes its turn."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, 10**9)
        self._meddled = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name != "replace":
            return found

        async def replace(collection: Any, doc: Any) -> Any:
            if collection is CONFIGS and not self._meddled:
                self._meddled = True
                before = await self._store.get(WORKSPACES, "acme", "acme")
                assert isinstance(before, Workspace)
                after = msgspec.structs.replace(before, name="By hand")
                await self._store.replace(WORKSPACES, after)
            return await found(collection, doc)

        return replace


async def test_d13_an_edit_between_planning_and_applying_is_found(full: Store) -> None:
    meddling: Any = MeddlingStore(full)
    with pytest.raises(SettingsError) as caught:
        await writer(meddling).apply(file_of(CHANGED))
    assert "somebody changed the workspace at the same time" in caught.value.detail
    state = await read_state(full, "acme")
    assert (state.workspace.name, told(state)) == ("By hand", (False, "Ask us", "VIP"))


async def test_d13_who_comes_late_writes_nothing_over_what_people_changed_since(
    full: Store,
) -> None:
    """A helper that stops just before its write finds the apply closed, and leaves it."""
    dying: Any = DyingStore(full, 3)
    with pytest.raises(KilledError):
        await writer(dying).apply(file_of(CHANGED))

    class Late(DyingStore):
        def __getattr__(self, name: str) -> Any:
            found = getattr(self._store, name)
            if name != "replace" or self.lives == 0:
                return found

            async def replace(collection: Any, doc: Any) -> Any:
                self.lives = 0
                assert await finish(self._store, "acme")  # somebody else does all of it
                now = await self._store.get(collection, "acme", doc.id)
                if isinstance(now, Workspace):
                    by_hand = msgspec.structs.replace(now, name="By hand")
                    await self._store.replace(WORKSPACES, by_hand)
                return await found(collection, doc)

            return replace

    late: Any = Late(full, 1)
    await finish(late, "acme")
    assert late.lives == 0
    state = await read_state(full, "acme")
    assert (state.workspace.name, told(state)) == ("By hand", (True, "Ask me", "VIP"))


# --- prune ---------------------------------------------------------------------------------------


async def test_d13_what_the_file_does_not_name_is_left_and_told_and_pruned_when_asked(
    full: Store,
) -> None:
    text = FULL[: FULL.index("standard_messages:")] + "standard_messages: []\n"
    text = text.replace("  - {id: bye, name: Farewells, place: 2}\n", "")
    text = text.replace(
        'tags: [{name: VIP, color: "#1e90ff"}, {id: tag_old, name: Old}]', "tags: []"
    )
    left = {
        name: action
        for name, action in touched(await plan(full, text)).items()
        if not name.startswith("tag:")
    }
    assert left == {
        "folder:bye": "leave",
        "standard_message:hi": "leave",
        "standard_message:so-long": "leave",
    }
    await apply(full, text)
    assert set((await read_state(full, "acme")).folders) == {"hello", "bye"}
    applied = await apply(full, text, prune=True)
    assert len(applied.deleted) == 5
    state = await read_state(full, "acme")
    assert (set(state.folders), state.standard_messages, state.tags) == ({"hello"}, {}, {})
    assert set(state.webhook_endpoints) == {"crm"}  # the file has no such list: it is not its


async def test_d13_what_is_in_use_is_not_pruned_and_nothing_else_happens(full: Store) -> None:
    tag = next(iter(tag for tag in (await read_state(full, "acme")).tags.values()))
    contact = Contact(id="c1", workspace="acme", tags=(tag.id,), first_seen_at=NOW)
    await full.insert(CONTACTS, contact)
    before = await read_state(full, "acme")
    for text, sentence in {
        "workspace: acme\nname: X\ntags: []\n": "is held by contacts",
        "workspace: acme\nname: X\nbots: []\n": "rules[1].actions[0].bot: 'helper'",
        "workspace: acme\nname: X\nfolders: []\n": "folder:hello has the standard message hi",
        "workspace: acme\nname: X\nagents: [{name: Ada, email: ada@acme.example, role: lead}]\n": (
            "nobody would be left who may do everything"
        ),
    }.items():
        with pytest.raises(SettingsError) as caught:
            await apply(full, text, prune=True)
        assert sentence in caught.value.detail
        assert await read_state(full, "acme") == before


async def test_d13_people_are_disabled_and_never_deleted(full: Store) -> None:
    text = "workspace: acme\nagents: [{name: Olga, email: olga@acme.example, role: owner}]\n"
    assert touched(await plan(full, text, prune=True)) == {"agent:ada@acme.example": "disable"}
    await apply(full, text, prune=True)
    agents = (await read_state(full, "acme")).agents.values()
    assert {one.name: one.disabled for one in agents} == {"Olga": False, "Ada": True, "Ben": True}


# --- bad files -----------------------------------------------------------------------------------

WRONG = {
    "a bot without a question": (
        "bots: [{id: b, name: B, kind: faq, faq: [{id: a, answers: [x]}]}]",
        "bots[b].faq[0].questions: an entry needs a question",
    ),
    "a bot that becomes of another kind": (
        "bots: [{id: helper, name: B, kind: flow, start: a, steps: [{id: a, end: true}]}]",
        "bots[helper].kind: a bot stays of its kind; allowed: faq",
    ),
    "a webhook bot without a secret": (
        "bots: [{id: b, name: B, kind: webhook, url: 'https://b.example.com'}]",
        "bots[b].secret: is missing",
    ),
    "a tag with another's name": (
        "tags: [{id: tag_new, name: OLD}]",
        "tags[OLD]: 'OLD' is what tag_old is called",
    ),
    "names that are exchanged": (
        "folders: [{id: hello, name: Farewells}, {id: bye, name: Greetings}]",
        "to exchange two, apply twice",
    ),
    "a colour that is none": ("tags: [{name: a, color: red}]", "tags[a].color: 'red' is no colour"),
    "a message in no folder": (
        "standard_messages: [{id: a, title: A, text: x, folder: nowhere}]",
        "standard_messages[a].folder: 'nowhere' is not there; allowed: bye, hello",
    ),
    "a message with an unknown variable": (
        "standard_messages: [{id: a, title: A, text: '{{contact.shoe}}'}]",
        "standard_messages[a].text: {{contact.shoe}} is no variable; allowed: ",
    ),
    "a message with a file that nobody uploaded": (
        "standard_messages: [{id: a, title: A, attachments: [{id: att_x}]}]",
        "standard_messages[a].attachments[0].id: 'att_x' is no uploaded file",
    ),
    "a message that says nothing": (
        "standard_messages: [{id: a, title: A}]",
        "standard_messages[a].text: must not be blank",
    ),
    "an id with a blank": ("folders: [{id: a b, name: A}]", "folders: 'a b' is no id; allowed"),
    "the same id twice": (
        "folders: [{id: a, name: A}, {id: a, name: B}]",
        "folders.id: 'a' stands 2 times",
    ),
    "an endpoint without a secret": (
        "webhook_endpoints: [{id: e, url: 'https://e.example.com'}]",
        "webhook_endpoints[e].secret: is missing",
    ),
    "a secret that is none": (
        "webhook_endpoints: [{id: e, url: 'https://e.example.com', secret: {value: x}}]",
        "webhook_endpoints[e].secret: is no signing secret; allowed: whsec_",
    ),
    "a field of another type": (
        "contact_fields: [{name: Since, type: number}]",
        "contact_fields[Since].type: a field keeps its type; allowed: date",
    ),
    "a choice of nothing": (
        "contact_fields: [{name: A, type: choice}]",
        "contact_fields[A].choices: belong to",
    ),
    "a filter of an unknown list": (
        "shared_filters: [{id: a, name: A, query: {list: [lost]}}]",
        "Invalid enum value 'lost'",
    ),
    "a filter of an account that is not there": (
        "shared_filters: [{id: a, name: A, query: {account: [nope]}}]",
        "shared_filters[a].query.account: 'nope' is not there; allowed: ",
    ),
    "a rule for nobody": (
        "rules: [{id: r, actions: [{do: agent, agent: no@one.example}]}]",
        "rules[0].actions[0].agent: 'no@one.example' is no agent; allowed: ben@acme.example, ",
    ),
    "a password that the API would refuse": (
        "agents: [{name: N, email: n@acme.example, password: {value: abc}}]",
        "agents[n@acme.example].password: has 3 characters; allowed: 8 to 1024",
    ),
    "a survey on no channel": ("settings: {survey: {channels: [fax]}}", "settings.survey.channels"),
    "a survey without a question": (
        "settings: {survey: {channels: [line], question: ' '}}",
        "settings.survey.question",
    ),
    "a survey for ever": ("settings: {survey: {within_s: 5}}", "settings.survey.within_s"),
}


@pytest.mark.parametrize(("text", "sentence"), WRONG.values(), ids=WRONG)
async def test_d13_a_wrong_file_is_refused_by_its_place_and_nothing_is_written(
    full: Store, text: str, sentence: str
) -> None:
    before = await read_state(full, "acme")
    with pytest.raises(SettingsError) as caught:
        await apply(full, f"workspace: acme\nname: Other\n{text}")
    assert sentence in caught.value.detail
    assert await read_state(full, "acme") == before


async def test_d13_a_plan_of_a_name_of_another_workspace_is_refused(full: Store) -> None:
    [slug, *_] = (await read_state(full, "acme")).accounts
    text = FULL.replace("workspace: acme", "workspace: thief")
    with pytest.raises(SettingsError, match=f"account:{slug} belongs to another workspace"):
        await plan(full, text)


async def test_d13_a_file_that_a_message_of_the_file_has_is_not_swept(full: Store) -> None:
    upload = Attachment(
        id="att_price",
        workspace="acme",
        direction="out",
        state="stored",
        kind="file",
        name="prices.pdf",
        mime_type="application/pdf",
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    await full.insert(ATTACHMENTS, upload)
    text = "standard_messages: [{id: prices, title: Prices, attachments: [{id: att_price}]}]"
    await apply(full, f"workspace: acme\n{text}")
    found = await full.get(ATTACHMENTS, "acme", "att_price")
    assert found is not None
    assert found.message == "standard_message:prices", "else it is an upload that nobody sent"
    await apply(full, f"workspace: acme\n{text}")


# --- drift ---------------------------------------------------------------------------------------


async def test_d13_drift_is_what_differs_from_the_last_file(store: Store) -> None:
    assert (await drift_of(store, "acme")).applied_at is None
    await apply(store, FULL)
    assert (await drift_of(store, "acme")).objects == ()
    found = await store.get(AGENTS, "acme", next(iter((await read_state(store, "acme")).agents)))
    assert found is not None
    await store.replace(AGENTS, msgspec.structs.replace(found, limit=9, password_hash="new"))
    await store.delete(FOLDERS, "acme", "bye")
    await store.insert(TAGS, Tag(id="t9", workspace="acme", name="n", name_key="n"))
    drift = await drift_of(store, "acme")
    assert drift.applied_at == NOW
    differing = {one.object: one.fields for one in drift.objects}
    assert differing["folder:bye"] == ()
    agent = differing[f"agent:{found.email_key}"] if found.name == "Ada" else ("limit",)
    assert agent == ("limit",)
    assert not any(name.startswith("tag:") for name in differing)
    await apply(store, FULL)
    assert {one.object for one in (await drift_of(store, "acme")).objects} <= set(differing)
