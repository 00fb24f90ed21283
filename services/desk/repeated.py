"""Answering a request that is made twice at the same time with the same `Idempotency-Key`.

What a route makes has an id that follows from the key, and what is unique of it is unique in the
store. So of two requests one finds the id, or the name, of its own twin taken as it writes. Asked
once more it finds what was made, and answers as to any other repeat.
"""

from __future__ import annotations

from libs.common.errors import UniqueConflictError
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply, Route
from services.desk.settled import settled

TAKEN = frozenset({"name_taken", "ref_taken", "already_invited"})
"""Codes of a refusal that the twin of a request may be the reason of."""


async def answered(route: Route, call: Call) -> Reply:
    """Return what *route* answers.

    Raises:
        RefusalError: What the handler refuses.
    """
    if not call.headers.get("idempotency-key") or call.upload is not None:
        return await settled(route, call)
    try:
        return await settled(route, call)
    except UniqueConflictError:
        pass
    except RefusalError as error:
        if error.code not in TAKEN:
            raise
    return await settled(route, call)
