"""Links that work until they expire, and nothing that looks like one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from libs.common.files.links import Linked, link_keys, sign, verify
from libs.common.seal import new_key_setting

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SETTING = new_key_setting()
KEYS = link_keys(SETTING)


def opened(link: str, keys: tuple[bytes, ...] = KEYS, now: datetime = NOW) -> Linked | None:
    parts = urlsplit(link)
    return verify(keys, unquote(parts.path), dict(parse_qsl(parts.query)), now)


def test_a_link_names_what_was_signed() -> None:
    link = sign(KEYS, "acme", "att_1", LATER, name="Grüße 1.png")
    assert link.startswith("/files/acme/att_1/")
    assert opened(link) == Linked(
        workspace="acme", file_id="att_1", name="Grüße_1.png", expires=LATER
    )


FORGED: dict[str, Callable[[str], str]] = {
    "another workspace": lambda link: link.replace("/acme/", "/other/"),
    "another file": lambda link: link.replace("att_1", "att_2"),
    "another name": lambda link: link.replace("x.png", "x.html"),
    "a piece moved to its neighbour": lambda link: link.replace("acme/att_1", "acmea/tt_1"),
    "a later end": lambda link: link.replace("e=", "e=9"),
    "another signature": lambda link: link[:-1] + ("A" if link[-1] != "A" else "B"),
    "a cut signature": lambda link: link[:-1],
    "no signature": lambda link: link.partition("&s=")[0],
    "no end": lambda link: link.replace("e=", "f="),
    "an end that is no number": lambda link: link.replace("e=", "e=x"),
    "another place": lambda link: link.replace("/files/", "/wiles/"),
    "a longer path": lambda link: link.replace("x.png", "x.png/x"),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_what_was_altered_is_refused(change: Callable[[str], str]) -> None:
    link = sign(KEYS, "acme", "att_1", LATER, name="x.png")
    assert opened(link)
    assert change(link) != link
    assert opened(change(link)) is None


def test_it_expires() -> None:
    link = sign(KEYS, "acme", "att_1", LATER)
    assert opened(link, now=LATER - timedelta(seconds=1))
    assert opened(link, now=LATER) is None


def test_after_a_rotation_old_links_hold_and_new_ones_are_of_the_new_key() -> None:
    new = new_key_setting()
    both = link_keys(f"{new},{SETTING}")
    old_link = sign(KEYS, "acme", "att_1", LATER)
    new_link = sign(both, "acme", "att_1", LATER)
    assert opened(old_link, both)
    assert opened(new_link, link_keys(new))
    assert opened(new_link, KEYS) is None


NAMES = {
    "../../etc/passwd": "etc_passwd",
    "": "file",
    "...": "file",
    "a\r\nb.png": "a_b.png",
    'x".png': "x_.png",
    "n" * 300 + ".png": "n" * 96 + ".png",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items())
def test_names_fit_into_a_path(name: str, shown: str) -> None:
    found = opened(sign(KEYS, "acme", "att_1", LATER, name=name))
    assert found is not None
    assert found.name == shown
