"""The manifests keep the policies; and each policy sees the defects that it is for."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.k8s_objects import K8S, ROOT, Objects, everything, named, objects, ours, text_of
from tests.deploy.k8s_pod_defects import POD_DEFECTS
from tests.deploy.k8s_pod_policies import POD_POLICIES, Policy
from tests.deploy.k8s_whole_defects import WHOLE_DEFECTS
from tests.deploy.k8s_whole_policies import PRODUCTION_POLICIES, WHOLE_POLICIES

EVERYWHERE = POD_POLICIES | WHOLE_POLICIES
POLICIES = EVERYWHERE | PRODUCTION_POLICIES
DEFECTS = POD_DEFECTS | WHOLE_DEFECTS
TEXTS: dict[str, Callable[[], str]] = {
    "dev": lambda: text_of("overlays/dev"),
    "production": lambda: text_of("overlays/production"),
    "production with every component": everything,
}


@functools.cache
def rendered(name: str) -> Objects:
    return objects(TEXTS[name]())


KEPT = [
    (where, sentence)
    for where in TEXTS
    for sentence in (EVERYWHERE if where == "dev" else POLICIES)
]


@pytest.mark.parametrize(("where", "sentence"), KEPT, ids=[f"{s}: {w}" for w, s in KEPT])
def test_c06_a_policy_holds(where: str, sentence: str) -> None:
    assert list(POLICIES[sentence](rendered(where))) == []


@pytest.mark.parametrize(
    ("sentence", "words", "break_it"), DEFECTS.values(), ids=[f"seen: {name}" for name in DEFECTS]
)
def test_c06_a_policy_sees_its_defect(
    sentence: str, words: str, break_it: Callable[[list[dict[str, Any]]], Any]
) -> None:
    found = objects(TEXTS["production"]())
    break_it(found)
    policy: Policy = POLICIES[sentence]
    told = list(policy(found))
    assert any(words in line for line in told), told


def test_every_policy_is_shown_to_fail() -> None:
    assert {sentence for sentence, _, _ in DEFECTS.values()} == set(POLICIES)


def components_of(overlay: Path, pattern: str) -> list[str]:
    """Return the names of the components that a kustomization has by *pattern*, in its order."""
    return re.findall(pattern, (overlay / "kustomization.yaml").read_text(), re.MULTILINE)


def test_what_production_has_commented_out_works_in_its_order() -> None:
    """Components apply in the order of the file; the rendered "everything" has that very order."""
    offered = components_of(K8S / "overlays/production", r"^  # - .*components/([\w-]+)")
    assert offered == components_of(ROOT / "tests/deploy/k8s_everything", r"components/([\w-]+)$")
    for pod in ours(rendered("production with every component")):
        names = {entry["name"] for entry in pod.container["env"]}
        assert "SSL_CERT_FILE" in names, pod.name


def test_a_workspace_file_is_applied_once_for_each_change_of_it() -> None:
    """Flux makes a Job that is gone anew, which would take back what people changed."""
    job = named(rendered("production with every component"), "Job", "config-apply")
    assert "ttlSecondsAfterFinished" not in job["spec"]
