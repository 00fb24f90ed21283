"""Schemas of the custom resources that we write: what their definitions allow of what we use.

Small on purpose: a field that is not here is one that nobody has looked up. From the definitions of
the Prometheus operator (monitoring.coreos.com/v1), KEDA 2 (keda.sh/v1alpha1) and the MongoDB
operator (mongodbcommunity.mongodb.com/v1).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d))+$"}
ANY: Schema = {"type": "object"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def whole(needed: dict[str, Schema], **more: Schema) -> Schema:
    """Return an object that has *needed*, may have *more*, and nothing else."""
    return {
        "type": "object",
        "properties": {**needed, **more},
        "required": sorted(needed),
        "additionalProperties": False,
    }


def some(items: Schema) -> Schema:
    """Return a list of at least one."""
    return {"type": "array", "items": items, "minItems": 1}


SELECTOR = whole(
    {},
    matchLabels=LABELS,
    matchExpressions=some(
        whole({"key": TEXT, "operator": {"enum": ["In", "NotIn"]}, "values": some(TEXT)})
    ),
)
META = whole({"name": TEXT, "namespace": TEXT}, labels=LABELS, annotations=LABELS)


def resource(api: str, kind: str, spec: Schema) -> Schema:
    return whole(
        {"apiVersion": {"const": api}, "kind": {"const": kind}, "metadata": META, "spec": spec}
    )


POD_MONITOR = resource(
    "monitoring.coreos.com/v1",
    "PodMonitor",
    whole(
        {
            "selector": SELECTOR,
            "podMetricsEndpoints": some(
                whole(
                    {"port": TEXT},
                    path=TEXT,
                    interval=DURATION,
                    scrapeTimeout=DURATION,
                    honorLabels={"type": "boolean"},
                    relabelings=some(whole({"targetLabel": TEXT}, sourceLabels=some(TEXT))),
                )
            ),
        },
        jobLabel=TEXT,
    ),
)
RULE: Schema = {
    "oneOf": [
        whole({"record": TEXT, "expr": TEXT}, labels=LABELS),
        whole(
            {"alert": TEXT, "expr": TEXT},
            labels=LABELS,
            annotations=LABELS,
            **{"for": DURATION, "keep_firing_for": DURATION},
        ),
    ]
}
PROMETHEUS_RULE = resource(
    "monitoring.coreos.com/v1",
    "PrometheusRule",
    whole(
        {
            "groups": some(
                whole(
                    {"name": TEXT, "rules": some(RULE)},
                    interval=DURATION,
                    limit={"type": "integer"},
                )
            )
        }
    ),
)
NUMBER_TEXT: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SCALING = whole({}, stabilizationWindowSeconds=COUNT, policies=some(ANY))
SCALED_OBJECT = resource(
    "keda.sh/v1alpha1",
    "ScaledObject",
    whole(
        {
            "scaleTargetRef": whole({"name": TEXT}, apiVersion=TEXT, kind=TEXT),
            "triggers": some(
                whole(
                    {
                        "type": {"const": "prometheus"},
                        "metadata": whole(
                            {"serverAddress": TEXT, "query": TEXT, "threshold": NUMBER_TEXT},
                            activationThreshold=NUMBER_TEXT,
                            ignoreNullValues={"enum": ["true", "false"]},
                        ),
                    },
                    metricType={"enum": ["AverageValue", "Value", "Utilization"]},
                )
            ),
        },
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        fallback=whole({"failureThreshold": COUNT, "replicas": COUNT}),
        advanced=whole(
            {},
            horizontalPodAutoscalerConfig=whole(
                {}, behavior=whole({}, scaleUp=SCALING, scaleDown=SCALING)
            ),
        ),
    ),
)
REFERENCE = whole({"name": TEXT}, key=TEXT)
MONGODB = resource(
    "mongodbcommunity.mongodb.com/v1",
    "MongoDBCommunity",
    whole(
        {
            "type": {"const": "ReplicaSet"},
            "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
            "security": whole(
                {
                    "authentication": whole(
                        {"modes": some({"enum": ["SCRAM", "SCRAM-SHA-256", "SCRAM-SHA-1"]})},
                        ignoreUnknownUsers={"type": "boolean"},
                    )
                },
                tls=whole(
                    {"enabled": {"type": "boolean"}},
                    optional={"type": "boolean"},
                    certificateKeySecretRef=whole({"name": TEXT}),
                    caConfigMapRef=whole({"name": TEXT}),
                ),
            ),
            "users": some(
                whole(
                    {
                        "name": TEXT,
                        "passwordSecretRef": REFERENCE,
                        "roles": some(whole({"name": TEXT, "db": TEXT})),
                        "scramCredentialsSecretName": {
                            "type": "string",
                            "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                        },
                    },
                    db=TEXT,
                )
            ),
        },
        members={"type": "integer", "minimum": 3, "maximum": 50},
        additionalMongodConfig=ANY,
        statefulSet=whole({"spec": ANY}),
    ),
)
CUSTOM: dict[tuple[str, str], Schema] = {
    (schema["properties"]["apiVersion"]["const"], schema["properties"]["kind"]["const"]): schema
    for schema in (POD_MONITOR, PROMETHEUS_RULE, SCALED_OBJECT, MONGODB)
}
