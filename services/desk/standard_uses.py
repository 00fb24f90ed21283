"""Counting how often standard messages are used: once a request, however often it is repeated."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.errors import RetryableError, StaleRevisionError, UniqueConflictError
from libs.common.later import STANDARD_USES, StandardUse
from libs.common.store.api import Store

log = logging.getLogger(__name__)

KNOWN = 100
"""So many uses are remembered, to tell a repeat; one that comes later counts again."""
_TRIES = 60
_PAUSE_S = 0.05
"""Seconds, at most, after which somebody who was not the fastest tries again."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use; `key` names the request, or the message that went out."""

    workspace: str
    item: str
    kind: Literal["picked", "sent"]
    key: str
    at: datetime


async def count(store: Store, use: Use) -> None:
    """Count *use*; where the store is away it goes uncounted: what it counts matters more."""
    try:
        for _ in range(_TRIES):
            if await _counted(store, use):
                return
            await asyncio.sleep(random.uniform(0, _PAUSE_S))  # noqa: S311 (no secret)
        log.warning("standard_use.uncounted", extra={"code": "busy"})
    except RetryableError as error:
        log.warning("standard_use.uncounted", extra={"code": error.code})


async def _counted(store: Store, use: Use) -> bool:
    """Count, unless somebody else was faster: then nothing is counted and False."""
    mark = f"{use.kind}:{use.key}"
    found = await store.get(STANDARD_USES, use.workspace, use.item)
    before = found or StandardUse(id=use.item, workspace=use.workspace, last_used_at=use.at)
    if mark in before.known:
        return True
    after = msgspec.structs.replace(
        before,
        picked=before.picked + (use.kind == "picked"),
        sent=before.sent + (use.kind == "sent"),
        last_used_at=max(before.last_used_at, use.at),
        known=(*before.known, mark)[-KNOWN:],
    )
    try:
        if after.rev:
            await store.replace(STANDARD_USES, after)
        else:
            await store.insert(STANDARD_USES, after)
    except (StaleRevisionError, UniqueConflictError):
        return False
    return True
