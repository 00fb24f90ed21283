"""SQLite and MongoDB give the same answers to the same random operations, and end up equal."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from libs.common.errors import GatewayError
from libs.common.store.api import All, In, Page, Range, Store, cursor
from libs.common.store.open import open_store
from tests.engines import fresh_database
from tests.soak import sized
from tests.store.contract import NOON, THINGS, Thing

EXAMPLES = sized(20, 200)
STEPS = 30
"""About 900 operations on each engine; raise both to search further."""

WORKSPACES = ("acme", "rival")
TIMES = tuple(NOON + timedelta(microseconds=n) for n in range(4))
WORDS = ("", "a", "ab", "b", "ไทย", "👋")

workspaces = st.sampled_from(WORKSPACES)
ids = st.sampled_from("pqrstu")
values: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(WORDS),
    "size": st.sampled_from((-1, 0, 1, 2**40)),
    "on": st.booleans(),
    "at": st.sampled_from(TIMES),
    "owner": st.sampled_from(WORDS),
    "tags": st.sampled_from(WORDS),
    "id": ids,
}
things = st.builds(
    Thing,
    id=ids,
    workspace=workspaces,
    name=values["name"],
    size=values["size"],
    on=values["on"],
    at=st.none() | values["at"],
    owner=st.none() | values["owner"],
    tags=st.lists(values["tags"], max_size=3).map(tuple),
    free=st.dictionaries(st.sampled_from(("", "a.b", "$c")), st.integers(-5, 5), max_size=2),
)
batches = st.lists(things, max_size=6, unique_by=lambda thing: thing.id)


some_words = st.lists(values["tags"], max_size=3).map(tuple)
every_one = st.builds(All, some_words, some_words)


def wanted(field: str) -> st.SearchStrategy[Any]:
    value = values[field]
    return st.one_of(
        value,
        st.lists(value, max_size=3).map(lambda some: In(tuple(some))),
        st.builds(Range, ge=st.none() | value, lt=st.none() | value),
        *([every_one] if field in {"tags", "name"} else []),
    )


wheres = st.fixed_dictionaries({}, optional={field: wanted(field) for field in values})
pages = st.builds(
    Page,
    order=st.sampled_from([index.name for index in THINGS.indexes]),
    descending=st.booleans(),
    limit=st.sampled_from((1, 2, 50)),
    skip=st.sampled_from((0, 0, 1)),
)


class BothEngines(RuleBasedStateMachine):
    """Each rule asks both stores the same and compares what they say."""

    server_url = ""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._opened = AsyncExitStack()
        self._known: dict[tuple[str, str], Thing] = {}
        self._runner.run(self._open())

    async def _open(self) -> None:
        enter = self._opened.enter_context
        folder = enter(tempfile.TemporaryDirectory())
        mongo_url = enter(fresh_database(self.server_url))
        urls = (f"sqlite:///{Path(folder) / 'store.db'}", mongo_url)
        self._stores = [
            await self._opened.enter_async_context(open_store(url, [THINGS])) for url in urls
        ]

    def _both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        lite, mongo = self._runner.run(self._ask(call))
        assert lite == mongo
        return lite

    async def _ask(self, call: Callable[[Store], Awaitable[Any]]) -> list[Any]:
        return [await outcome(call, store) for store in self._stores]

    def _learn(self, workspace: str) -> None:
        """Read everything of a workspace, so that later replacements know a revision."""
        found = self._both(lambda store: store.get_many(THINGS, workspace, "pqrstu"))
        self._known.update({(workspace, doc_id): doc for doc_id, doc in found.items()})

    def _at_known_rev(self, thing: Thing) -> Thing:
        known = self._known.get((thing.workspace, thing.id))
        return msgspec.structs.replace(thing, rev=known.rev if known else 1)

    @rule(thing=things)
    def insert(self, thing: Thing) -> None:
        self._both(lambda store: store.insert(THINGS, thing))

    @rule(batch=batches)
    def insert_many(self, batch: list[Thing]) -> None:
        self._both(lambda store: store.insert_many(THINGS, batch))

    @rule(workspace=workspaces)
    def read(self, workspace: str) -> None:
        self._learn(workspace)

    @rule(thing=things)
    def replace(self, thing: Thing) -> None:
        guarded = self._at_known_rev(thing)
        self._both(lambda store: store.replace(THINGS, guarded))

    @rule(batch=batches)
    def replace_many(self, batch: list[Thing]) -> None:
        guarded = [self._at_known_rev(thing) for thing in batch]
        self._both(lambda store: store.replace_many(THINGS, guarded))

    @rule(workspace=workspaces, doc_id=ids)
    def delete(self, workspace: str, doc_id: str) -> None:
        self._both(lambda store: store.delete(THINGS, workspace, doc_id))

    @rule(workspace=workspaces, where=wheres, page=pages)
    def find(self, workspace: str, where: dict[str, Any], page: Page) -> None:
        found = self._both(lambda store: store.find(THINGS, workspace, where, page))
        if isinstance(found, list) and found:
            after = cursor(THINGS, page.order, found[-1])
            behind = msgspec.structs.replace(page, after=after)
            self._both(lambda store: store.find(THINGS, workspace, where, behind))

    @rule(workspace=workspaces, where=wheres, limit=st.sampled_from((1, 3, 1000)))
    def count(self, workspace: str, where: dict[str, Any], limit: int) -> None:
        self._both(lambda store: store.count(THINGS, workspace, where, limit=limit))

    @rule(workspace=workspaces, where=wheres, by=st.sampled_from(tuple(values)))
    def group_count(self, workspace: str, where: dict[str, Any], by: str) -> None:
        self._both(lambda store: store.group_count(THINGS, workspace, where, by=by))

    @rule(
        workspace=workspaces,
        field=st.sampled_from(("tags", "name", "owner", "size")),
        ge=st.none() | values["tags"],
        lt=st.none() | values["tags"],
        limit=st.sampled_from((1, 2, 50)),
    )
    def list_values(
        self, workspace: str, field: str, ge: str | None, lt: str | None, limit: int
    ) -> None:
        within = Range(ge, lt)
        self._both(lambda store: store.values(THINGS, workspace, field, within, limit=limit))

    def teardown(self) -> None:
        try:
            for workspace in WORKSPACES:
                self._learn(workspace)
        finally:
            self._runner.run(self._opened.aclose())
            self._runner.close()


async def outcome(call: Callable[[Store], Awaitable[Any]], store: Store) -> Any:
    """Return the answer, or the kind of failure; texts may differ."""
    try:
        return await call(store)
    except (GatewayError, LookupError, ValueError) as error:
        return type(error), getattr(error, "index", None)


@pytest.fixture
def machine(mongo_url: str) -> type[BothEngines]:
    class OnThisServer(BothEngines):
        server_url = mongo_url

    return OnThisServer


def test_both_engines_agree(machine: type[BothEngines]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.generate,),
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
