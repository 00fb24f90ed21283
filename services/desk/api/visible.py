"""What the caller may see of what a request names: the rest is answered like an unknown id."""

from __future__ import annotations

from libs.common.documents import Session
from libs.common.errors import NotFoundError
from services.desk.api.route import Call


async def session_of(call: Call, session_id: str = "") -> Session:
    """Return the session that the path, or else *session_id*, names.

    Raises:
        NotFoundError: This workspace has none, or it is out of the caller's scope.
    """
    wanted = session_id or call.params["id"]
    found = await call.desk.store.session(call.who.workspace, wanted)
    if not call.who.scope.session(found):
        raise NotFoundError("There is no such session.")
    return found
