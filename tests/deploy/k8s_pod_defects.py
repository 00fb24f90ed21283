"""Defects of pods, each with the policy that must name it."""

from __future__ import annotations

from tests.deploy.k8s_breaking import (
    MIGRATE,
    Defect,
    added,
    box,
    drop,
    env,
    guard,
    no_env,
    pod,
    put,
    thing,
    volume,
    workload,
)

RESTRICTED = "every pod fits the profile restricted"
PROBES = "probes ask what they mean"
SECRETS = "secrets come by reference"
SETTINGS = "every variable is a setting"
CLAIMS = "persistentVolumeClaimRetentionPolicy"

POD_DEFECTS: dict[str, Defect] = {
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
        pod(
            "ingest", lambda spec: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}})
        ),
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
        lambda found: workload(found, "ingest")["spec"].update(updateStrategy={"type": "OnDelete"}),
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
}
