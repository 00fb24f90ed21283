"""What processes of two versions share, as plain data: structs, streams, buckets, collections.

`python -m tests.house.compat.shapes` writes `released.json`, once for each release.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from libs.common import subjects
from libs.common.alerts import Alert, Preferences
from libs.common.commands import Answer, AnyCommand
from libs.common.directory import AccountEntry
from libs.common.documents import COLLECTIONS
from libs.common.events import Fact, Inbound, SendRequest, Timer
from libs.common.policy import Policy, Present
from libs.common.schema import BESIDE, READS, SCHEMA
from libs.common.store.api import Document
from services.router.app import SERVICE
from services.scheduler.pacing import KINDS

SERVICES = Path(__file__).parents[3] / "services"
RELEASED = Path(__file__).with_name("released.json")
WIRE: tuple[Any, ...] = (
    Inbound,
    Fact,
    SendRequest,
    Timer,
    Alert,
    AnyCommand,
    Answer,
    Policy,
    Present,
    Preferences,
    AccountEntry,
)
Shapes = dict[str, Any]


def shapes() -> Shapes:
    """Return the shapes of this version."""
    roots = [*WIRE, *(one.kind for one in COLLECTIONS)]
    found: dict[str, Any] = {}
    for root in inspect.multi_type_info(roots):
        _collect(root, found)
    return {
        "schema": {"schema": SCHEMA, "beside": BESIDE, "reads": READS},
        "structs": {name: found[name] for name in sorted(found)},
        "collections": {
            one.name: {
                "kind": one.kind.__qualname__,
                "indexes": {i.name: [*i.fields, *(["!"] if i.unique else [])] for i in one.indexes},
            }
            for one in COLLECTIONS
        },
        "streams": {one.name: list(one.subjects) for one in subjects.STREAMS},
        "kept_s": {one.name: one.max_age_s for one in subjects.STREAMS},
        "buckets": sorted(one.name for one in subjects.BUCKETS),
        "durables": sorted(
            {
                SERVICE,
                *(f"scheduler-{kind}" for kind in KINDS),
                *(name for path in SERVICES.rglob("*.py") for name in _durables(path)),
            }
        ),
    }


def _durables(path: Path) -> Iterator[str]:
    """Yield the names of durable consumers that a module writes out, without their partitions.

    They are constants with `DURABLE` in their names, or third arguments of functions `consume...`.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if (
                "DURABLE" in name
            ):
                yield text
            case ast.Call(
                func=ast.Name(id=name), args=[_, _, ast.Constant(value=str(text)), *_]
            ) if name.startswith("consume"):
                yield text
            case _:
                pass


def _collect(node: Any, found: dict[str, Any]) -> None:
    """Note every struct that can be reached from *node*."""
    if isinstance(node, inspect.StructType):
        name = _name(node)
        if name in found:
            return
        found[name] = {}
        found[name] |= {
            "tag": node.tag,
            "closed": node.forbid_unknown_fields,
            "document": issubclass(node.cls, Document),
            "fields": {field.encode_name: _field(field) for field in node.fields},
        }
        for field in node.fields:
            _collect(field.type, found)
        return
    for inner in _inner(node):
        _collect(inner, found)


def _inner(node: Any) -> list[Any]:
    if isinstance(node, inspect.UnionType):
        return list(node.types)
    parts = [getattr(node, name, None) for name in ("item_type", "key_type", "value_type", "type")]
    parts += list(getattr(node, "item_types", ()))
    return [part for part in parts if isinstance(part, inspect.Type)]


def _name(node: inspect.StructType) -> str:
    return f"{node.cls.__module__.removeprefix('libs.common.')}.{node.cls.__qualname__}"


def _field(field: inspect.Field) -> dict[str, Any]:
    told = {"type": _told(field.type), "required": field.required}
    if field.default is not msgspec.NODEFAULT:
        told["default"] = repr(field.default)
    return told


def _told(node: Any) -> Any:
    """Return a type as data: a text, a list of the alternatives of a union, or a dict."""
    match node:
        case inspect.StructType():
            return _name(node)
        case inspect.UnionType():
            return {"any of": sorted((_told(one) for one in node.types), key=str)}
        case inspect.LiteralType():
            return {"one of": sorted(map(str, node.values))}
        case inspect.Metadata():
            return _told(node.type)
        case _:
            pass
    name = type(node).__name__.removesuffix("Type").lower()
    inner = [_told(one) for one in _inner(node)]
    return {name: inner} if inner else name


def main() -> None:
    RELEASED.write_bytes(msgspec.json.format(msgspec.json.encode(shapes()), indent=1) + b"\n")


if __name__ == "__main__":
    main()
