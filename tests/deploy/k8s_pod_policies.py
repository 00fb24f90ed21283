"""What must hold of each pod: each policy yields what breaks it, and nothing where it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from libs.common.config import PREFIX, SERVICES, load, variables
from libs.common.errors import SettingsError
from libs.common.seal import new_key_setting
from tests.deploy.k8s_objects import (
    ROOT,
    VERSION,
    Objects,
    Pod,
    named,
    of_kind,
    ours,
    pods,
    services,
    setting_names,
    variables_of,
)

Policy = Callable[[Objects], Iterator[str]]

USER = 10001
ENDS_WITHIN_S = 10.0
START_S = 60
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
IMAGE = dict(
    re.findall(r"(RELAYDESK_\w+)=(\S+)", (ROOT / "deploy" / "Dockerfile").read_text()),
)
SECRETS = {
    "secret-key": new_key_setting(),
    "nats-url": "tls://relaydesk:password@nats.nats.svc:4222",
    "store-url": "mongodb://relaydesk:password@mongodb:27017/relaydesk?replicaSet=rs0",
}
"""The keys of the Secret `relaydesk` that every installation has."""
VOLUMES = frozenset(
    {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "csi", "downwardAPI"}
)
"""Kinds of volume that the profile `restricted` allows (those of them that could be here)."""


def tokens(found: Objects) -> Iterator[str]:
    accounts = {one["metadata"]["name"]: one for one in of_kind(found, "ServiceAccount")}
    for name, account in accounts.items():
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount/{name} gives out its token"
    for pod in pods(found):
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.name} mounts a token"
    for pod in ours(found):
        if pod.spec.get("serviceAccountName") not in accounts:
            yield f"{pod.name} runs as an account that is not there"


def restricted(found: Objects) -> Iterator[str]:
    """Pod Security Standards, profile restricted, as kubernetes.io lists its controls."""
    for pod in pods(found):
        spec, context = pod.spec, pod.spec.get("securityContext", {})
        if {"hostNetwork", "hostPID", "hostIPC"} & set(spec):
            yield f"{pod.name} shares a namespace of its host"
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{pod.name} may be root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.name} has no seccomp profile"
        for volume in spec.get("volumes", ()):
            if not set(volume) - {"name"} <= VOLUMES:
                yield f"{pod.name} mounts a forbidden kind of volume: {volume['name']}"
        yield from _container(pod, pod.container)
        if "initContainers" in spec:
            yield f"{pod.name} has containers that nobody looks at here"


def _container(pod: Pod, container: Mapping[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield f"{pod.name} may gain privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{pod.name} keeps capabilities"
    if context.get("runAsUser", USER) == 0 or context.get("runAsNonRoot") is False:
        yield f"{pod.name} may be root"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield f"{pod.name} takes a port of its host"


def read_only(found: Objects) -> Iterator[str]:
    for pod in pods(found):
        if pod.container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{pod.name} may write to its root"


def user(found: Objects) -> Iterator[str]:
    for pod in ours(found):
        context = pod.spec.get("securityContext", {})
        if {context.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")} != {USER}:
            yield f"{pod.name} does not run as the image's user"


def limits(found: Objects) -> Iterator[str]:
    for pod in pods(found):
        resources = pod.container.get("resources", {})
        if "memory" not in resources.get("limits", {}):
            yield f"{pod.name} has no limit of memory"
        if set(resources.get("requests", {})) != {"cpu", "memory"}:
            yield f"{pod.name} does not say what it needs"


def scratch(found: Objects) -> Iterator[str]:
    for pod in pods(found):
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
        mounts = {mount["mountPath"]: mount["name"] for mount in pod.container["volumeMounts"]}
        if "emptyDir" not in volumes.get(mounts.get("/tmp", ""), {}):  # noqa: S108 (a pod's own)
            yield f"{pod.name} has no /tmp"
        for name, volume in volumes.items():
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{pod.name}: {name} may fill the node's disk"


PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def probes(found: Objects) -> Iterator[str]:
    for pod in services(found):
        ports = {port["name"]: port["containerPort"] for port in pod.container.get("ports", ())}
        if ports.get("admin") != int(IMAGE["RELAYDESK_ADMIN_PORT"]):
            yield f"{pod.name}: its port `admin` is not the image's"
        for name, path in PROBES.items():
            asked = pod.container.get(name, {}).get("httpGet", {})
            if (asked.get("path"), asked.get("port")) != (path, "admin"):
                yield f"{pod.name}: {name} does not ask {path} of the admin port"
        start = pod.container.get("startupProbe", {})
        if start.get("periodSeconds", 10) * start.get("failureThreshold", 3) < START_S:
            yield f"{pod.name} is given less than {START_S} s to start"


def public_port(found: Objects) -> Iterator[str]:
    for pod in services(found):
        ports = {port["name"]: port["containerPort"] for port in pod.container.get("ports", ())}
        wanted = int(IMAGE["RELAYDESK_PORT"]) if hasattr(SERVICES[pod.component], "port") else None
        if ports.get("http") != wanted:
            yield f"{pod.name}: its port `http` is not what the service listens on"


def stopping(found: Objects) -> Iterator[str]:
    for pod in services(found):
        drain = float(variables_of(pod, found, SECRETS).get("RELAYDESK_DRAIN_S", "0"))
        if pod.spec.get("terminationGracePeriodSeconds", 30) <= ENDS_WITHIN_S + drain:
            yield f"{pod.name} is killed before it has ended"
        if drain <= 0:
            yield f"{pod.name} stops before anybody knows"


def commands(found: Objects) -> Iterator[str]:
    """The same commands as docker-compose.yml's."""
    for pod in ours(found):
        if "command" in pod.container:
            yield f"{pod.name} does not start by the image's entry point"
        if pod.component == "config-apply":
            continue
        if pod.container.get("args") != COMPOSE["services"][pod.component]["command"]:
            yield f"{pod.name} is not started as in docker-compose.yml"


