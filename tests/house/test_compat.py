"""Processes of this version may work beside those of the released one: what they share says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from libs.common.documents import COLLECTIONS, DIRECTORY, SYSTEM, DirectoryEntry
from libs.common.errors import SettingsError
from libs.common.schema import SCHEMA, check_schema, mark_schema, marked
from libs.common.store.open import open_store
from tests.house.compat.compare import compare
from tests.house.compat.shapes import RELEASED, shapes

Shapes = dict[str, Any]
FACT = "events.Fact"
SESSION = "documents.Session"


def released() -> Shapes:
    found: Shapes = msgspec.json.decode(RELEASED.read_bytes())
    return found


def test_d14_this_version_may_work_beside_the_released_one() -> None:
    assert compare(released(), shapes()) == []


def _without_field(found: Shapes) -> None:
    del found["structs"][FACT]["fields"]["because"]


def _other_type(found: Shapes) -> None:
    found["structs"][FACT]["fields"]["because"]["type"] = "int"


def _new_required(found: Shapes) -> None:
    found["structs"][SESSION]["fields"]["fresh"] = {"type": "str", "required": True}


def _required_now(found: Shapes) -> None:
    found["structs"][FACT]["fields"]["because"]["required"] = True


def _may_lack(found: Shapes) -> None:
    found["structs"][FACT]["fields"]["session"]["required"] = False


def _list_of(found: Shapes) -> list[str]:
    values: list[str] = found["structs"][SESSION]["fields"]["list"]["type"]["one of"]
    return values


def _value_gone(found: Shapes) -> None:
    _list_of(found).remove("assigned")


def _value_new(found: Shapes) -> None:
    _list_of(found).append("parked")


def _part_new(found: Shapes) -> None:
    found["structs"]["commands.SendMessage"]["fields"]["parts"]["type"] = {
        "collection": [{"any of": ["events.TextPart"]}]
    }


def _struct_gone(found: Shapes) -> None:
    del found["structs"][FACT]


def _other_tag(found: Shapes) -> None:
    found["structs"]["commands.SendMessage"]["tag"] = "say"


def _closed(found: Shapes) -> None:
    found["structs"][FACT]["closed"] = True


def _closed_grows(found: Shapes) -> None:
    fields = found["structs"]["saved_filters.FilterValues"]["fields"]
    fields["fresh"] = {"type": "str", "required": False}


def _stream_gone(found: Shapes) -> None:
    del found["streams"]["TIMERS"]


def _durable_gone(found: Shapes) -> None:
    found["durables"].remove("sender")


def _kept_shorter(found: Shapes) -> None:
    found["kept_s"]["HISTORY"] = 3600


def _kept_at_all(found: Shapes) -> None:
    found["kept_s"]["TIMERS"] = 3600


def _other_default(found: Shapes) -> None:
    found["structs"][FACT]["fields"]["because"]["default"] = "'rule'"


def _other_subject(found: Shapes) -> None:
    found["streams"]["INBOUND"] = ["inbound.*.*.*.*"]


def _bucket_gone(found: Shapes) -> None:
    found["buckets"].remove("accounts")


def _collection_gone(found: Shapes) -> None:
    del found["collections"]["sessions"]


def _other_index(found: Shapes) -> None:
    indexes = found["collections"]["sessions"]["indexes"]
    indexes[next(iter(indexes))] = ["other"]


def _unique_index(found: Shapes) -> None:
    found["collections"]["sessions"]["indexes"]["fresh"] = ["id", "!"]


PLANTED: dict[str, tuple[Callable[[Shapes], None], str]] = {
    "a field is taken away": (_without_field, "events.Fact.because is gone"),
    "a field has another type": (_other_type, "events.Fact.because is int instead of str"),
    "a new field is required": (_new_required, "documents.Session.fresh is new and required"),
    "a field becomes required": (_required_now, "events.Fact.because is required now"),
    "a required field may be missing": (_may_lack, "events.Fact.session may be left out now"),
    "a value of a set is taken away": (_value_gone, "list may no longer be assigned"),
    "a closed set has a new value": (_value_new, "list may also be parked"),
    "a union loses members": (_part_new, "commands.SendMessage.parts is "),
    "a struct is taken away": (_struct_gone, "events.Fact is gone"),
    "a tag changes": (_other_tag, "commands.SendMessage has another tag"),
    "a struct refuses unknown fields": (_closed, "events.Fact refuses unknown fields now"),
    "a struct that refuses unknown fields grows": (_closed_grows, "FilterValues.fresh is new, and"),
    "a default changes": (_other_default, "events.Fact.because has another default"),
    "a durable is renamed": (_durable_gone, "durable sender is gone"),
    "a stream is kept for less": (_kept_shorter, "stream HISTORY is kept for 3600 s instead"),
    "a stream is not kept for ever": (_kept_at_all, "stream TIMERS is kept for 3600 s instead"),
    "a stream is taken away": (_stream_gone, "stream TIMERS is gone"),
    "a subject changes": (_other_subject, "stream INBOUND no longer has in."),
    "a bucket is taken away": (_bucket_gone, "bucket accounts is gone"),
    "a collection is taken away": (_collection_gone, "collection sessions is gone"),
    "an index has other fields": (_other_index, "of sessions is gone or of other fields"),
    "a new index is unique": (_unique_index, "index fresh of sessions is new and unique"),
}


@pytest.mark.parametrize(("plant", "said"), PLANTED.values(), ids=PLANTED)
def test_d14_what_older_processes_cannot_bear_is_refused(
    plant: Callable[[Shapes], None], said: str
) -> None:
    new = copy.deepcopy(released())
    plant(new)
    found = compare(released(), new)
    assert len(found) == 1 or plant in {_other_subject, _part_new}, found
    assert any(said in one for one in found), found


def _optional_field(found: Shapes) -> None:
    found["structs"][FACT]["fields"]["fresh"] = {"type": "str", "required": False}


def _new_struct(found: Shapes) -> None:
    found["structs"]["events.Fresh"] = {"tag": None, "closed": False, "fields": {}}


def _new_places(found: Shapes) -> None:
    found["streams"]["FRESH"] = ["fresh.>"]
    found["buckets"].append("fresh")
    found["collections"]["fresh"] = {"kind": "Fresh", "indexes": {"a": ["id", "!"]}}
    found["collections"]["sessions"]["indexes"]["fresh"] = ["id"]


def _told_apart(found: Shapes) -> None:
    del found["structs"][FACT]
    found["schema"] = {"schema": 2, "beside": 2, "reads": 1}


BORNE = {
    "a field with a default": _optional_field,
    "a struct of its own": _new_struct,
    "a stream, a bucket, a collection, an index that is not unique": _new_places,
    "anything, where the schema says that both never work beside each other": _told_apart,
}


@pytest.mark.parametrize("plant", BORNE.values(), ids=BORNE)
def test_d14_what_older_processes_bear_is_not_refused(plant: Callable[[Shapes], None]) -> None:
    new = copy.deepcopy(released())
    plant(new)
    assert compare(released(), new) == []


MARKS = {
    "a store of this schema": ((str(SCHEMA), "1"), None),
    "a store that the first versions have marked": (("1",), None),
    "a newer one that bears this version beside it": ((str(SCHEMA + 1), str(SCHEMA)), None),
    "a newer one that does not": ((str(SCHEMA + 1), str(SCHEMA + 1)), "needs processes of schema"),
    "an older one than can be read": (("0", "0"), "of the version in between first"),
    "what is no mark": (("soon",), "cannot be read"),
}


@pytest.mark.parametrize(("targets", "refused"), MARKS.values(), ids=MARKS)
async def test_d14_a_store_of_another_version_is_refused_in_words(
    targets: tuple[str, ...], refused: str | None, ready_url: str
) -> None:
    async with open_store(ready_url, COLLECTIONS) as store:
        entry = DirectoryEntry(id="schema", workspace=SYSTEM, kind="schema", targets=targets)
        await store.insert(DIRECTORY, entry)
        for call in (check_schema, mark_schema):
            if refused is None:
                await call(store)
            else:
                with pytest.raises(SettingsError, match=refused):
                    await call(store)


async def test_d14_migrate_marks_a_new_store_and_lowers_no_mark(ready_url: str) -> None:
    async with open_store(ready_url, COLLECTIONS) as store:
        await check_schema(store)
        assert await marked(store) is None
        await mark_schema(store)
        found = await marked(store)
        assert found is not None
        assert found.schema == SCHEMA
        entry = await store.get(DIRECTORY, SYSTEM, "schema")
        assert entry is not None
        newer = msgspec.structs.replace(entry, targets=(str(SCHEMA + 1), str(SCHEMA)))
        await store.replace(DIRECTORY, newer)
        await mark_schema(store)
        again = await marked(store)
        assert again is not None
        assert again.schema == SCHEMA + 1
