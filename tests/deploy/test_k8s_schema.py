"""Every object fits the schemas of nine Kubernetes versions, strictly: no field is unknown."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions, schema_contents
from referencing import Registry, Resource

from tests.deploy.k8s_objects import K8S, Object, Objects, everything, objects, text_of
from tests.deploy.k8s_schemas import CUSTOM

VERSIONS = [f"1.{minor}" for minor in range(29, 38)]
SOURCES: dict[str, Callable[[], str]] = {
    "dev": lambda: text_of("overlays/dev"),
    "production": lambda: text_of("overlays/production"),
    "production with every component": everything,
    "companions": lambda: "---\n".join(
        (K8S / "companions" / f"{name}.yaml").read_text() for name in ("mongodb", "network")
    ),
}


@functools.cache
def _definitions(folder: str, version: str) -> Registry[Any]:
    found = schema_contents(f"kubernetes-json-schema/{folder}/_definitions.json", version)
    registry: Registry[Any] = Resource.from_contents(found) @ Registry()
    return registry


@functools.cache
def validator(version: str, api: str, kind: str) -> jsonschema.Draft202012Validator:
    """Return the strict schema of one kind; the library reads 1 MB anew for each object."""
    exact = next(v for v in all_versions() if v.startswith(f"{version}."))
    folder = f"v{exact}-local-strict"
    group, _, rest = api.partition("/")
    name = f"{kind.lower()}-{group.partition('.')[0]}" + (f"-{rest}" if rest else "")
    schema = schema_contents(f"kubernetes-json-schema/{folder}/{name}.json", version)
    registry = Resource.from_contents(schema) @ _definitions(folder, version)
    return jsonschema.Draft202012Validator(schema, registry=registry)


def faults(found: Objects, version: str) -> list[str]:
    """Return what does not fit, as `kind/name: path: why`."""
    told = []
    for one in found:
        where = f"{one['kind']}/{one['metadata']['name']}"
        told += [f"{where}: {fault}" for fault in _faults(json.dumps(one), version)]
    return told


@functools.cache
def _faults(text: str, version: str) -> list[str]:
    """Return what does not fit of one object, given as JSON: the overlays share most of them."""
    one: Object = json.loads(text)
    custom = CUSTOM.get((one["apiVersion"], one["kind"]))
    if custom is not None:
        judge: Any = jsonschema.Draft202012Validator(custom)
    else:
        judge = validator(version, one["apiVersion"], one["kind"])
    return [f"{error.json_path}: {error.message}" for error in judge.iter_errors(one)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_c06_every_object_fits(source: str, version: str) -> None:
    assert faults(objects(SOURCES[source]()), version) == []


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_the_library_itself_agrees(version: str) -> None:
    for one in objects(text_of("overlays/dev")):
        kubernetes_validate.validate(one, version, strict=True)


BROKEN: dict[str, tuple[str, str, Any]] = {
    "a word where a number belongs": ("Deployment", "/spec/minReadySeconds", "five"),
    "a field that nobody knows": ("NetworkPolicy", "/spec/ingres", []),
    "a misspelt metric": ("ScaledObject", "/spec/triggers/0/metadata/lagThreshold", "1"),
    "a number where KEDA wants a text": ("ScaledObject", "/spec/triggers/0/metadata/threshold", 9),
    "an endpoint without port": ("PodMonitor", "/spec/podMetricsEndpoints/0", {"path": "/x"}),
    "a rule that is neither": ("PrometheusRule", "/spec/groups/0/rules/0", {"expr": "1"}),
}


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize(("kind", "pointer", "value"), BROKEN.values(), ids=BROKEN)
def test_what_does_not_fit_is_seen(version: str, kind: str, pointer: str, value: Any) -> None:
    found = objects(text_of("overlays/production"))
    target = next(one for one in found if one["kind"] == kind)
    *way, last = pointer.strip("/").split("/")
    where: Any = target
    for step in way:
        where = where[int(step) if isinstance(where, list) else step]
    where[int(last) if isinstance(where, list) else last] = value
    told = faults(found, version)
    assert told, json.dumps(target)
    assert all(line.startswith(f"{kind}/") for line in told)
