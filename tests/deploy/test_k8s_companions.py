"""NATS and MongoDB in a cluster: what we rely on, and only keys that their charts have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from libs.common.embedded import MAX_PAYLOAD_BYTES
from tests.deploy.k8s_objects import K8S, ROOT, amount, named, objects, pods, rendered, selects

VALUES: dict[str, Any] = yaml.safe_load((K8S / "companions" / "nats-values.yaml").read_text())

OPEN: dict[str, Any] = {}
"""What is merged into something of Kubernetes or of NATS: any key."""
CHART: Mapping[str, Any] = {
    "fullnameOverride": None,
    "config": {
        "cluster": {"enabled": None, "replicas": None, "merge": OPEN},
        "jetstream": {
            "enabled": None,
            "fileStore": {
                "enabled": None,
                "maxSize": None,
                "pvc": {"enabled": None, "size": None, "storageClassName": None},
            },
            "memoryStore": {"enabled": None, "maxSize": None},
            "merge": OPEN,
        },
        "nats": {"tls": {"enabled": None, "secretName": None, "merge": OPEN}},
        "merge": OPEN,
    },
    "container": {"image": {"tag": None}, "env": OPEN, "merge": OPEN},
    "promExporter": {"enabled": None, "podMonitor": {"enabled": None}},
    "podTemplate": {"topologySpreadConstraints": OPEN, "merge": OPEN},
    "podDisruptionBudget": {"enabled": None},
    "natsBox": {"enabled": None},
}
"""Keys of the chart's values.yaml (series 1.x), as far as we have looked them up."""


def unknown(given: Mapping[str, Any], chart: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Yield the keys that the chart has not."""
    for key, value in given.items():
        where = f"{at}.{key}"
        if key not in chart:
            yield where
        elif chart[key] is not OPEN and isinstance(value, dict):
            yield from unknown(value, chart[key] or {}, where)


def test_every_value_is_one_of_the_chart() -> None:
    assert list(unknown(VALUES, CHART)) == []


def test_a_misspelt_value_is_seen() -> None:
    given: dict[str, Any] = {"config": {"jetstream": {"filestore": {}}}}
    assert list(unknown(given, CHART)) == [".config.jetstream.filestore"]


def test_confirmed_means_on_the_disk() -> None:
    jetstream = VALUES["config"]["jetstream"]
    assert jetstream["merge"] == {"sync_interval": "always"}
    assert jetstream["fileStore"]["enabled"] is True
    assert VALUES["config"]["cluster"] == {"enabled": True, "replicas": 3}
    assert VALUES["config"]["merge"]["max_payload"] == MAX_PAYLOAD_BYTES


def test_the_server_is_told_how_much_there_is_and_so_are_we() -> None:
    store = VALUES["config"]["jetstream"]["fileStore"]
    assert amount(store["maxSize"]) <= 0.8 * amount(store["pvc"]["size"])
    told = named(rendered("production"), "ConfigMap", "relaydesk")["data"][
        "RELAYDESK_JETSTREAM_LIMIT_BYTES"
    ]
    assert int(told) == amount(store["maxSize"])


def conf(text: str) -> dict[str, str]:
    """Return the settings of a NATS configuration that are one to a line."""
    return dict(re.findall(r"^\s*(\w+): (\S+)", text, re.MULTILINE))


def test_the_small_server_is_that_of_compose() -> None:
    small = conf((K8S / "overlays" / "dev" / "nats.conf").read_text())
    compose = conf((ROOT / "deploy" / "nats.conf").read_text())
    for name in ("max_payload", "max_pending", "write_deadline", "sync_interval", "store_dir"):
        assert small[name] == compose[name], name
    told = named(rendered("dev"), "ConfigMap", "relaydesk")["data"][
        "RELAYDESK_JETSTREAM_LIMIT_BYTES"
    ]
    assert told == small["max_file"]
    (nats,) = [pod for pod in pods(rendered("dev")) if pod.component == "nats"]
    (claim,) = nats.owner["spec"]["volumeClaimTemplates"]
    assert int(told) <= 0.8 * amount(claim["spec"]["resources"]["requests"]["storage"])


def test_the_small_replica_set_is_that_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["mongo"]
    (mongo,) = [pod for pod in pods(rendered("dev")) if pod.component == "mongo"]
    *_, script = mongo.container["startupProbe"]["exec"]["command"]
    assert script == compose["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", ["nats", "mongodb"])
def test_a_pod_for_backups_is_let_in(name: str) -> None:
    inward = objects((K8S / "companions" / "network.yaml").read_text())
    rules = named(inward, "NetworkPolicy", name)["spec"]["ingress"]
    label = {"relaydesk.io/backup": "true"}
    let_in = [
        port["port"]
        for rule in rules
        for peer in rule["from"]
        if "namespaceSelector" not in peer and selects(peer["podSelector"], label)
        for port in rule["ports"]
    ]
    assert let_in == [{"nats": 4222, "mongodb": 27017}[name]]


@pytest.mark.parametrize("name", ["nats", "mongodb"])
def test_who_calls_out_is_let_in(name: str) -> None:
    """The companions' policies take those whom ours let out, and nobody else of ours."""
    inward = objects((K8S / "companions" / "network.yaml").read_text())
    (rule, *_) = named(inward, "NetworkPolicy", name)["spec"]["ingress"]
    outward = named(rendered("production"), "NetworkPolicy", f"to-{name}")["spec"]
    for pod in pods(rendered("production")):
        let_in = any(
            selects(peer["podSelector"], pod.labels)
            for peer in rule["from"]
            if "namespaceSelector" in peer
        )
        assert let_in == selects(outward["podSelector"], pod.labels), pod.name
    ports = {port["port"] for port in rule["ports"]}
    assert ports == {port["port"] for port in outward["egress"][0]["ports"]}
