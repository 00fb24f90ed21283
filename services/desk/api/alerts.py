"""What calls for the caller's attention, as it happens."""

from __future__ import annotations

from aiohttp import web

from libs.common.errors import StoreUnavailableError
from services.desk.api.route import RANK, Call, Reply
from services.desk.auth import still_good
from services.desk.presence import Who


async def stream(call: Call) -> Reply:
    """Tell the caller's alerts until it leaves or may no longer read them.

    Raises:
        RefusalError: 429, too many streams are open; 503, they cannot be read now.
    """
    who = Who(call.who.workspace, call.who.agent)
    attends = RANK[call.who.role] >= RANK["agent"]

    async def still() -> bool:
        try:
            return await still_good(call.desk.store, call.who, call.desk.now())
        except StoreUnavailableError:  # nobody is cut off for a fault of ours: asked again soon
            return True

    async def pour(request: web.Request) -> web.StreamResponse:
        return await call.desk.live.streams.serve(request, who, still, attends=attends)

    return Reply(stream=pour)
