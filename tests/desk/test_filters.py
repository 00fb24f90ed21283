"""The filters of the list, held against a plain scan of the same sessions (B17, B21, B22, B24)."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import COLLECTIONS, SESSIONS, Assignee, ListName, Session
from libs.common.store.open import open_store
from services.desk import inbox as inboxes
from services.desk.filters import Party, SessionFilter, Snoozed, matches, pieces
from services.desk.inbox import Inbox, Position
from services.desk.scope import WHOLE, Scope
from tests.desk.world import World
from tests.soak import sized

ME, BOB, CARA = "agt-amy", "agt-bob", "agt-cara"
T0 = datetime(2026, 3, 1, tzinfo=UTC)
TEAMS = ("", "sales", "care")
TAGS: list[tuple[str, ...]] = [(), ("vip",), ("vip", "late"), ("late",), ("vip", "new", "late")]
PLACES = [("line", "line-1"), ("line", "line-2"), ("web", "web-1"), ("wechat", "wx-1")]
STATES: list[tuple[ListName, bool, tuple[str, ...]]] = [
    ("bot_hosted", True, ()),
    ("bot_hosted", False, ()),
    ("unassigned", False, ()),
    ("unassigned", True, ()),
    ("assigned", False, (ME,)),
    ("assigned", True, (ME, BOB)),
    ("assigned", False, (BOB,)),
    ("assigned", True, (BOB, ME)),
    ("assigned", False, (BOB, CARA)),
    ("assigned", True, (CARA,)),
    ("ended", False, ()),
    ("ended", False, (ME,)),
    ("ended", False, (CARA, ME)),
    ("ended", False, (BOB,)),
]


def fixtures(workspace: str = "acme") -> list[Session]:
    """Return every state in every place twice; several share the same time.

    Every fifth is snoozed, every third is of no team, every fifth has no tag.
    """
    found = []
    for n, ((channel, account), state) in enumerate(itertools.product(PLACES, STATES * 2), start=1):
        name, bot, agents = state
        at = T0 + timedelta(seconds=(n * 7919) % 60)
        found.append(
            Session(
                id=f"ses-{n:03}",
                workspace=workspace,
                account=account,
                channel=channel,
                visitor=f"U{n}",
                contact=f"con-{n}",
                list=name,
                open_key=None if name == "ended" else f"{account}|U{n}",
                created_at=T0,
                updated_at=at,
                bot=bot,
                owner=agents[0] if agents else None,
                assignees=tuple(Assignee(agent=a, since=T0) for a in agents),
                assignee_ids=agents,
                team=TEAMS[n * 31 % 7 % 3],
                tags=TAGS[n * 17 % 11 % 5],
                snoozed_until=at if name != "ended" and n * 13 % 9 % 5 == 0 else None,
            )
        )
    return found


# What each value means, said without any of the code under test.
PARTY: dict[str, Callable[[Session], bool]] = {
    "bot": lambda s: s.list == "bot_hosted" or s.bot,
    "agent": lambda s: not (s.list == "bot_hosted" or s.bot),
}
HAD = ("assigned", "ended")
ASSIGNED: dict[str, Callable[[Session], bool]] = {
    "me": lambda s: s.list in HAD and ME in s.assignee_ids,
    "new": lambda s: s.list == "unassigned",
    "others": lambda s: s.list in HAD and bool(s.assignee_ids) and ME not in s.assignee_ids,
    BOB: lambda s: s.list in HAD and BOB in s.assignee_ids,
    CARA: lambda s: s.list in HAD and CARA in s.assignee_ids,
}


def seen(session: Session, scope: Scope) -> bool:
    """Tell what the limits of an agent mean: of a limit that is not set, everything is seen."""
    if scope.channels and session.channel not in scope.channels:
        return False
    if scope.accounts and session.account not in scope.accounts:
        return False
    ours = scope.teams is None or session.team in ("", *scope.teams)
    return ours or scope.agent in session.assignee_ids


def scan(rows: Sequence[Session], wanted: SessionFilter) -> list[Session]:
    """Return what *wanted* means by looking at every session, newest change first."""
    found = [
        s
        for s in rows
        if s.list in wanted.lists
        and (not wanted.channels or s.channel in wanted.channels)
        and (not wanted.accounts or s.account in wanted.accounts)
        and (not wanted.parties or any(PARTY[p](s) for p in wanted.parties))
        and (not wanted.assignees or any(ASSIGNED[a](s) for a in wanted.assignees))
        and (not wanted.tags or any(tag in s.tags for tag in wanted.tags))
        and (wanted.snoozed == "all" or (s.snoozed_until is not None) == (wanted.snoozed == "true"))
        and seen(s, wanted.scope)
    ]
    if wanted.snoozed == "true":
        return sorted(found, key=lambda s: (s.snoozed_until or s.updated_at, s.id))
    return sorted(found, key=lambda s: (s.updated_at, s.id), reverse=True)


OPEN: tuple[ListName, ...] = ("bot_hosted", "unassigned", "assigned")
LISTS: list[tuple[ListName, ...]] = [
    OPEN,
    ("bot_hosted",),
    ("unassigned",),
    ("assigned",),
    ("ended",),
    ("assigned", "ended"),
    (*OPEN, "ended"),
]
PARTIES: list[tuple[Party, ...]] = [(), ("bot",), ("agent",), ("bot", "agent")]
ASSIGNEES = [
    (),
    ("me",),
    ("new",),
    ("others",),
    (BOB,),
    ("me", "new"),
    ("me", "others"),
    ("new", "others"),
    ("me", BOB),
    ("others", BOB),
    (BOB, CARA),
    ("others", "new", CARA),
    ("me", "new", "others"),
]
WHERE = [
    ((), ()),
    (("line",), ()),
    (("line", "web"), ()),
    ((), ("line-2",)),
    (("line",), ("line-1", "web-1")),
    (("web",), ("line-1",)),
]


SNOOZED: list[Snoozed] = ["false", "true", "all"]
WORDS: list[tuple[str, ...]] = [(), ("vip",), ("vip", "late"), ("unheard-of",)]
SCOPES = [
    WHOLE,
    Scope(agent=ME, channels=("line", "wechat")),
    Scope(agent=ME, accounts=("line-1", "web-1")),
    Scope(agent=ME, teams=("sales",)),
    Scope(agent=ME, teams=()),
    Scope(agent=ME, teams=("care", "nobody"), channels=("line",)),
]


def combinations() -> list[SessionFilter]:
    """Return every choice of lists, places, partners and assignees, in every scope in turn."""
    limits = itertools.cycle(itertools.product(SCOPES, WORDS, SNOOZED))
    return [
        SessionFilter(
            me=ME,
            lists=lists,
            parties=parties,
            assignees=assignees,
            channels=channels,
            accounts=accounts,
            scope=scope,
            tags=tags,
            snoozed=snoozed,
        )
        for (lists, parties, assignees, (channels, accounts)), (scope, tags, snoozed) in zip(
            itertools.product(LISTS, PARTIES, ASSIGNEES, WHERE), limits, strict=False
        )
    ]


def three() -> list[SessionFilter]:
    """Return the three filters of the list, on and off, under every other choice."""
    return [
        SessionFilter(
            me=ME,
            channels=channels,
            parties=parties,
            assignees=assignees,
            tags=tags,
            snoozed=snoozed,
            scope=scope,
        )
        for channels, parties, assignees, tags, snoozed, scope in itertools.product(
            ((), ("line", "web")),
            PARTIES[::2],
            ((), ("me", "others"), ("others", BOB)),
            WORDS,
            SNOOZED,
            SCOPES,
        )
    ]


def some(count: int, seed: int) -> list[SessionFilter]:
    choice = random.Random(seed)  # noqa: S311  # a choice, no secret
    return choice.sample(combinations(), count // 2) + choice.sample(three(), count - count // 2)


def test_b17_the_plain_test_of_a_filter_means_what_a_scan_means_in_every_combination() -> None:
    rows = fixtures()
    for wanted in [*combinations(), *three()]:
        assert {s.id for s in rows if matches(s, wanted)} == {s.id for s in scan(rows, wanted)}, (
            wanted
        )


def test_a_list_is_asked_about_once_where_nobody_is_limited_to_teams() -> None:
    for wanted in combinations():
        asked = [piece.where["list"] for piece in pieces(wanted)]
        assert len(asked) == len(set(asked)) or wanted.scope.teams is not None
        assert set(asked) <= set(wanted.lists)


def test_b22_every_open_session_is_with_the_bot_or_with_an_agent_and_never_both() -> None:
    rows = fixtures()
    bot, agent = [
        {s.id for s in rows if matches(s, SessionFilter(me=ME, parties=(p,), snoozed="all"))}
        for p in PARTIES[1] + PARTIES[2]
    ]
    assert not bot & agent
    assert bot | agent == {s.id for s in rows if s.list != "ended"}


def test_b24_me_new_others_and_the_bots_share_out_all_open_sessions() -> None:
    rows = fixtures()
    groups = [
        {s.id for s in rows if matches(s, SessionFilter(me=ME, assignees=(word,), snoozed="all"))}
        for word in ("me", "new", "others")
    ]
    groups.append({s.id for s in rows if s.list == "bot_hosted"})
    counted = Counter(itertools.chain.from_iterable(groups))
    assert set(counted.values()) == {1}
    assert set(counted) == {s.id for s in rows if s.list != "ended"}


@asynccontextmanager
async def inbox_on(url: str) -> AsyncIterator[Inbox]:
    """Yield the list over the fixtures of one workspace, beside the same of another."""
    async with open_store(url, COLLECTIONS) as store:
        for workspace in ("acme", "zeta"):
            assert await store.insert_many(SESSIONS, fixtures(workspace)) == {}
        yield Inbox(store)


@pytest.fixture
async def inbox(ready_url: str) -> AsyncIterator[Inbox]:
    async with inbox_on(ready_url) as made:
        yield made


async def all_pages(inbox: Inbox, wanted: SessionFilter, limit: int) -> list[str]:
    found: list[str] = []
    after: Position | None = None
    while True:
        page = await inbox.page("acme", wanted, after=after, limit=limit)
        assert len(page.rows) <= limit
        assert {row.workspace for row in page.rows} <= {"acme"}
        found += [row.id for row in page.rows]
        if page.next is None:
            return found
        after = page.next


async def test_b17_the_store_answers_what_a_scan_finds_in_order(inbox: Inbox) -> None:
    rows = fixtures()
    for wanted in some(220, seed=17):
        expected = [s.id for s in scan(rows, wanted)]
        assert await all_pages(inbox, wanted, limit=200) == expected, wanted


@pytest.mark.parametrize("limit", [1, 7])
async def test_pages_put_together_are_the_whole_list(inbox: Inbox, limit: int) -> None:
    rows = fixtures()
    for wanted in [SessionFilter(me=ME, channels=("web",)), *some(6, seed=limit)]:
        expected = [s.id for s in scan(rows, wanted)]
        assert await all_pages(inbox, wanted, limit) == expected, wanted


@pytest.mark.parametrize("scanned", [1, 4])
async def test_a_long_run_of_left_out_rows_ends_in_a_short_page_with_a_cursor(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, scanned: int
) -> None:
    monkeypatch.setattr(inboxes, "SCAN_LIMIT", scanned)
    choices: list[tuple[ListName, ...]] = [OPEN, ("ended",), ("assigned", "ended"), LISTS[-1]]
    for lists in choices:
        wanted = SessionFilter(me=ME, lists=lists, assignees=("others",))
        assert await all_pages(inbox, wanted, 2) == [s.id for s in scan(fixtures(), wanted)]


def test_a_session_that_moves_while_the_lists_are_read_is_shown_once_as_it_is_now() -> None:
    before = fixtures()[0]
    after = msgspec.structs.replace(before, list="assigned", rev=before.rev + 1)
    for rows in ([before, after], [after, before]):
        assert list(inboxes.once(rows)) == [after]


def counts_by_scan(rows: Sequence[Session], wanted: SessionFilter) -> dict[str, dict[str, int]]:
    change = msgspec.structs.replace

    def size(**values: Any) -> int:
        return len(scan(rows, change(wanted, **values)))

    by_channel = Counter(s.channel for s in scan(rows, change(wanted, channels=())))
    by_account = Counter(s.account for s in scan(rows, change(wanted, accounts=())))
    return {
        "lists": {name: size(lists=(name,)) for name in (*OPEN, "ended")},
        "parties": {name: size(parties=(name,)) for name in ("bot", "agent")},
        "assignee": {name: size(assignees=(name,)) for name in ("me", "new", "others")},
        "channels": dict(by_channel),
        "accounts": dict(by_account),
        "tags": dict(Counter(t for s in scan(rows, change(wanted, tags=())) for t in s.tags)),
    }


async def test_b17_each_count_is_what_choosing_that_value_would_show(inbox: Inbox) -> None:
    rows = fixtures()
    for wanted in [SessionFilter(me=ME), *some(40, seed=24)]:
        found = msgspec.structs.asdict(await inbox.facets("acme", wanted))
        assert found == counts_by_scan(rows, wanted), wanted


async def test_b17_on_mongodb_pages_and_counts_are_the_same(mongo_database_url: str) -> None:
    rows = fixtures()
    async with inbox_on(mongo_database_url) as inbox:
        for wanted in [SessionFilter(me=ME), *some(sized(4, 60), seed=7)]:
            expected = [s.id for s in scan(rows, wanted)]
            assert await all_pages(inbox, wanted, limit=20) == expected, wanted
            found = msgspec.structs.asdict(await inbox.facets("acme", wanted))
            assert found == counts_by_scan(rows, wanted), wanted


async def test_counts_stop_at_the_limit(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "COUNT_LIMIT", 5)
    facets = await inbox.facets("acme", SessionFilter(me=ME))
    assert facets.lists == {"bot_hosted": 5, "unassigned": 5, "assigned": 5, "ended": 5}
    assert set(facets.tags.values()) == {5}
    assert facets.assignee == {"me": 5, "new": 5, "others": 5}
    assert set(facets.channels.values()) == {5}


# --- over HTTP -----------------------------------------------------------------------------------

CHOICES = {
    "channel": [("channel", "line,web")],
    "with": [("with", "agent")],
    "assignee": [("assignee", "me"), ("assignee", "others")],
}
MEANT: dict[str, dict[str, Any]] = {
    "channel": {"channels": ("line", "web")},
    "with": {"parties": ("agent",)},
    "assignee": {"assignees": ("me", "others")},
}


@pytest.mark.parametrize(
    "chosen",
    [c for n in range(4) for c in itertools.combinations(CHOICES, n)],
    ids=lambda chosen: " and ".join(chosen) or "no filter",
)
async def test_b17_all_eight_combinations_of_the_three_filters_over_http(
    world: World, chosen: tuple[str, ...]
) -> None:
    rows = fixtures(world.workspace)
    await world.store.insert_many(SESSIONS, rows)
    await world.store.insert_many(SESSIONS, fixtures(world.other))
    wanted = SessionFilter(me=ME, **{k: v for name in chosen for k, v in MEANT[name].items()})
    query = [pair for name in chosen for pair in CHOICES[name]]
    answer = await world.call("GET", "/sessions", "amy", query=[*query, ("limit", "200")])
    assert answer.status == 200, answer.body
    found = answer.json
    assert [row["id"] for row in found["items"]] == [s.id for s in scan(rows, wanted)]
    assert found["next"] is None
    expected = counts_by_scan(rows, wanted)
    expected["with"] = expected.pop("parties")
    assert found["counts"] == expected


async def test_b21_one_channel_shows_all_its_conversations_across_lists(world: World) -> None:
    rows = fixtures(world.workspace)
    await world.store.insert_many(SESSIONS, rows)
    found = await world.get("/sessions", account="line-2", limit=200)
    mine = [s for s in rows if s.account == "line-2" and s.list != "ended" and not s.snoozed_until]
    assert {row["id"] for row in found["items"]} == {s.id for s in mine}
    assert len({row["list"] for row in found["items"]}) == 3
    assert found["counts"]["accounts"]["line-2"] == len(mine)


async def test_without_counts_nothing_is_counted(world: World) -> None:
    found = await world.get("/sessions", counts="false")
    assert found == {"items": [], "next": None, "counts": None, "complete": True}


REFUSED = {
    "a search of a book's length": ("q", "v" * 501),
    "a tag of nobody's patience": ("tag", "v" * 201),
    "an unknown list": ("list", "closed"),
    "one unknown list among known ones": ("list", "assigned,closed"),
    "an unknown partner": ("with", "human"),
    "an unknown channel": ("channel", "fax"),
    "an operator": ("list[$ne]", "ended"),
    "an object": ("assignee", '{"$gt":""}' * 20),
    "no value": ("list", ""),
    "no page size": ("limit", "0"),
    "too large a page": ("limit", "201"),
    "a fraction": ("limit", "1.5"),
    "no number": ("limit", "ten"),
    "a cursor of nothing": ("cursor", "abc"),
    "a cursor with an operator": ("cursor", "eyIkZ3QiOiIifQ"),
    "an endless cursor": ("cursor", "a" * 5000),
    "a number for a switch": ("counts", "7"),
}


@pytest.mark.parametrize(("name", "value"), REFUSED.values(), ids=REFUSED)
async def test_a_filter_that_is_not_understood_is_refused_by_name_and_never_ignored(
    world: World, name: str, value: str
) -> None:
    answer = await world.call("GET", "/sessions", "amy", query=[(name, value)])
    assert answer.status == 422
    found = answer.json
    assert found["code"] == "invalid_input"
    assert found["facts"]["field"].split(".")[0] == name
    assert found["facts"]["allowed"]


async def test_a_filter_may_have_fifty_values_and_a_single_one_stands_once(world: World) -> None:
    many = [("account", ",".join(f"a{n}" for n in range(50)))]
    assert (await world.call("GET", "/sessions", "amy", query=many)).status == 200
    too_many = await world.call("GET", "/sessions", "amy", query=[*many, ("account", "a50")])
    assert (too_many.status, too_many.json["facts"]["field"]) == (422, "account")
    twice = await world.call("GET", "/sessions", "amy", query=[("limit", "1"), ("limit", "2")])
    assert (twice.status, twice.json["facts"]["field"]) == (422, "limit")
