"""A router that is killed between the session's write and the first word of its outbox.

`python -m tests.scheduler.dies <store url>` reads the policy and one command, a JSON array, from
its input.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from libs.common.commands import AnyCommand
from libs.common.documents import COLLECTIONS
from libs.common.policy import Policy
from libs.common.store.open import open_store
from services.router.execute import Executor
from services.router.outbox import Outbox
from services.router.rooms import Rooms
from services.router.seats import Seats


class Deadly:
    """The bus of a process that does not live to publish."""

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> NoReturn:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(subject, data, msg_id, headers)  # nobody gets here


def _now() -> datetime:
    return datetime.now(UTC)


async def main(store_url: str, policy: Policy, command: AnyCommand) -> None:
    """Carry out *command*."""
    async with open_store(store_url, COLLECTIONS) as store:
        seats = Seats(store, _now)
        outbox = Outbox(store, Deadly(), _now, seats=seats)
        executor = Executor(store, outbox, Rooms(lambda _: policy, seats), _now)
        await executor.execute(command)


if __name__ == "__main__":
    told = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Policy, AnyCommand])
    asyncio.run(main(sys.argv[1], *told))
