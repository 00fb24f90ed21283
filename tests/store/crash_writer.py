"""Write to a SQLite store with four tasks until killed, printing each acknowledged write."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from libs.common.documents import MESSAGES, SESSIONS
from libs.common.store.api import Store
from libs.common.store.open import open_store
from tests.store.contract import message, session

TASKS = 4
STRIDE = 1_000_000


def tell(*words: object) -> None:
    """Print one line and hand it to the pipe, so that it outlives this process."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def write(store: Store, first: int) -> None:
    """Write messages one at a time and in batches, and a session again and again."""
    talk = await store.insert(SESSIONS, session(first, visitor=f"U{first}"))
    tell("session", talk.id, talk.rev)
    number = first
    while True:
        batch = [message(number + n) for n in range(1, 6)]
        refused = await store.insert_many(MESSAGES, batch)
        for one in batch:
            if one.id not in refused:
                tell("message", one.id)
        number += 6
        tell("message", (await store.insert(MESSAGES, message(number))).id)
        changed = msgspec.structs.replace(
            talk, entries=talk.rev + 1, assignee_ids=(f"a{talk.rev + 1}",)
        )
        if number % 4:
            talk = await store.replace(SESSIONS, changed)
        elif await store.replace_many(SESSIONS, [changed]) == {}:
            talk = msgspec.structs.replace(changed, rev=talk.rev + 1)
        tell("session", talk.id, talk.rev)


async def main(url: str, round_: int) -> None:
    async with open_store(url, (SESSIONS, MESSAGES)) as store:
        firsts = [(round_ * TASKS + task + 1) * STRIDE for task in range(TASKS)]
        await asyncio.gather(*(write(store, first) for first in firsts))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
