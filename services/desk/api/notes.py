"""Notes of agents to each other, in the timeline and never shown to the visitor."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.commands import AddNote
from libs.common.errors import InvalidInputError
from services.desk.api.act import AgentId
from services.desk.api.compose import TEXT_LIMIT
from services.desk.api.messages import shown
from services.desk.api.read import Plain, idempotency_key
from services.desk.api.route import Call, Reply
from services.desk.api.visible import session_of
from services.desk.ask import head

MOST_MENTIONS = 20


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note. `mentions` are ids of agents, who are alerted of it; the author never is."""

    text: Annotated[Plain, Meta(max_length=TEXT_LIMIT)]
    mentions: Annotated[tuple[AgentId, ...], Meta(max_length=MOST_MENTIONS)] = ()


async def note(call: Call) -> Reply:
    """Keep a note; 201 at first, 200 when the same key is repeated.

    Raises:
        NotFoundError: No such session in this workspace.
        InvalidInputError: The text is blank, or somebody is mentioned who is not here.
        RefusalError: The router refused, or did not answer.
    """
    body: NewNote = call.body
    key = idempotency_key(call.headers)
    if not body.text.strip():
        raise InvalidInputError("text: must not be blank.", field="text", allowed="some text")
    session = await session_of(call)
    await _refuse_strangers(call, body.mentions)
    common = head(call.who, session, call.desk.now(), key)
    return await shown(call, session, AddNote(**common, text=body.text, mentions=body.mentions))


async def _refuse_strangers(call: Call, mentions: tuple[str, ...]) -> None:
    """Refuse mentions of who is no agent of this workspace, or disabled.

    Raises:
        InvalidInputError: Names the place in the list.
    """
    found = await call.desk.store.agents(call.who.workspace, sorted(set(mentions)))
    for place, agent_id in enumerate(mentions):
        agent = found.get(agent_id)
        if agent is None or agent.disabled or agent_id in mentions[:place]:
            raise InvalidInputError(
                "mentions: each must be an agent of this workspace, named once.",
                field=f"mentions.{place}",
                allowed="ids of `GET /agents` that are not disabled",
            )
