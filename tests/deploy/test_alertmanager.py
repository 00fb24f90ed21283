"""The example for the Alertmanager: it is accepted, and each alert goes to the right people."""

from __future__ import annotations

import re

import pytest

from tests.deploy.test_rules import ALERTS
from tests.prometheus import ROOT, checked

CONFIG = ROOT / "deploy/prometheus/alertmanager.yml"

ROUTES = {
    "a page wakes somebody": ("RelaydeskNatsUnreachable", "pages"),
    "a ticket waits for the morning": ("RelaydeskDeadLetters", "tickets"),
    "a visitor who waits is for those who lead the agents": (
        "RelaydeskVisitorWaitsLong",
        "desk-leads",
    ),
}


def test_d14_the_alertmanager_accepts_the_example() -> None:
    checked("amtool", ["check-config", CONFIG])


@pytest.mark.parametrize(("alert", "receiver"), ROUTES.values(), ids=ROUTES)
def test_d14_an_alert_goes_to(alert: str, receiver: str) -> None:
    labels = [f"alertname={alert}"]
    labels += [f"{name}={ALERTS[alert]['labels'][name]}" for name in ("severity", "area")]
    asked = ["config", "routes", "test", f"--config.file={CONFIG}"]
    checked("amtool", [*asked, f"--verify.receivers={receiver}", *labels])


def test_d14_what_hides_another_exists() -> None:
    for named in re.findall(r'alertname=~?"([^"]+)"', CONFIG.read_text()):
        for pattern in named.split("|"):
            assert any(re.fullmatch(pattern, alert) for alert in ALERTS), pattern
