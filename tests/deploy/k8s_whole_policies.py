"""What must hold between objects: each policy yields what breaks it, and nothing where it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from libs.common.cli.front import INGEST_PATHS
from libs.common.config import SERVICES
from tests.deploy.k8s_objects import (
    COMPONENT,
    NAME,
    NAMESPACE,
    PART_OF,
    Object,
    Objects,
    Pod,
    amount,
    named,
    of_kind,
    ours,
    pods,
    selects,
    services,
)
from tests.deploy.k8s_pod_policies import Policy

SCALES = frozenset({"HorizontalPodAutoscaler", "ScaledObject"})
UNSPACED = frozenset({"Namespace"})


def labelled(found: Objects) -> Iterator[str]:
    for pod in ours(found):
        for labels in (pod.labels, pod.owner["metadata"].get("labels", {})):
            if not {NAME, COMPONENT, PART_OF} <= set(labels):
                yield f"{pod.name} is not labelled"
    for one in found:
        if one["kind"] not in UNSPACED and one["metadata"].get("namespace") != NAMESPACE:
            yield f"{one['kind']}/{one['metadata']['name']} is not in the namespace {NAMESPACE}"


def selected(found: Objects) -> Iterator[str]:
    """Every Service leads to the pods of one workload, and to a port that these have."""
    for service in of_kind(found, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        hits = [
            pod for pod in pods(found) if selects({"matchLabels": spec["selector"]}, pod.labels)
        ]
        if len(hits) != 1:
            yield f"Service/{name} leads to {len(hits)} workloads"
            continue
        ports = {port["name"] for port in hits[0].container.get("ports", ())}
        if not {port["targetPort"] for port in spec["ports"]} <= ports:
            yield f"Service/{name} leads to a port that is not there"
    for owner in of_kind(found, "Deployment", "StatefulSet"):
        template = owner["spec"]["template"]["metadata"]["labels"]
        if not selects(owner["spec"]["selector"], template):
            yield f"{owner['metadata']['name']} does not select its own pods"


def disruption(found: Objects) -> Iterator[str]:
    budgets = list(of_kind(found, "PodDisruptionBudget"))
    for pod in services(found):
        mine = [one for one in budgets if selects(one["spec"]["selector"], pod.labels)]
        if len(mine) != 1:
            yield f"{pod.name} has {len(mine)} budgets"
    for one in budgets:
        name, spec = one["metadata"]["name"], one["spec"]
        if spec.get("maxUnavailable") != 1 or "minAvailable" in spec:
            yield f"PodDisruptionBudget/{name} does not let one go at a time"
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget/{name}: a pod that waits would hold up its node"
        if not any(selects(spec["selector"], pod.labels) for pod in services(found)):
            yield f"PodDisruptionBudget/{name} is of nobody"


def scaled(found: Objects) -> Iterator[str]:
    workloads = {(pod.owner["kind"], pod.owner["metadata"]["name"]): pod for pod in services(found)}
    seen = []
    for one in of_kind(found, *SCALES):
        name, target = one["metadata"]["name"], one["spec"]["scaleTargetRef"]
        pod = workloads.get((target["kind"], target["name"]))
        seen.append(target["name"])
        if pod is None:
            yield f"{one['kind']}/{name} scales what is not there"
        elif "replicas" in pod.owner["spec"]:
            yield f"{pod.name}: each apply would undo what {one['kind']}/{name} did"
        yield from _bounds(one)
    if len(seen) != len(set(seen)):
        yield "a workload has two autoscalers"


def _bounds(one: Object) -> Iterator[str]:
    spec, name = one["spec"], f"{one['kind']}/{one['metadata']['name']}"
    least = spec.get("minReplicas", spec.get("minReplicaCount", 0))
    most = spec.get("maxReplicas", spec.get("maxReplicaCount", 0))
    if not 2 <= least < most <= 16:  # of 16 partitions, a seventeenth replica would have none
        yield f"{name} scales from {least} to {most}"


def replicated(found: Objects) -> Iterator[str]:
    """Each service runs twice, by its own word or by its autoscaler's."""
    scalers = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind(found, *SCALES)}
    for pod in services(found):
        name = pod.owner["metadata"]["name"]
        if name not in scalers and pod.owner["spec"].get("replicas", 1) < 2:
            yield f"{pod.name} runs once"
    settings = named(found, "ConfigMap", "relaydesk")["data"]
    if settings["RELAYDESK_STREAM_REPLICAS"] != "3":
        yield "a message has less than three copies"


TO_INGEST = {path.rstrip("/") for path in INGEST_PATHS}


def routed(found: Objects) -> Iterator[str]:
    """The ingress leads where `relaydesk front` leads."""
    for ingress in of_kind(found, "Ingress"):
        (rule,) = ingress["spec"]["rules"]
        led = {}
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            led[path["path"]] = service["name"]
            ports = named(found, "Service", service["name"])["spec"]["ports"]
            if service["port"] not in [{"name": port["name"]} for port in ports]:
                yield f"the ingress leads {path['path']} to a port that is not there"
            if path["pathType"] != "Prefix":
                yield f"the ingress takes {path['path']} alone"
        if led != dict.fromkeys(TO_INGEST, "ingest") | {"/": "desk"}:
            yield f"the ingress leads {led}"
        rewriting = [key for key in ingress["metadata"].get("annotations", {}) if "rewrite" in key]
        if rewriting:
            yield "the ingress rewrites paths: signatures and links name them"


