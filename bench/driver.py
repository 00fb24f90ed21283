"""PyMongo's asyncio API against Motor: the same server, the same operations, in turn, one run."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from tests.engines import secantus

DOCUMENTS = 500
OPERATIONS = 400
ROUNDS = 5
CONCURRENCY = (1, 16)

Operation = Callable[[Any, int], Awaitable[Any]]


def _find(collection: Any, number: int) -> Awaitable[Any]:
    found: Awaitable[Any] = collection.find_one({"_id": number % DOCUMENTS})
    return found


def _insert(collection: Any, _number: int) -> Awaitable[Any]:
    done: Awaitable[Any] = collection.insert_one({"text": "x" * 200})
    return done


OPERATIONS_BY_NAME: dict[str, Operation] = {"find_one": _find, "insert_one": _insert}


async def _timed(collection: Any, operation: Operation, concurrency: int) -> tuple[float, float]:
    """Return operations per second and CPU seconds of this process per operation."""

    async def worker(first: int) -> None:
        for number in range(first, OPERATIONS, concurrency):
            await operation(collection, number)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker(first) for first in range(concurrency)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return OPERATIONS / wall, cpu / OPERATIONS


async def main() -> None:
    """Print the ratios."""
    print("\n## Driver: PyMongo's asyncio API / Motor (a MongoDB-compatible test server)\n")
    with tempfile.TemporaryDirectory() as folder, secantus(Path(folder)) as url:
        pymongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
        motor: Any = AsyncIOMotorClient(url)
        mine, theirs = pymongo["bench"]["documents"], motor["bench"]["documents"]
        await mine.insert_many({"_id": n, "text": "x" * 200} for n in range(DOCUMENTS))
        for name, operation in OPERATIONS_BY_NAME.items():
            for concurrency in CONCURRENCY:
                rates, costs = [], []
                for _ in range(ROUNDS):
                    rate_a, cpu_a = await _timed(mine, operation, concurrency)
                    rate_b, cpu_b = await _timed(theirs, operation, concurrency)
                    rates.append(rate_a / rate_b)
                    costs.append(cpu_a / cpu_b)
                print(
                    f"{name}, {concurrency} at once: {statistics.median(rates):.2f} x the "
                    f"throughput, {statistics.median(costs):.2f} x the client's CPU"
                )
        await pymongo.close()
        motor.close()
