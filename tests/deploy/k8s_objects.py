"""Renders the manifests, once each, and finds one's way in them.

An object is a plain mapping as YAML holds it. kustomize comes with kubectl; no cluster is asked.
"""

from __future__ import annotations

import copy
import functools
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from libs.common.config import PREFIX, SERVICES

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
KUBECTL = Path(sys.executable).parent / "kubectl"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAMESPACE = "relaydesk"
PART_OF, COMPONENT, NAME = (
    f"app.kubernetes.io/{word}" for word in ("part-of", "component", "name")
)
Object = dict[str, Any]
Objects = Sequence[Object]
RUNNING = frozenset({"Deployment", "StatefulSet", "Job"})


class Pod(NamedTuple):
    """A workload's pods: who owns them, and what each is."""

    owner: Object
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}"

    @property
    def component(self) -> str:
        return self.labels.get(COMPONENT, self.labels[NAME])

    @property
    def container(self) -> Mapping[str, Any]:
        (only,) = self.spec["containers"]
        found: Mapping[str, Any] = only
        return found


@functools.cache
def text_of(overlay: str) -> str:
    """Return what `kubectl kustomize` makes of `deploy/k8s/<overlay>`."""
    folder = K8S / overlay
    command = [str(KUBECTL), "kustomize", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    assert made.stderr == "", "kustomize warns of what is deprecated"
    return made.stdout


@functools.cache
def everything() -> str:
    """Return production with all that it has commented out."""
    folder = Path(__file__).parent / "k8s_everything"
    return text_of(str(folder))


def objects(text: str) -> list[Object]:
    """Return the objects of a stream, anew at each call: they may be broken on purpose."""
    return copy.deepcopy(_parsed(text))


@functools.cache
def rendered(overlay: str) -> list[Object]:
    """Return an overlay's objects, the same at each call, for those who break none of them.

    Asked for in a test, not at import: every worker imports every file, and one runs it.
    """
    return objects(text_of(f"overlays/{overlay}"))


@functools.cache
def _parsed(text: str) -> list[Object]:
    return [found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found]


def of_kind(found: Objects, *kinds: str) -> Iterator[Object]:
    """Yield the objects of these kinds."""
    return (one for one in found if one["kind"] in kinds)


def named(found: Objects, kind: str, name: str) -> Object:
    """Return one object; a ConfigMap is found without the hash of its content.

    Raises:
        LookupError: None, or more than one.
    """
    hits = [
        one for one in of_kind(found, kind) if name in {one["metadata"]["name"], _unhashed(one)}
    ]
    if len(hits) != 1:
        raise LookupError(f"{len(hits)} of {kind} {name}")
    return hits[0]


def _unhashed(one: Object) -> str:
    name: str = one["metadata"]["name"]
    return name.rpartition("-")[0] if one["kind"] == "ConfigMap" else name


def pods(found: Objects) -> Iterator[Pod]:
    """Yield the pods of every workload."""
    for owner in of_kind(found, *RUNNING):
        template = owner["spec"]["template"]
        yield Pod(owner, template["metadata"]["labels"], template["spec"])


def ours(found: Objects) -> Iterator[Pod]:
    """Yield the pods that run our image; dev has a NATS and a MongoDB besides."""
    return (pod for pod in pods(found) if pod.labels[NAME] == "relaydesk")


def services(found: Objects) -> Iterator[Pod]:
    """Yield the pods of the five services; the Jobs are left out."""
    return (pod for pod in ours(found) if pod.component in SERVICES)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector takes *labels*; an empty one takes all."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(rule, labels) for rule in selector.get("matchExpressions", ()))


def _meets(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    is_in = labels.get(rule["key"]) in rule["values"]
    assert rule["operator"] in {"In", "NotIn"}
    return is_in if rule["operator"] == "In" else not is_in


def variables_of(pod: Pod, found: Objects, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a container of *pod* sees, *secrets* by their key.

    Raises:
        LookupError: A ConfigMap that is not there.
    """
    seen: dict[str, str] = {}
    for source in pod.container.get("envFrom", ()):
        seen |= named(found, "ConfigMap", source["configMapRef"]["name"])["data"]
    for entry in pod.container.get("env", ()):
        seen |= _variable(entry, secrets)
    return seen


def _variable(entry: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str]:
    if "value" in entry:
        return {entry["name"]: entry["value"]}
    reference = entry["valueFrom"]["secretKeyRef"]
    if reference.get("optional") and reference["key"] not in secrets:
        return {}
    return {entry["name"]: secrets[reference["key"]]}


def setting_names(pod: Pod, found: Objects) -> set[str]:
    """Return the names of ours that a container is given, optional ones too."""
    names = {entry["name"] for entry in pod.container.get("env", ())}
    for source in pod.container.get("envFrom", ()):
        names |= set(named(found, "ConfigMap", source["configMapRef"]["name"])["data"])
    return {name for name in names if name.startswith(PREFIX)}


_SUFFIXES = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def amount(text: str) -> float:
    """Return a quantity: cores, or bytes."""
    for suffix, factor in _SUFFIXES.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
