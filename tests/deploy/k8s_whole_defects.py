"""Defects between objects, each with the policy that must name it."""

from __future__ import annotations

from tests.deploy.k8s_breaking import (
    Defect,
    box,
    gone,
    path,
    thing,
    workload,
)
from tests.deploy.k8s_objects import COMPONENT, Object

FLOWS = "each pod reaches whom it must, and is heard where it must"
OPEN = "nothing is open that no policy opens"
SCALED = "every autoscaler has its one workload"
LEADS = "the ingress leads where the front leads"
BUDGETS = "every service has one disruption budget"


def unscaled(found: list[Object]) -> None:
    """Take KEDA's autoscalers away."""
    found[:] = [one for one in found if one["kind"] != "ScaledObject"]


WHOLE_DEFECTS: dict[str, Defect] = {
    "a service is missing": (
        "all five services run",
        "scheduler does not run",
        gone("Deployment", "scheduler"),
    ),
    "no label": (
        "everything is labelled and in the namespace",
        "not labelled",
        lambda found: workload(found, "desk")["metadata"].pop("labels"),
    ),
    "another namespace": (
        "everything is labelled and in the namespace",
        "not in the namespace",
        thing("Service", "desk", lambda one: one["metadata"].update(namespace="default")),
    ),
    "a Service of nobody": (
        "every Service leads somewhere",
        "leads to 0 workloads",
        thing("Service", "desk", lambda one: one["spec"]["selector"].update({COMPONENT: "dsk"})),
    ),
    "a Service of everybody": (
        "every Service leads somewhere",
        "workloads",
        thing("Service", "desk", lambda one: one["spec"]["selector"].pop(COMPONENT)),
    ),
    "a Service to no port": (
        "every Service leads somewhere",
        "a port that is not there",
        thing("Service", "desk", lambda one: one["spec"]["ports"][0].update(targetPort="web")),
    ),
    "a workload that does not know its pods": (
        "every Service leads somewhere",
        "its own pods",
        lambda found: workload(found, "desk")["spec"]["selector"]["matchLabels"].update(a="b"),
    ),
    "no budget": (BUDGETS, "has 0 budgets", gone("PodDisruptionBudget", "desk")),
    "a budget of nobody": (
        BUDGETS,
        "of nobody",
        thing(
            "PodDisruptionBudget",
            "desk",
            lambda one: one["spec"]["selector"]["matchLabels"].update({COMPONENT: "dsk"}),
        ),
    ),
    "a budget that lets none go": (
        BUDGETS,
        "one go at a time",
        thing("PodDisruptionBudget", "desk", lambda one: one["spec"].update(maxUnavailable=0)),
    ),
    "a budget that keeps what waits": (
        BUDGETS,
        "hold up its node",
        thing(
            "PodDisruptionBudget",
            "desk",
            lambda one: one["spec"].pop("unhealthyPodEvictionPolicy"),
        ),
    ),
    "an autoscaler of nobody": (
        SCALED,
        "not there",
        thing(
            "HorizontalPodAutoscaler",
            "ingest",
            lambda one: one["spec"]["scaleTargetRef"].update(kind="Deployment"),
        ),
    ),
    "an apply that undoes it": (
        SCALED,
        "undo",
        lambda found: workload(found, "desk")["spec"].update(replicas=2),
    ),
    "more replicas than partitions": (
        SCALED,
        "to 17",
        thing("ScaledObject", "router", lambda one: one["spec"].update(maxReplicaCount=17)),
    ),
    "two autoscalers": (
        SCALED,
        "two autoscalers",
        thing(
            "ScaledObject",
            "router",
            lambda one: one["spec"]["scaleTargetRef"].update(name="notifier"),
        ),
    ),
    "webhooks go to desk": (
        LEADS,
        "leads {",
        thing("Ingress", "relaydesk", lambda one: path(one, "/webhooks").update(path="/hooks")),
    ),
    "exact paths": (
        LEADS,
        "alone",
        thing("Ingress", "relaydesk", lambda one: path(one, "/chat").update(pathType="Exact")),
    ),
    "a port that no Service has": (
        LEADS,
        "not there",
        thing(
            "Ingress",
            "relaydesk",
            lambda one: path(one, "/")["backend"]["service"].update(port={"number": 80}),
        ),
    ),
    "a rewritten path": (
        LEADS,
        "rewrites",
        thing(
            "Ingress",
            "relaydesk",
            lambda one: one["metadata"].update(
                annotations={"nginx.ingress.kubernetes.io/rewrite-target": "/"}
            ),
        ),
    ),
    "nothing is denied": (OPEN, "not denied", gone("NetworkPolicy", "default-deny")),
    "anybody may be called": (
        OPEN,
        "call anybody",
        thing("NetworkPolicy", "to-nats", lambda one: one["spec"]["egress"][0].pop("to")),
    ),
    "anybody may call": (
        OPEN,
        "called by anybody",
        thing("NetworkPolicy", "from-ingress", lambda one: one["spec"]["ingress"][0].pop("from")),
    ),
    "no names": (FLOWS, "reaches", gone("NetworkPolicy", "dns")),
    "no way to MongoDB": (FLOWS, "reaches", gone("NetworkPolicy", "to-mongodb")),
    "ingest reaches the store": (
        FLOWS,
        "StatefulSet/ingest reaches",
        thing(
            "NetworkPolicy",
            "to-mongodb",
            lambda one: one["spec"]["podSelector"].pop("matchExpressions"),
        ),
    ),
    "the router calls the world": (
        FLOWS,
        "router reaches",
        thing(
            "NetworkPolicy",
            "to-world",
            lambda one: one["spec"]["podSelector"]["matchLabels"].pop(COMPONENT),
        ),
    ),
    "nobody scrapes": (FLOWS, "is heard on", gone("NetworkPolicy", "from-prometheus")),
    "a way inside": (
        "the way to the world is none inside",
        "leads inside",
        thing(
            "NetworkPolicy",
            "to-world",
            lambda one: one["spec"]["egress"][0]["to"][0]["ipBlock"].pop("except"),
        ),
    ),
    "a namespace without profile": (
        "the namespace enforces the profile restricted",
        "does not enforce",
        thing("Namespace", "relaydesk", lambda one: one["metadata"].pop("labels")),
    ),
    "more memory than there is": (
        "all of it fits a small cluster",
        "GiB",
        box("desk", lambda c: c["resources"]["requests"].update(memory="8Gi")),
    ),
    "more cores than there are": (
        "all of it fits a small cluster",
        "cores",
        box("desk", lambda c: c["resources"]["requests"].update(cpu="2")),
    ),
    "one of a kind": (
        "production runs two of each and keeps three copies",
        "runs once",
        unscaled,
    ),
    "one copy": (
        "production runs two of each and keeps three copies",
        "three copies",
        thing(
            "ConfigMap",
            "relaydesk",
            lambda one: one["data"].update(RELAYDESK_STREAM_REPLICAS="1"),
        ),
    ),
}
