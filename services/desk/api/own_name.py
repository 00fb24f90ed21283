"""One's own name, as colleagues see it, and visitors where answers name who wrote them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.documents import Agent
from libs.common.errors import InvalidInputError
from services.desk.api import login
from services.desk.api.members import picked, refuse, shown
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.policy_store import Change, changed
from services.desk.policy_whole import Whole


class MePatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of oneself one may change."""

    name: Annotated[Plain, Meta(min_length=1, max_length=200)]


async def patch_me(call: Call) -> Reply:
    """Change one's own name.

    Raises:
        InvalidInputError: Nothing of it can be seen.
    """
    patch: MePatch = call.body
    name, who = patch.name.strip(), call.who
    if not name:
        raise InvalidInputError("name: is blank.", field="name", allowed="words to see")

    def edit(_whole: Whole, before: Agent) -> Agent:
        return msgspec.structs.replace(before, name=name)

    await changed(
        call,
        Change(
            action="agent.patch",
            object=f"agent:{who.agent}",
            own=f"members[{who.agent}]",
            pick=lambda whole: picked(whole, who.agent),
            edit=edit,
            shown=shown,
            refuse=refuse,
        ),
    )
    renamed = msgspec.structs.replace(who, name=name)
    return await login.me(msgspec.structs.replace(call, principal=renamed))
