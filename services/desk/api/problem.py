"""Problem details (RFC 9457): the one shape of every answer that is not a success."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from libs.common.errors import CommandError

PROBLEM_TYPE = "application/problem+json"
DETAIL_LIMIT = 400
"""Characters of a detail; it may repeat a piece of what the caller sent."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing was done. `code` is a stable word, `facts` its machine-readable details.

    An answer about something in another workspace is the answer about something that does not
    exist: no id and no path is repeated here.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    facts: dict[str, str] = {}


class RefusalError(CommandError):
    """A request that desk itself refuses, with the HTTP status and headers to say so.

    Args:
        status: The HTTP status.
        code: Stable word.
        detail: In plain words, safe to show to the caller.
        headers: To be sent along, such as `Retry-After`.
        facts: Machine-readable details.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **facts: str,
    ) -> None:
        super().__init__(detail, **facts)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


def problem(status: int, code: str, detail: str, facts: Mapping[str, str] | None = None) -> Problem:
    """Return the problem with the title that belongs to its status."""
    return Problem(
        type=f"urn:relaydesk:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail[:DETAIL_LIMIT],
        code=code,
        facts=dict(facts or {}),
    )


def problem_of(error: CommandError) -> Problem:
    """Return the problem that says what *error* says."""
    return problem(error.status, error.code, error.detail, error.facts)


def unavailable(what: str, *, retry_after_s: int = 1) -> RefusalError:
    """Return the 503 for a dependency that does not answer."""
    return RefusalError(
        503, "unavailable", what, headers={"Retry-After": str(max(1, retry_after_s))}
    )
