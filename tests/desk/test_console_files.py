"""The console's files as they are served: their kinds, what browsers may do, what they keep."""

from __future__ import annotations

import re

import pytest

from services.desk.console import FOLDER, TYPES, read_assets
from services.notifier.push import NOBODYS, TITLES
from tests.desk.world import Answer, World

SERVED = {
    "the page": ("/", "text/html; charset=utf-8"),
    "the service worker, from where it may serve the whole page": (
        "/sw.js",
        "text/javascript; charset=utf-8",
    ),
    "a module": ("/assets/app.js", "text/javascript; charset=utf-8"),
    "the style sheet": ("/assets/styles.css", "text/css; charset=utf-8"),
    "the manifest": ("/assets/manifest.webmanifest", "application/manifest+json"),
    "an icon": ("/assets/icon.svg", "image/svg+xml"),
    "an icon of pixels": ("/assets/icon-192.png", "image/png"),
}


async def asked(world: World, path: str, method: str = "GET", **headers: str) -> Answer:
    return await world.call(method, world.base + path, headers=headers)


@pytest.mark.parametrize(("path", "kind"), SERVED.values(), ids=SERVED)
async def test_it_is_served_and_asked_for_again_each_time(
    world: World, path: str, kind: str
) -> None:
    got = await asked(world, path)
    assert (got.status, got.headers["Content-Type"]) == (200, kind)
    assert got.body
    assert got.headers["Cache-Control"] == "no-cache"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    again = await asked(world, path, **{"If-None-Match": got.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    head = await asked(world, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))


ABSENT = ("/assets/", "/assets/nothing.js", "/assets/..%2fserver.py", "/assets/../server.py")


@pytest.mark.parametrize("path", ABSENT)
async def test_nothing_else_is_served(world: World, path: str) -> None:
    assert (await asked(world, path)).status == 404


async def test_scripts_and_styles_come_from_us_alone(world: World) -> None:
    page = await asked(world, "/")
    policy = dict(
        part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; ")
    )
    assert policy == {
        "default-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "relaydesk",
    }
    assert not re.search(
        r"<style|<script(?! type=.module. src=)| on\w+=| style=", page.body.decode()
    )


def test_all_that_the_console_is_made_of_is_served() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(read_assets())
    named = set(re.findall(r"/assets/([\w.-]+)", (FOLDER / "index.html").read_text()))
    imported = {
        name
        for path in FOLDER.glob("*.js")
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text())
    }
    assert named | imported <= set(read_assets())


def test_every_kind_of_file_is_packaged() -> None:
    project = FOLDER.parents[2].joinpath("pyproject.toml").read_text()
    packaged = re.search(r'^"\*" = \[(.*)\]$', project, re.MULTILINE)
    assert packaged is not None
    assert {f'"*{kind}"' for kind in TYPES} <= set(packaged[1].split(", "))


def test_a_page_titles_a_notification_as_a_push_does() -> None:
    words = (FOLDER / "en.js").read_text()
    titles = [*TITLES.values(), NOBODYS]
    assert [title for title in titles if f'"{title}"' not in words] == []