def images(found: Objects) -> Iterator[str]:
    for pod in pods(found):
        repository, _, tag = pod.container["image"].rpartition(":")
        if pod.labels["app.kubernetes.io/name"] == "relaydesk":
            if (repository.rpartition("/")[2], tag) != ("relaydesk", VERSION):
                yield f"{pod.name} runs {pod.container['image']}, not {VERSION}"
        elif pod.container["image"] != COMPOSE["services"][pod.component]["image"]:
            yield f"{pod.name} runs another image than docker-compose.yml"


SECRET_NAMES = frozenset(variable.name for variable in variables() if variable.secret)


def secrets(found: Objects) -> Iterator[str]:
    for one in of_kind(found, "Secret"):
        yield f"a secret in the tree: {one['metadata']['name']}"
    for one in of_kind(found, "ConfigMap"):
        for name in SECRET_NAMES & set(one["data"]):
            yield f"{one['metadata']['name']} holds {name}"
    for pod in ours(found):
        for entry in pod.container.get("env", ()):
            if entry["name"] in SECRET_NAMES and "secretKeyRef" not in entry.get("valueFrom", {}):
                yield f"{pod.name} holds {entry['name']}"


KNOWN = frozenset(variable.name for variable in variables())


def settings(found: Objects) -> Iterator[str]:
    for pod in ours(found):
        for name in sorted(setting_names(pod, found) - KNOWN):
            yield f"{pod.name}: {name} is not a setting"
        given = [entry["name"] for entry in pod.container.get("env", ())]
        if len(given) != len(set(given)):
            yield f"{pod.name} is given a variable twice"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name}: a Service may name a variable of ours"


def starts(found: Objects) -> Iterator[str]:
    """Each service's settings can be read from what its container sees."""
    for pod in services(found):
        kind = SERVICES[pod.component]
        try:
            seen = variables_of(pod, found, SECRETS)
            load(kind, IMAGE | {k: v for k, v in seen.items() if k.startswith(PREFIX)})
        except (SettingsError, LookupError) as error:
            yield f"{pod.name} does not start: {error}"
        if pod.component == "ingest" and "RELAYDESK_STORE_URL" in setting_names(pod, found):
            yield f"{pod.name} knows the store"


