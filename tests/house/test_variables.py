"""Variables of what is scheduled: what stands for them, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from libs.common.documents import Contact
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContentPart,
    LocationPart,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.variables import VALUE_LIMIT, broken, may_be_blank, rendered, unknown, values_of

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
ANN = Contact(
    id="con_1",
    workspace="acme",
    name="Ann Lee",
    phone="+4930",
    email="ann@example.com",
    language="de",
    zone="Europe/Berlin",
    fields={"plan": "gold", "No. of seats": "4"},
    first_seen_at=NOON,
)
VALUES = values_of(ANN, "Bo", "Acme on LINE", "line")

TEXTS = {
    "a name": ("Hi {{contact.name}}!", "Hi Ann Lee!"),
    "spaces are no matter": ("Hi {{ contact.name | there }}!", "Hi Ann Lee!"),
    "every fact of a contact": (
        "{{contact.phone}} {{contact.email}} {{contact.language}} {{contact.zone}}",
        "+4930 ann@example.com de Europe/Berlin",
    ),
    "a fact of the workspace's own": ("{{contact.field.plan}}", "gold"),
    "with a name of any kind": ("{{contact.field.No. of seats}}", "4"),
    "who wrote it, and where": (
        "{{agent.name}}, {{account.name}}, {{channel}}",
        "Bo, Acme on LINE, line",
    ),
    "twice": ("{{channel}}{{channel}}", "lineline"),
    "a fallback": ("Hi {{contact.field.nick|there}}!", "Hi there!"),
    "no fallback leaves nothing": ("Hi {{contact.field.nick}}!", "Hi !"),
    "a fallback may be empty": ("Hi {{contact.field.nick|}}!", "Hi !"),
    "an unknown name stays": ("{{contact.shape}} {{1}} {{}}", "{{contact.shape}} {{1}} {{}}"),
    "a field without a name stays": ("{{contact.field.}}", "{{contact.field.}}"),
    "one brace is a brace": ("{contact.name} }} {{", "{contact.name} }} {{"),
    "braces that do not end": ("{{contact.name", "{{contact.name"),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_a_place_is_filled(text: str, expected: str) -> None:
    assert rendered((TextPart(text=text),), VALUES) == (TextPart(text=expected),)


HOSTILE = {
    "another place": ("{{contact.phone}}", "{{contact.phone}}"),
    "lines": ("Ann\n\nLee\t!", "Ann Lee !"),
    "too long": ("x" * 999, "x" * VALUE_LIMIT),
    "nothing but space": (" \n ", "there"),
}


@pytest.mark.parametrize(("name", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_visitors_call_themselves_stays_a_name(name: str, expected: str) -> None:
    values = {"contact.name": name, "contact.phone": "+4930"}
    assert rendered((TextPart(text="{{contact.name|there}}"),), values) == (
        TextPart(text=expected),
    )


def test_of_a_contact_that_is_gone_nothing_is_known() -> None:
    values = values_of(None, "Bo", "", "line")
    text = TextPart(text="{{contact.name|there}} {{agent.name}} {{account.name|us}}")
    assert rendered((text,), values) == (TextPart(text="there Bo us"),)


NAME = "{{contact.name}}"
EVERYWHERE: dict[str, tuple[ContentPart, ContentPart]] = {
    "choices, not what they mean": (
        ChoicesPart(
            text=NAME,
            label=NAME,
            choices=(Choice(title=NAME, description=NAME, payload=NAME, url=NAME),),
        ),
        ChoicesPart(
            text="Ann Lee",
            label="Ann Lee",
            choices=(Choice(title="Ann Lee", description="Ann Lee", payload=NAME, url=NAME),),
        ),
    ),
    "values of a template": (
        TemplatePart(
            name=NAME, language="en", body=("x", NAME), header=NAME, buttons=(NAME,), text=NAME
        ),
        TemplatePart(
            name=NAME,
            language="en",
            body=("x", "Ann Lee"),
            header="Ann Lee",
            buttons=("Ann Lee",),
            text="Ann Lee",
        ),
    ),
    "not files": (MediaPart(kind="file", name=NAME), MediaPart(kind="file", name=NAME)),
    "not places": (
        LocationPart(latitude=1, longitude=2, name=NAME),
        LocationPart(latitude=1, longitude=2, name=NAME),
    ),
}


@pytest.mark.parametrize(("part", "expected"), EVERYWHERE.values(), ids=EVERYWHERE.keys())
def test_places_count_in_what_is_read(part: ContentPart, expected: ContentPart) -> None:
    assert rendered((part,), VALUES) == (expected,)


def test_names_that_are_none_are_told_once_each() -> None:
    parts = (
        TextPart(text="{{contact.name}} {{contact.shape}} {{contact.shape|x}}"),
        ChoicesPart(text="{{1}}", choices=(Choice(title="{{ agent }}"),)),
    )
    assert unknown(parts) == ["contact.shape", "1", "agent"]
    assert unknown((TextPart(text="{{contact.field.anything}} {{channel|x}}"),)) == []


BROKEN: dict[str, tuple[str, list[str]]] = {
    "places": ("Hi {{contact.name|a|b}}, {{ channel }}{{agent.name}} {{nothing}}", []),
    "braces one by one": ('{"a": {"b": 1}} {contact.name}', []),
    "one that does not end": ("Hi {{contact.name", ["{{contact.name"]),
    "one that ends by halves": ("Hi {{contact.name}!", ["{{contact.name}!"]),
    "one in another": ("{{contact.name|{{channel}}}}", ["{{contact.name|{{channel}}}}"]),
    "one in braces": ("{{{channel|x}}}", ["{{{channel|x}}}"]),
    "a brace too many": ("{{channel}}}", ["{{channel}}}"]),
    "over lines, cut": ("{{channel\n" + "x" * 90, ["{{channel\n" + "x" * 32]),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN.keys())
def test_a_place_that_is_broken_is_told(text: str, expected: list[str]) -> None:
    assert broken((TextPart(text=text),)) == expected


BLANK: dict[str, tuple[ContentPart, list[str]]] = {
    "words beside it": (TextPart(text="Hi {{contact.name}}"), []),
    "a fallback": (TextPart(text="{{contact.name|there}}"), []),
    "nothing but places": (TextPart(text=" {{contact.name}} "), [" {{contact.name}} "]),
    "an empty fallback": (TextPart(text="{{channel|}}"), ["{{channel|}}"]),
    "a value of a template": (
        TemplatePart(name="x", language="en", body=(NAME,), text="Hi {{contact.name}}"),
        [NAME],
    ),
    "an unused header": (TemplatePart(name="x", language="en"), []),
}


@pytest.mark.parametrize(("part", "expected"), BLANK.values(), ids=BLANK.keys())
def test_a_text_that_may_be_blank_is_told(part: ContentPart, expected: list[str]) -> None:
    assert may_be_blank((part,)) == expected
