"""How rendered manifests are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.deploy.k8s_objects import VERSION, Object, named, of_kind

Break = Callable[[list[Object]], Any]
Defect = tuple[str, str, Break]
"""The policy that must name it, words of what it must say, and how it is planted."""
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
