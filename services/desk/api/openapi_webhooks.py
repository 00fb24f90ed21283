"""What endpoints of customers are told, as the `webhooks` of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from libs.common.webhook_events import DATA
from libs.common.webhooks import EventType
from services.desk.api.schemas import Schemas

KINDS: tuple[type, ...] = tuple(dict.fromkeys(DATA.values()))
"""The types of `data`, which get a schema each."""

_HEADERS = {
    "webhook-id": "Id of the delivery; a repeat has the same",
    "webhook-timestamp": "Seconds since 1970 of this try",
    "webhook-signature": "`v1,` and base64 of HMAC-SHA256 of `id.timestamp.body`; perhaps several",
}


def webhooks(schemas: Schemas) -> dict[str, Any]:
    """Return each type of event with its body."""
    return {kind: {"post": _operation(kind, schemas)} for kind in DATA}


def _operation(kind: EventType, schemas: Schemas) -> dict[str, Any]:
    body = {
        "type": "object",
        "properties": {
            "type": {"const": kind},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": schemas.answers[DATA[kind]],
        },
        "required": ["type", "timestamp", "data"],
    }
    return {
        "operationId": f"on_{kind.replace('.', '_')}",
        "summary": f"An endpoint is told {kind}",
        "description": "Signed as Standard Webhooks 1.0.0 says, with the endpoint's secret.",
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "Taken"},
            "410": {"description": "Tell nothing more: the endpoint is switched off"},
            "default": {"description": "Tell it again later"},
        },
    }
