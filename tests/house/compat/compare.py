"""May processes of a new version work beside those of the released one? See upgrade.md."""

from __future__ import annotations

from typing import Any

Shapes = dict[str, Any]


def compare(old: Shapes, new: Shapes) -> list[str]:
    """Return what one of the two versions could not bear of the other, a sentence each."""
    if new["schema"]["beside"] > old["schema"]["schema"]:
        return []  # the new version says itself that both must not work beside each other
    return [
        *_structs(old["structs"], new["structs"]),
        *_gone("stream", old["streams"], new["streams"]),
        *_gone("collection", old["collections"], new["collections"]),
        *_gone("bucket", dict.fromkeys(old["buckets"]), dict.fromkeys(new["buckets"])),
        *_gone("durable", dict.fromkeys(old["durables"]), dict.fromkeys(new["durables"])),
        *_kept(old["kept_s"], new["kept_s"]),
        *_subjects(old["streams"], new["streams"]),
        *_indexes(old["collections"], new["collections"]),
    ]


def _gone(kind: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"{kind} {name} is gone" for name in old if name not in new]


def _kept(old: dict[str, int], new: dict[str, int]) -> list[str]:
    """Name the streams that are kept for less time (s, 0: for ever) than before."""
    return [
        f"stream {name} is kept for {new[name]} s instead of {old[name]}"
        for name in old.keys() & new.keys()
        if (new[name] or float("inf")) < (old[name] or float("inf"))
    ]


def _subjects(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [
        f"stream {name} no longer has {subject}"
        for name in old
        if name in new
        for subject in old[name]
        if subject not in new[name]
    ]


def _indexes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    said = []
    for name in old.keys() & new.keys():
        before, now = old[name]["indexes"], new[name]["indexes"]
        for index, fields in before.items():
            if now.get(index) != fields:
                said.append(f"index {index} of {name} is gone or of other fields")
        said += [
            f"index {index} of {name} is new and unique: older processes do not keep to it"
            for index in now.keys() - before.keys()
            if now[index][-1] == "!"
        ]
    return said


def _structs(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    said = []
    for name, before in old.items():
        if name not in new:
            said.append(f"{name} is gone")
        else:
            said += _struct(name, before, new[name])
    return said


def _struct(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    said = [f"{name} has another tag"] if old["tag"] != new["tag"] else []
    if new["closed"] and not old["closed"]:
        said.append(f"{name} refuses unknown fields now")
    for field, before in old["fields"].items():
        if field not in new["fields"]:
            said.append(f"{name}.{field} is gone")
        else:
            said += _field(f"{name}.{field}", before, new["fields"][field])
    for field in new["fields"].keys() - old["fields"].keys():
        if new["fields"][field]["required"]:
            said.append(f"{name}.{field} is new and required: what is older lacks it")
        elif old["closed"]:
            said.append(f"{name}.{field} is new, and older processes refuse unknown fields of it")
    return said


def _field(where: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    said = []
    if new["required"] and not old["required"]:
        said.append(f"{where} is required now: what is older lacks it")
    if old["required"] and not new["required"]:
        said.append(f"{where} may be left out now: older processes need it")
    if old.get("default") != new.get("default") and not (old["required"] or new["required"]):
        said.append(f"{where} has another default: what is left out means something else")
    return said + _type(where, old["type"], new["type"])


def _type(where: str, old: Any, new: Any) -> list[str]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        (kind,) = old
        if kind == "one of" or (kind == "any of" and _all_named(old[kind] + new[kind])):
            gone = [str(one) for one in old[kind] if one not in new[kind]]
            more = [str(one) for one in new[kind] if one not in old[kind]]
            return [
                *(f"{where} may no longer be {one}" for one in gone),
                *(f"{where} may also be {one}, which older processes cannot read" for one in more),
            ]
    return [f"{where} is {new} instead of {old}"]


def _all_named(alternatives: list[Any]) -> bool:
    return all(isinstance(one, str) for one in alternatives)