def rolling(found: Objects) -> Iterator[str]:
    for owner in of_kind(found, "Deployment"):
        strategy = owner["spec"].get("strategy", {})
        if strategy.get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield f"{owner['metadata']['name']} has one less while it is updated"
    for owner in of_kind(found, "StatefulSet"):
        if owner["spec"].get("updateStrategy", {}).get("type", "RollingUpdate") != "RollingUpdate":
            yield f"{owner['metadata']['name']} is not updated by itself"


def spread(found: Objects) -> Iterator[str]:
    """Softly: a cluster of one node must still run everything."""
    for pod in services(found):
        rules = pod.spec.get("topologySpreadConstraints", ())
        wanted = {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        if {rule["topologyKey"] for rule in rules} != wanted:
            yield f"{pod.name} is not spread over nodes and zones"
        if any(rule["whenUnsatisfiable"] != "ScheduleAnyway" for rule in rules):
            yield f"{pod.name} may find no place"
        if not all(selected(rule, pod) for rule in rules):
            yield f"{pod.name} is not counted by its own spread"
        terms = pod.spec.get("affinity", {}).get("podAntiAffinity", {})
        if set(terms) != {"preferredDuringSchedulingIgnoredDuringExecution"}:
            yield f"{pod.name} does not avoid its like, or must"


def selected(rule: Mapping[str, Any], pod: Pod) -> bool:
    """Tell whether a spread counts the pod's own kind alone: by the label of its service."""
    by = set(rule.get("matchLabelKeys", ())) | set(rule["labelSelector"].get("matchLabels", {}))
    labels = rule["labelSelector"].get("matchLabels", {})
    fits = all(pod.labels.get(key) == value for key, value in labels.items())
    return fits and "app.kubernetes.io/component" in by


def spool(found: Objects) -> Iterator[str]:
    """Only ingest keeps anything, and where the image says."""
    for pod in services(found):
        kept = [
            mount["mountPath"]
            for mount in pod.container["volumeMounts"]
            if mount["mountPath"] == IMAGE["RELAYDESK_SPOOL_DIR"]
        ]
        if bool(kept) != (pod.component == "ingest"):
            yield f"{pod.name}: the spool is not where it belongs"
        claims = pod.owner["spec"].get("volumeClaimTemplates", ())
        if claims and pod.owner["spec"].get("persistentVolumeClaimRetentionPolicy") != {
            "whenDeleted": "Retain",
            "whenScaled": "Retain",
        }:
            yield f"{pod.name}: what waits in a spool may be deleted"


def migration(found: Objects) -> Iterator[str]:
    job = named(found, "Job", f"migrate-{VERSION.replace('.', '-')}")
    (pod,) = (pod for pod in pods(found) if pod.owner is job)
    shared = named(found, "ConfigMap", "relaydesk")["data"]["RELAYDESK_STREAM_REPLICAS"]
    if variables_of(pod, found, SECRETS)["RELAYDESK_STREAM_REPLICAS"] != shared:
        yield "the migration makes streams of another number of replicas"
    if "envFrom" in pod.container:
        yield "each setting would change the migration's Job, which cannot be changed"


POD_POLICIES: dict[str, Policy] = {
    "no pod holds a token of the cluster": tokens,
    "every pod fits the profile restricted": restricted,
    "no root file system is written": read_only,
    "our pods run as the image's user": user,
    "every container says what it needs and what it may take": limits,
    "no scratch folder fills a node": scratch,
    "probes ask what they mean": probes,
    "the public port is the one that the service listens on": public_port,
    "a pod has the time to end": stopping,
    "commands are those of docker-compose.yml": commands,
    "images are pinned, ours to this version": images,
    "secrets come by reference": secrets,
    "every variable is a setting": settings,
    "every service starts with what it is given": starts,
    "an update takes none away": rolling,
    "pods of a service are spread, softly": spread,
    "ingest alone keeps something": spool,
    "the migration is this version's": migration,
}
