"""Routes: the caller's browsers, to which alerts are pushed."""

from __future__ import annotations

from services.desk.api import push
from services.desk.api.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        name="push_key",
        method="GET",
        path="/push-subscriptions/key",
        handler=push.key,
        role="read_only",
        summary="The key with which a browser subscribes to Web Push",
        answers={200: push.PushKey},
    ),
    Route(
        name="push_subscriptions",
        method="GET",
        path="/push-subscriptions",
        handler=push.subscriptions,
        role="read_only",
        summary="The caller's browsers that are pushed to",
        answers={200: push.SubscriptionList},
    ),
    Route(
        name="push_subscribe",
        method="POST",
        path="/push-subscriptions",
        handler=push.subscribe,
        role="read_only",
        summary="Have alerts pushed to a browser; of more than ten the most idle goes",
        body=push.NewSubscription,
        answers={201: push.SubscriptionView, 200: push.SubscriptionView},
    ),
    Route(
        name="push_unsubscribe",
        method="DELETE",
        path="/push-subscriptions/{id}",
        handler=push.unsubscribe,
        role="read_only",
        summary="Push to one of the caller's browsers no more",
        answers={204: None},
    ),
)
