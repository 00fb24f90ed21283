"""What watches an installation in Kubernetes is what watches one under Compose."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy.k8s import generate
from libs.common.config import SERVICES
from tests.deploy.k8s_objects import ROOT, named, of_kind, pods, rendered, selects, services

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))


def test_the_rules_are_written_anew_after_each_change() -> None:
    assert generate.TARGET.read_text() == generate.rendered(), "run `make docs`"


@pytest.mark.parametrize("file", RULES, ids=[file.stem for file in RULES])
def test_c06_the_operator_is_told_the_same_rules(file: Any) -> None:
    one = named(rendered("production"), "PrometheusRule", f"relaydesk-{file.stem}")
    assert one["spec"] == {"groups": yaml.safe_load(file.read_text())["groups"]}


def test_no_other_rules_are_told() -> None:
    assert len(list(of_kind(rendered("production"), "PrometheusRule"))) == len(RULES)


def test_c06_the_same_dashboards_are_shown() -> None:
    shown = {
        name: json.loads(text)
        for one in of_kind(rendered("production"), "ConfigMap")
        if one["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in one["data"].items()
    }
    assert shown == {file.name: json.loads(file.read_text()) for file in BOARDS}


def test_no_dashboard_is_too_large_for_an_apply() -> None:
    """`kubectl apply` keeps a copy in an annotation, and annotations hold 256 KiB in all."""
    for file in BOARDS:
        assert len(json.dumps(file.read_text())) < 250_000, file.name


def test_c06_every_service_is_scraped_under_its_name() -> None:
    (monitor,) = of_kind(rendered("production"), "PodMonitor")
    spec = monitor["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    scraped = [pod for pod in pods(rendered("production")) if selects(spec["selector"], pod.labels)]
    assert sorted(pod.component for pod in scraped) == sorted(SERVICES)
    assert all(endpoint["port"] in {p["name"] for p in pod.container["ports"]} for pod in scraped)
    assert {pod.labels[spec["jobLabel"]] for pod in scraped} == {"relaydesk"}
    (relabel,) = endpoint["relabelings"]
    (source,) = relabel["sourceLabels"]
    kept = re.sub(r"[^a-zA-Z0-9_]", "_", "app.kubernetes.io/component")
    assert (source, relabel["targetLabel"]) == (f"__meta_kubernetes_pod_label_{kept}", "service")


QUERY = re.compile(
    r"sum\(max by \(stream\) \("
    r'relaydesk_consumer_lag\{namespace="relaydesk",reader=~?"[^"]+"\}\)\)'
)
"""Every scheduler tells the same figure of all replicas together, so the greatest counts."""


def test_c06_the_autoscalers_ask_for_what_is_told() -> None:
    """Every query names the namespace that is scraped, and a metric that we have."""
    known = (ROOT / "docs" / "metrics.md").read_text()
    asked = [
        trigger["metadata"]["query"]
        for one in of_kind(rendered("production"), "ScaledObject")
        for trigger in one["spec"]["triggers"]
    ]
    assert len(asked) == 3
    assert "`relaydesk_consumer_lag`" in known
    for query in asked:
        assert QUERY.fullmatch(query), query


def test_the_scraped_pods_are_those_that_prometheus_may_reach() -> None:
    policy = named(rendered("production"), "NetworkPolicy", "from-prometheus")["spec"]
    for pod in services(rendered("production")):
        assert selects(policy["podSelector"], pod.labels)