REACHES: Mapping[str, frozenset[str]] = {
    "ingest": frozenset({"dns", "nats"}),
    "router": frozenset({"dns", "nats", "mongodb"}),
    "scheduler": frozenset({"dns", "nats", "mongodb"}),
    "desk": frozenset({"dns", "nats", "mongodb"}),
    "notifier": frozenset({"dns", "nats", "mongodb", "world"}),
    "migrate": frozenset({"dns", "nats", "mongodb"}),
    "config-apply": frozenset({"dns", "nats", "mongodb"}),
}
"""Whom each of ours calls: as docker-compose.yml's networks have it, and no more."""
HEARD = {
    "ingest": {"http", "admin"},
    "desk": {"http", "admin"},
    "router": {"admin"},
    "notifier": {"admin"},
    "scheduler": {"admin"},
}
"""On which ports each of ours is called."""
PORT_OF = {53: "dns", 4222: "nats", 27017: "mongodb", 4318: "collector"}
INSIDE = frozenset(
    {
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "127.0.0.0/8",
    }
)


def policies_of(found: Objects, pod: Pod, direction: str) -> list[Object]:
    """Return the NetworkPolicies that say something of a pod in one direction."""
    return [
        one["spec"]
        for one in of_kind(found, "NetworkPolicy")
        if direction in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], pod.labels)
    ]


def closed(found: Objects) -> Iterator[str]:
    """Everything is denied but by a policy that says so."""
    denies = [
        one
        for one in of_kind(found, "NetworkPolicy")
        if one["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ]
    if len(denies) != 1:
        yield "what no policy allows is not denied"
    for pod in pods(found):
        for rule in _rules(found, pod, "Egress", "egress"):
            if not rule.get("to") or not rule.get("ports"):
                yield f"{pod.name} may call anybody"
        for rule in _rules(found, pod, "Ingress", "ingress"):
            if not rule.get("from") or not rule.get("ports"):
                yield f"{pod.name} may be called by anybody"


def _rules(found: Objects, pod: Pod, direction: str, key: str) -> Iterator[Mapping[str, Any]]:
    for spec in policies_of(found, pod, direction):
        yield from spec.get(key, ())


def reaching(found: Objects) -> Iterator[str]:
    for pod in ours(found):
        met = {
            PORT_OF.get(port["port"], "world")
            for rule in _rules(found, pod, "Egress", "egress")
            for port in rule["ports"]
        }
        allowed = set(REACHES[pod.component])
        if pod.component == "desk" and _has(found, "desk-to-world"):
            allowed.add("world")
        if pod.component in SERVICES and _has(found, "to-collector"):
            allowed.add("collector")
        if met != allowed:
            yield f"{pod.name} reaches {sorted(met)}, not {sorted(allowed)}"
        heard = {
            port["port"]
            for rule in _rules(found, pod, "Ingress", "ingress")
            for port in rule["ports"]
        }
        if heard != HEARD.get(pod.component, set()):
            yield f"{pod.name} is heard on {sorted(map(str, heard))}"


def _has(found: Objects, name: str) -> bool:
    return any(one["metadata"]["name"] == name for one in of_kind(found, "NetworkPolicy"))


def world(found: Objects) -> Iterator[str]:
    """Who may call the world may not call what is inside by that."""
    for one in of_kind(found, "NetworkPolicy"):
        for rule in one["spec"].get("egress", ()):
            for peer in rule["to"]:
                block = peer.get("ipBlock", {})
                if block.get("cidr") == "0.0.0.0/0" and not set(block.get("except", ())) >= INSIDE:
                    yield f"{one['metadata']['name']} leads inside"


def profiled(found: Objects) -> Iterator[str]:
    labels = named(found, "Namespace", NAMESPACE)["metadata"].get("labels", {})
    for mode in ("enforce", "audit", "warn"):
        if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
            yield f"the namespace does not {mode} the profile restricted"


NODES, NODE_CORES, NODE_BYTES, USABLE = 3, 2.0, 8 * 2**30, 0.8
COMPANIONS = {"cpu": 3 * 0.5 + 3 * 0.6, "memory": 3 * 2**30 + 3 * (2 + 0.25) * 2**30}
"""What three of NATS and three of MongoDB ask for, see deploy/k8s/companions."""


def fits(found: Objects) -> Iterator[str]:
    """All of it, with NATS and MongoDB, fits three nodes of two cores and 8 GiB."""
    least = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"].get("minReplicas")
        or one["spec"].get("minReplicaCount")
        for one in of_kind(found, *SCALES)
    }
    asked = dict(COMPANIONS)
    for pod in pods(found):
        owner = pod.owner
        count = least.get(owner["metadata"]["name"]) or owner["spec"].get("replicas", 1)
        for kind in asked:
            asked[kind] += count * amount(pod.container["resources"]["requests"][kind])
    if asked["cpu"] > NODES * NODE_CORES * USABLE:
        yield f"{asked['cpu']} cores are asked for"
    if asked["memory"] > NODES * NODE_BYTES * USABLE:
        yield f"{asked['memory'] / 2**30} GiB are asked for"


def complete(found: Objects) -> Iterator[str]:
    present = {pod.component for pod in services(found)}
    for missing in sorted(set(SERVICES) - present):
        yield f"{missing} does not run"


WHOLE_POLICIES: dict[str, Policy] = {
    "all five services run": complete,
    "everything is labelled and in the namespace": labelled,
    "every Service leads somewhere": selected,
    "every service has one disruption budget": disruption,
    "every autoscaler has its one workload": scaled,
    "the ingress leads where the front leads": routed,
    "nothing is open that no policy opens": closed,
    "each pod reaches whom it must, and is heard where it must": reaching,
    "the way to the world is none inside": world,
    "the namespace enforces the profile restricted": profiled,
    "all of it fits a small cluster": fits,
}
PRODUCTION_POLICIES: dict[str, Policy] = {
    "production runs two of each and keeps three copies": replicated,
}
