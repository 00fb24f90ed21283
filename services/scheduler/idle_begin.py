"""Since when idle time counts, said where nobody has: nothing ends before it is.

The switch is older than the policy behind it, and did nothing. Where it was on before that came,
all that has been idle meanwhile would be swept up; so it counts from the first time we see it on.
"""

from __future__ import annotations

import logging

import msgspec

from libs.common.documents import WORKSPACES
from libs.common.errors import SettingsError, StaleRevisionError, StoreUnavailableError
from libs.common.policies import publish_policy
from libs.common.termination import counted
from services.scheduler.means import Means

log = logging.getLogger(__name__)

_TRIES = 8


async def begin(means: Means, workspace: str) -> None:
    """Store since when idle time counts in *workspace*, unless somebody has, and tell all.

    Raises:
        StoreUnavailableError: The store is away, or others write all the time.
        BusUnavailableError: The bus is away.
    """
    await _store(means, workspace)
    try:
        await publish_policy(means.store, means.bus, workspace)
    except SettingsError as error:  # what was published before stands, and nothing ends
        log.error(  # noqa: TRY400 (the reason says it all)
            "idle.policy_too_large", extra={"workspace": workspace, "reason": error.detail}
        )


async def _store(means: Means, workspace: str) -> None:
    for _ in range(_TRIES):
        found = await means.store.get(WORKSPACES, workspace, workspace)
        if found is None:
            return
        settings = counted(found.settings, found.settings, means.now())
        if settings == found.settings:
            return
        try:
            await means.store.replace(WORKSPACES, msgspec.structs.replace(found, settings=settings))
        except StaleRevisionError:
            continue
        log.info("idle.begins", extra={"workspace": workspace})
        return
    raise StoreUnavailableError("the settings are being changed all the time")
