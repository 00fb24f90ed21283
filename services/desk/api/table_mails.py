"""Routes: addresses that get no mail."""

from __future__ import annotations

from services.desk.api import mails
from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        name="mail_bounces",
        method="POST",
        path="/mail/bounces",
        handler=mails.record,
        role="admin",
        summary="Tell that mail to an address came back for good, or is unwanted: it gets no more",
        body=mails.Bounce,
        answers={200: mails.SuppressionView},
        problems={409: "changed_meanwhile: others change it all the time"},
    ),
    Route(
        name="mail_suppressions",
        method="GET",
        path="/mail/suppressions",
        handler=mails.suppressions,
        role="admin",
        summary="Addresses that get no mail, newest first",
        query=mails.SuppressionQuery,
        answers={200: mails.SuppressionList},
    ),
    Route(
        name="lift_suppression",
        method="DELETE",
        path="/mail/suppressions/{id}",
        handler=mails.lift,
        role="admin",
        summary="Let an address get mail again",
        answers={204: None},
    ),
)
