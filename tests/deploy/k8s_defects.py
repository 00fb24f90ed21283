"""Defects that are planted in rendered manifests, each with the policy that must name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.deploy.k8s_objects import COMPONENT, VERSION, Object, named, of_kind

Break = Callable[[list[Object]], None]
MIGRATE = f"migrate-{VERSION.replace('.', '-')}"


def workload(found: list[Object], name: str) -> Object:
    """Return a Deployment or StatefulSet."""
    (hit,) = [
        one
        for one in of_kind(found, "Deployment", "StatefulSet")
        if one["metadata"]["name"] == name
    ]
    return hit


def pod(name: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    """Break the pods of a workload."""
    return lambda found: change(workload(found, name)["spec"]["template"]["spec"])


def box(name: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    """Break the container of a workload."""
    return pod(name, lambda spec: change(spec["containers"][0]))


def guard(name: str, change: Callable[[dict[str, Any]], Any]) -> Break:
    """Break the security context of a container."""
    return box(name, lambda container: change(container["securityContext"]))


def thing(kind: str, name: str, change: Callable[[Object], Any]) -> Break:
    """Break one object."""
    return lambda found: change(named(found, kind, name))


def gone(kind: str, name: str) -> Break:
    """Take one object away."""
    return lambda found: found.remove(named(found, kind, name))


def added(one: Object) -> Break:
    """Add an object."""
    return lambda found: found.append(one)


def drop(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda where: where.pop(key)


def put(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda where: where.update(values)


def env(container: dict[str, Any], name: str) -> dict[str, Any]:
    (hit,) = [entry for entry in container["env"] if entry["name"] == name]
    found: dict[str, Any] = hit
    return found


def no_env(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda container: container["env"].remove(env(container, name))


def volume(spec: dict[str, Any], name: str) -> dict[str, Any]:
    (hit,) = [one for one in spec["volumes"] if one["name"] == name]
    found: dict[str, Any] = hit
    return found


def path(ingress: Object, wanted: str) -> dict[str, Any]:
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    (hit,) = [one for one in paths if one["path"] == wanted]
    found: dict[str, Any] = hit
    return found


RESTRICTED = "every pod fits the profile restricted"
PROBES = "probes ask what they mean"
SECRETS = "secrets come by reference"
SETTINGS = "every variable is a setting"
FLOWS = "each pod reaches whom it must, and is heard where it must"
OPEN = "nothing is open that no policy opens"
SCALED = "every autoscaler has its one workload"
LEADS = "the ingress leads where the front leads"
BUDGETS = "every service has one disruption budget"
CLAIMS = "persistentVolumeClaimRetentionPolicy"

DEFECTS: dict[str, tuple[str, str, Break]] = {
    "a token is mounted": (
        "no pod holds a token of the cluster",
        "mounts a token",
        pod("desk", drop("automountServiceAccountToken")),
    ),
    "an account that nobody made": (
        "no pod holds a token of the cluster",
        "not there",
        pod("desk", put(serviceAccountName="admin")),
    ),
    "an account gives out its token": (
        "no pod holds a token of the cluster",
        "gives out",
        thing("ServiceAccount", "desk", put(automountServiceAccountToken=True)),
    ),
    "root is allowed": (
        RESTRICTED,
        "may be root",
        pod("router", lambda spec: spec["securityContext"].pop("runAsNonRoot")),
    ),
    "a container is root": (RESTRICTED, "may be root", guard("router", put(runAsUser=0))),
    "no seccomp profile": (
        RESTRICTED,
        "seccomp",
        pod("router", lambda spec: spec["securityContext"].pop("seccompProfile")),
    ),
    "privileges may be gained": (
        RESTRICTED,
        "gain privileges",
        guard("desk", drop("allowPrivilegeEscalation")),
    ),
    "a privileged container": (RESTRICTED, "gain privileges", guard("desk", put(privileged=True))),
    "capabilities are kept": (RESTRICTED, "capabilities", guard("desk", drop("capabilities"))),
    "a capability is added": (
        RESTRICTED,
        "capabilities",
        guard("desk", lambda context: context["capabilities"].update(add=["NET_RAW"])),
    ),
    "the host's network": (RESTRICTED, "of its host", pod("ingest", put(hostNetwork=True))),
    "a folder of the host": (
        RESTRICTED,
        "forbidden kind",
        pod("ingest", lambda spec: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
    ),
    "a port of the host": (
        RESTRICTED,
        "port of its host",
        box("ingest", lambda container: container["ports"][0].update(hostPort=80)),
    ),
    "a root that is written": (
        "no root file system is written",
        "write to its root",
        guard("notifier", put(readOnlyRootFilesystem=False)),
    ),
    "another user than the image's": (
        "our pods run as the image's user",
        "user",
        pod("desk", lambda spec: spec["securityContext"].update(runAsUser=1000)),
    ),
    "no limit of memory": (
        "every container says what it needs and what it may take",
        "no limit",
        box("router", lambda container: container["resources"].pop("limits")),
    ),
    "no requests": (
        "every container says what it needs and what it may take",
        "what it needs",
        box("router", lambda container: container["resources"].pop("requests")),
    ),
    "a /tmp without end": (
        "no scratch folder fills a node",
        "fill the node",
        pod("desk", lambda spec: volume(spec, "tmp").update(emptyDir={})),
    ),
    "no /tmp": (
        "no scratch folder fills a node",
        "no /tmp",
        box("desk", lambda container: container["volumeMounts"].clear()),
    ),
    "liveness hangs on the store": (
        PROBES,
        "livenessProbe does not ask /livez",
        box("desk", lambda c: c["livenessProbe"]["httpGet"].update(path="/readyz")),
    ),
    "readiness asks the public port": (
        PROBES,
        "readinessProbe does not ask",
        box("desk", lambda c: c["readinessProbe"]["httpGet"].update(port="http")),
    ),
    "no startup probe": (PROBES, "startupProbe does not", box("desk", drop("startupProbe"))),
    "no patience": (
        PROBES,
        "to start",
        box("desk", lambda c: c["startupProbe"].update(failureThreshold=3)),
    ),
    "another admin port": (
        PROBES,
        "not the image's",
        box("desk", lambda c: [p.update(containerPort=9091) for p in c["ports"]]),
    ),
    "another public port": (
        "the public port is the one that the service listens on",
        "listens",
        box("ingest", lambda c: [p.update(containerPort=80) for p in c["ports"]]),
    ),
    "killed while it drains": (
        "a pod has the time to end",
        "killed",
        pod("ingest", put(terminationGracePeriodSeconds=15)),
    ),
    "no time to be taken out": (
        "a pod has the time to end",
        "anybody knows",
        thing("ConfigMap", "relaydesk", lambda one: one["data"].pop("RELAYDESK_DRAIN_S")),
    ),
    "the wrong service is started": (
        "commands are those of docker-compose.yml",
        "docker-compose",
        box("desk", put(args=["serve", "router"])),
    ),
    "a shell is started": (
        "commands are those of docker-compose.yml",
        "entry point",
        box("desk", put(command=["sh", "-c"])),
    ),
    "the latest image": (
        "images are pinned, ours to this version",
        "latest",
        box("desk", put(image="relaydesk:latest")),
    ),
    "an image without tag": (
        "images are pinned, ours to this version",
        "not",
        box("desk", put(image="relaydesk")),
    ),
    "a secret in the tree": (
        SECRETS,
        "in the tree",
        added({"kind": "Secret", "metadata": {"name": "relaydesk"}}),
    ),
    "a secret in the shared settings": (
        SECRETS,
        "holds RELAYDESK_STORE_URL",
        thing("ConfigMap", "relaydesk", lambda one: one["data"].update(RELAYDESK_STORE_URL="x")),
    ),
    "a secret written out": (
        SECRETS,
        "holds RELAYDESK_SECRET_KEY",
        box("desk", lambda c: c["env"].append({"name": "RELAYDESK_SECRET_KEY", "value": "k1:x"})),
    ),
    "a name that is no setting": (
        SETTINGS,
        "RELAYDESK_NATS_URI is not",
        box("desk", lambda c: c["env"].append({"name": "RELAYDESK_NATS_URI", "value": "x"})),
    ),
    "a variable twice": (
        SETTINGS,
        "twice",
        box("desk", lambda c: c["env"].append(dict(c["env"][0]))),
    ),
    "variables named by Services": (SETTINGS, "may name", pod("desk", drop("enableServiceLinks"))),
    "no store": (
        "every service starts with what it is given",
        "RELAYDESK_STORE_URL is not set",
        box("router", no_env("RELAYDESK_STORE_URL")),
    ),
    "a setting out of range": (
        "every service starts with what it is given",
        "RELAYDESK_DRAIN_S",
        thing("ConfigMap", "relaydesk", lambda one: one["data"].update(RELAYDESK_DRAIN_S="9")),
    ),
    "no shared settings": (
        "every service starts with what it is given",
        "0 of ConfigMap",
        box("desk", put(envFrom=[{"configMapRef": {"name": "other"}}])),
    ),
    "ingest knows the store": (
        "every service starts with what it is given",
        "knows the store",
        box("ingest", lambda c: c["env"].append({"name": "RELAYDESK_STORE_URL", "value": "x"})),
    ),
    "one is taken before there is another": (
        "an update takes none away",
        "one less",
        lambda found: workload(found, "desk")["spec"].pop("strategy"),
    ),
    "an update that waits for a hand": (
        "an update takes none away",
        "by itself",
        lambda found: workload(found, "ingest")["spec"].update(
            updateStrategy={"type": "OnDelete"}
        ),
    ),
    "no spread": (
        "pods of a service are spread, softly",
        "not spread",
        pod("desk", drop("topologySpreadConstraints")),
    ),
    "a spread that leaves pods without a place": (
        "pods of a service are spread, softly",
        "no place",
        pod(
            "desk",
            lambda s: s["topologySpreadConstraints"][0].update(whenUnsatisfiable="DoNotSchedule"),
        ),
    ),
    "a spread over all services together": (
        "pods of a service are spread, softly",
        "its own spread",
        pod("desk", lambda s: s["topologySpreadConstraints"][0].pop("matchLabelKeys")),
    ),
    "no like is avoided": (
        "pods of a service are spread, softly",
        "avoid",
        pod("desk", drop("affinity")),
    ),
    "the spool elsewhere": (
        "ingest alone keeps something",
        "belongs",
        box("ingest", lambda c: [m.update(mountPath="/spool") for m in c["volumeMounts"]]),
    ),
    "a spool that goes with its pod": (
        "ingest alone keeps something",
        "may be deleted",
        lambda found: workload(found, "ingest")["spec"].pop(CLAIMS),
    ),
    "one copy by the migration": (
        "the migration is this version's",
        "replicas",
        thing(
            "Job",
            MIGRATE,
            lambda one: env(
                one["spec"]["template"]["spec"]["containers"][0], "RELAYDESK_STREAM_REPLICAS"
            ).update(value="1"),
        ),
    ),
    "a migration that every setting changes": (
        "the migration is this version's",
        "cannot be changed",
        thing(
            "Job",
            MIGRATE,
            lambda one: one["spec"]["template"]["spec"]["containers"][0].update(envFrom=[]),
        ),
    ),
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
        lambda found: [found.remove(one) for one in list(of_kind(found, "ScaledObject"))],
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
