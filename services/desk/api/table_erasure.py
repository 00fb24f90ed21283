"""Routes: erasing a contact."""

from __future__ import annotations

from services.desk.api import erasure, jobs
from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        name="erase_contact",
        method="POST",
        path="/contacts/{id}/erase",
        handler=erasure.erase,
        role="admin",
        summary="Erase a contact, with all that was ever said with them; nobody can undo it",
        body=erasure.EraseBody,
        body_optional=True,
        answers={202: jobs.JobView},
        headers={"Idempotency-Key": "A repeat with the same key makes no second job"},
        problems={
            409: (
                "confirmation_required: repeat with `facts.token` as `confirm`; `facts.summary` "
                "says what goes; idempotency_conflict: the key made another job"
            ),
            429: "too_many: so many jobs of the workspace wait or run already",
            503: "unavailable: no router answers, and a merge is to be finished first",
        },
    ),
)
