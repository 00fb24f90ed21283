"""Routes: webhook endpoints, and what they were told."""

from __future__ import annotations

from services.desk.api import act
from services.desk.api import webhook_endpoints as hooks
from services.desk.api import webhook_endpoints_log as log
from services.desk.api.route import Route

_KEY = {"Idempotency-Key": "1 to 128 visible ASCII characters; repeats have no effect"}
_MATCH = {"If-Match": "The ETag the change is based on; without it the newest"}
_CHANGED = {
    409: "changed_meanwhile: too many changes at once",
    412: "changed_meanwhile: If-Match names another version",
}
_OFF = {409: "endpoint_disabled: the endpoint is off; changed_meanwhile: it is being sent"}

ROUTES: tuple[Route, ...] = (
    Route(
        name="webhook_endpoints",
        method="GET",
        path="/webhook-endpoints",
        handler=hooks.endpoints,
        role="admin",
        summary="Every webhook endpoint",
        answers={200: hooks.EndpointList},
    ),
    Route(
        name="create_webhook_endpoint",
        method="POST",
        path="/webhook-endpoints",
        handler=hooks.create,
        role="admin",
        summary="Make a webhook endpoint; the answer shows its secret once",
        body=hooks.NewEndpoint,
        answers={200: hooks.EndpointView, 201: hooks.EndpointView},
        headers=_KEY,
        problems={
            409: "idempotency_conflict: the key was used for another one; too_many: there are 20"
        },
    ),
    Route(
        name="webhook_endpoint",
        method="GET",
        path="/webhook-endpoints/{id}",
        handler=hooks.endpoint,
        role="admin",
        summary="A webhook endpoint; ETag names its version",
        answers={200: hooks.EndpointView},
    ),
    Route(
        name="patch_webhook_endpoint",
        method="PATCH",
        path="/webhook-endpoints/{id}",
        handler=hooks.patch,
        role="admin",
        summary="Change a webhook endpoint, or switch it on or off",
        body=hooks.EndpointPatch,
        answers={200: hooks.EndpointView},
        headers=_MATCH,
        problems=_CHANGED,
    ),
    Route(
        name="delete_webhook_endpoint",
        method="DELETE",
        path="/webhook-endpoints/{id}",
        handler=hooks.delete,
        role="admin",
        summary="Delete a webhook endpoint; what waits for it is cancelled",
        answers={204: None},
        headers=_MATCH,
        problems={412: _CHANGED[412]},
    ),
    Route(
        name="rotate_webhook_secret",
        method="POST",
        path="/webhook-endpoints/{id}/rotate-secret",
        handler=hooks.rotate,
        role="admin",
        summary="Give a webhook endpoint a new secret; the one before it signs beside it for a day",
        body=act.Nothing,
        body_optional=True,
        answers={200: hooks.EndpointSecret},
        headers=_MATCH,
        problems=_CHANGED,
    ),
    Route(
        name="send_test_webhook",
        method="POST",
        path="/webhook-endpoints/{id}/test",
        handler=log.send_test,
        role="admin",
        summary="Send a webhook endpoint a test",
        body=act.Nothing,
        body_optional=True,
        answers={202: log.DeliveryRow},
        headers=_KEY,
        problems=_OFF,
    ),
    Route(
        name="webhook_deliveries",
        method="GET",
        path="/webhook-endpoints/{id}/deliveries",
        handler=log.deliveries,
        role="admin",
        summary="What a webhook endpoint was told, newest first",
        query=log.DeliveryQuery,
        answers={200: log.DeliveryList},
    ),
    Route(
        name="webhook_delivery",
        method="GET",
        path="/webhook-endpoints/{id}/deliveries/{delivery}",
        handler=log.delivery,
        role="admin",
        summary="A delivery with its body and tries",
        answers={200: log.DeliveryDetail},
    ),
    Route(
        name="redeliver_webhook",
        method="POST",
        path="/webhook-endpoints/{id}/deliveries/{delivery}/redeliver",
        handler=log.redeliver,
        role="admin",
        summary="Send a delivery again",
        body=act.Nothing,
        body_optional=True,
        answers={202: log.DeliveryRow},
        problems=_OFF,
    ),
    Route(
        name="redeliver_webhooks",
        method="POST",
        path="/webhook-endpoints/{id}/redeliver",
        handler=log.redeliver_range,
        role="admin",
        summary="Send again what was not delivered in a span of time",
        body=log.Again,
        answers={202: log.ToldAgain},
        problems=_OFF,
    ),
)
