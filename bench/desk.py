"""What agents wait for: the desk's pages, lists and searches over a large workspace.

The desk is the real process on the embedded store; each request goes through HTTP, one after the
other. With `--sessions`, `--messages` and `--contacts` it can be as large as the disk allows.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench import desk_seed as seeds
from bench.desk_seed import WORKSPACE, Sizes
from bench.ingest import Server, started
from libs.common.cli.admin import apply_file, migrate
from libs.common.credentials import new_secret, secret_hash, token_text
from libs.common.documents import (
    ACCOUNTS,
    AGENTS,
    COLLECTIONS,
    TAGS,
    TOKENS,
    AccessToken,
    AccountDocument,
    Agent,
    Tag,
)
from libs.common.embedded import embedded_nats
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.workspace_file import WorkspaceFile

TARGET_MS = 200
REPEATS = 60
"""Requests of a kind; the words, sessions and pages differ."""
_IMPORTED = 2_000
_JOB_WITHIN_S = 600.0


class Figure(msgspec.Struct, frozen=True):
    """How long one kind of request took, in milliseconds."""

    what: str
    p50: float
    p95: float
    most: float


class Rate(msgspec.Struct, frozen=True):
    """How many rows a second one kind of work does."""

    what: str
    rows: int
    per_s: float


class Report(msgspec.Struct, frozen=True):
    """What was measured, on what; `load` is that of the machine in the minutes before."""

    sizes: Sizes
    figures: list[Figure]
    rates: list[Rate]
    store_mib: float
    seeded_s: float
    load_before: float
    load_after: float
    cores: int


class Asking:
    """Asks the desk, and keeps how long it took."""

    def __init__(self, http: aiohttp.ClientSession, port: int, token: str) -> None:
        self._http = http
        self._base = f"http://127.0.0.1:{port}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"}
        self.figures: list[Figure] = []

    async def get(self, path: str, **query: str) -> Any:
        """Return the answer.

        Raises:
            RuntimeError: It is none of success.
        """
        async with self._http.get(self._base + path, params=query, headers=self._headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} {query}: {answer.status} {body[:300]!r}")
            return msgspec.json.decode(body)

    async def measure(self, what: str, ask: Callable[[int], Awaitable[Any]]) -> None:
        """Ask again and again, and keep the figure."""
        took = []
        for n in range(REPEATS):
            began = time.perf_counter()
            await ask(n)
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        figure = Figure(what, statistics.median(took), took[int(0.95 * len(took))], took[-1])
        self.figures.append(figure)
        verdict = "" if figure.p95 < TARGET_MS else f"   ABOVE {TARGET_MS} ms"
        print(
            f"| {what} | {figure.p50:.1f} | {figure.p95:.1f} | {figure.most:.1f} |{verdict}",
            flush=True,
        )

    async def pour(self, path: str, **query: str) -> int:
        """Read an answer to its end; return its lines."""
        lines = 0
        async with self._http.get(self._base + path, params=query, headers=self._headers) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{path}: {answer.status}")
            async for chunk in answer.content.iter_any():
                lines += chunk.count(b"\n")
        return lines

    async def job(self, path: str, body: bytes, name: str) -> Any:
        """Let a file be worked on as a job; return the job as it ended."""
        async with self._http.post(
            f"{self._base}{path}&name={name}",
            data=body,
            headers={**self._headers, "Content-Type": "application/octet-stream"},
        ) as answer:
            found = msgspec.json.decode(await answer.read())
            if answer.status not in {200, 201, 202}:
                raise RuntimeError(f"{path}: {answer.status} {found}")
        end = time.monotonic() + _JOB_WITHIN_S
        while found["state"] in {"waiting", "running"} and time.monotonic() < end:
            await asyncio.sleep(0.1)
            found = await self.get(f"/jobs/{found['id']}")
        return found


async def main(sizes: Sizes, into: Path | None = None) -> None:
    """Seed, measure and print; with *into* also as JSON."""
    with tempfile.TemporaryDirectory(prefix="relaydesk-bench-") as name:
        report = await _report(Path(name), sizes)
    print(
        f"\nload {report.load_before:.1f} before, {report.load_after:.1f} after, "
        f"on {report.cores} cores; store {report.store_mib:,.0f} MiB"
    )
    if into is not None:
        into.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))


async def _report(folder: Path, sizes: Sizes) -> Report:
    load = os.getloadavg()[0]
    path = folder / "bench.db"
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(embedded_nats(folder / "nats"))
        settings = {
            "RELAYDESK_NATS_URL": url,
            "RELAYDESK_SECRET_KEY": new_key_setting(),
            "RELAYDESK_STORE_URL": f"sqlite:///{path}",
            "RELAYDESK_FILES_URL": f"file:///{folder / 'files'}",
            "RELAYDESK_PORT": "0",
            "RELAYDESK_PORT_FILE": str(folder / "desk.json"),
            "RELAYDESK_REQUESTS_PER_MINUTE": "0",
        }
        await migrate(settings)
        await apply_file(settings, WorkspaceFile(workspace=WORKSPACE))
        token = await furnish(settings["RELAYDESK_STORE_URL"])
        began = time.monotonic()
        await asyncio.to_thread(seeds.seed, path, sizes)
        seeded_s = time.monotonic() - began
        print(f"\n## Desk: {', '.join(seeds.total(sizes))} (seeded in {seeded_s:.0f} s)\n")
        print("| request | p50 ms | p95 ms | most ms |\n|---|---|---|---|", flush=True)
        desk = await opened.enter_async_context(
            started("desk", ["-m", "services.desk"], settings, folder, core=None)
        )
        http = await opened.enter_async_context(aiohttp.ClientSession())
        asking = Asking(http, desk.port, token)
        await _pages(asking, sizes)
        await _searches(asking, sizes)
        rates = await _rates(asking, sizes)
        print(f"\ndesk's peak memory: {_peak(desk):.0f} MiB")
    return Report(
        sizes=sizes,
        figures=asking.figures,
        rates=rates,
        store_mib=path.stat().st_size / 2**20,
        seeded_s=seeded_s,
        load_before=load,
        load_after=os.getloadavg()[0],
        cores=os.cpu_count() or 1,
    )


def _peak(desk: Server) -> float:
    return desk.peak_mib()


async def _pages(asking: Asking, sizes: Sizes) -> None:
    await asking.measure("inbox, first page with counts", lambda _: asking.get("/sessions"))
    await asking.measure(
        "inbox of one channel, with counts",
        lambda n: asking.get("/sessions", channel=seeds.CHANNELS[n % len(seeds.CHANNELS)]),
    )
    await asking.measure(
        "ended sessions, with counts", lambda _: asking.get("/sessions", list="ended")
    )
    cursors = [""]

    async def further(n: int) -> None:
        query = {"cursor": cursors[-1]} if cursors[-1] else {}
        page = await asking.get("/sessions", list="ended", counts="false", **query)
        cursors.append(page["next"] if page["next"] and n % 20 else "")

    await asking.measure("ended sessions, further pages without counts", further)
    await asking.measure(
        "timeline, first page",
        lambda n: asking.get(f"/sessions/{seeds.session_id(n * sizes.sessions // 61)}/messages"),
    )
    await asking.measure("contacts, first page", lambda _: asking.get("/contacts"))
    await asking.measure(
        "contacts with a tag", lambda n: asking.get("/contacts", tag=seeds.TAGS[n % 3])
    )


async def _searches(asking: Asking, sizes: Sizes) -> None:
    vocabulary = seeds.words()
    rare = [f"zyx{n}" for n in range(seeds.RARE_EVERY // 2, sizes.messages, seeds.RARE_EVERY)] or [
        "zyx"
    ]

    def people(n: int) -> int:
        return n * 7919 % sizes.contacts

    kinds: dict[str, Callable[[int], dict[str, str]]] = {
        "search, a word nobody said": lambda n: {"q": f"nowhere{n}"},
        "search, a rare word": lambda n: {"q": rare[n % len(rare)]},
        "search, a usual word": lambda n: {"q": vocabulary[100 + n]},
        "search, a common word": lambda n: {"q": seeds.COMMON[n % len(seeds.COMMON)]},
        "search, two common words": lambda n: {"q": f"please {seeds.COMMON[1 + n % 7]}"},
        "search, a common and a rare word": lambda n: {"q": f"{rare[n % len(rare)]} serial"},
        "search, six words": lambda n: {"q": " ".join(vocabulary[n : n + 6])},
        "search, two usual words": lambda n: {"q": f"{vocabulary[60 + n]} {vocabulary[200 + n]}"},
        "search, one letter": lambda n: {"q": "kromtsvnldpqb"[n % 13]},
        "search, three letters": lambda n: {"q": vocabulary[300 + 31 * n][:3]},
        "search, a name": lambda n: {"q": seeds.name_of(people(n))},
        "search, a telephone number": lambda n: {"q": seeds.phone_of(people(n))},
        "search by `phone`": lambda n: {"phone": seeds.phone_of(people(n)).replace(" ", "-")},
        "search by `email`": lambda n: {"email": f"person{people(n)}@example.org"},
        "search by `tag`": lambda n: {"tag": seeds.TAGS[n % 3]},
        "search by time": lambda n: {
            "from": (seeds.T0 + seeds.SPAN * n / 100).isoformat(),
            "to": (seeds.T0 + seeds.SPAN * (n + 3) / 100).isoformat(),
        },
        "search, a common word of one account": lambda n: {
            "q": seeds.COMMON[n % 8],
            "account": seeds.ACCOUNTS[n % 10][0],
        },
    }
    for what, query in kinds.items():
        await asking.measure(what, _search(asking, query))


def _search(
    asking: Asking, query: Callable[[int], dict[str, str]]
) -> Callable[[int], Awaitable[Any]]:
    return lambda n: asking.get("/search", **query(n))


async def _rates(asking: Asking, sizes: Sizes) -> list[Rate]:
    rates = []
    print()
    for what in ("csv", "xlsx"):
        began = time.perf_counter()
        await asking.pour("/contacts/export", format=what)
        took = time.perf_counter() - began
        rates.append(Rate(f"export of contacts as {what}", sizes.contacts, sizes.contacts / took))
    rows = ["name,email,phone"]
    rows += [f"Imported {n},imported{n}@example.org,+4930{n:07d}" for n in range(_IMPORTED)]
    began = time.perf_counter()
    job = await asking.job("/contacts/import?key=email", "\n".join(rows).encode(), "people.csv")
    took = time.perf_counter() - began
    if job["state"] != "done":
        raise RuntimeError(f"the import ended {job}")
    rates.append(Rate("import of contacts from csv", _IMPORTED, _IMPORTED / took))
    for rate in rates:
        print(f"{rate.what}: {rate.per_s:,.0f} rows/s ({rate.rows:,} rows)", flush=True)
    return rates


async def furnish(url: str) -> str:
    """Make the agent who asks, and the tags; return the text of a token."""
    secret, email = new_secret(), "bench@example.org"
    agent = Agent(
        id=seeds.AGENTS[0],
        workspace=WORKSPACE,
        name="Bench",
        email=email,
        email_key=email,
        role="admin",
    )
    token = AccessToken(
        id="t00001",
        workspace=WORKSPACE,
        agent=agent.id,
        kind="api",
        secret_hash=secret_hash(secret),
        created_at=datetime.now(UTC),
    )
    async with open_store(url, COLLECTIONS) as store:
        await store.insert(AGENTS, agent)
        await store.insert(TOKENS, token)
        for slug, channel in seeds.ACCOUNTS:
            await store.insert(
                ACCOUNTS,
                AccountDocument(id=slug, workspace=WORKSPACE, channel=channel, external_id=slug),
            )
        for name in seeds.TAGS:
            await store.insert(TAGS, Tag(id=name, workspace=WORKSPACE, name=name, name_key=name))
    return token_text(WORKSPACE, token.id, secret)
