"""The console's files as they are served: their kinds, what browsers may do, what they keep."""

from __future__ import annotations

import posixpath
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
    "a module in a folder": ("/assets/frame/api.js", "text/javascript; charset=utf-8"),
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
    plain = {"Accept-Encoding": "identity"}
    got = await asked(world, path, **plain)
    assert (got.status, got.headers["Content-Type"]) == (200, kind)
    assert got.body
    assert got.headers["Cache-Control"] == "no-cache"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    again = await asked(world, path, **plain, **{"If-None-Match": got.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    head = await asked(world, path, "HEAD", **plain)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.body))


async def test_the_page_names_one_style_sheet_and_all_modules_of_the_inbox_for_good(
    world: World,
) -> None:
    page = (await asked(world, "/")).body.decode()
    assert len(re.findall(r'<link rel="stylesheet"', page)) == 1
    named = re.findall(r'href="(/assets/v-[0-9a-f]{12}/[^"]+\.(?:css|js))"', page)
    paths = {path.split("/", 3)[3] for path in named}
    assert {"styles.css", "app.js", "frame/theme.js", "inbox/rows.js", "words/en/inbox.js"} <= paths
    assert "settings/bots.js" not in paths
    for path in named:
        got = await asked(world, path)
        assert (got.status, "immutable" in got.headers["Cache-Control"]) == (200, True), path
    other = re.sub("v-[0-9a-f]{12}", "v-000000000000", named[0])
    assert (await asked(world, other)).headers["Cache-Control"] == "no-cache"


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


IMPORT = re.compile(r"""\b(?:from|import)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")


def test_all_that_the_console_is_made_of_is_served() -> None:
    served = read_assets()
    files = {
        path.relative_to(FOLDER).as_posix(): path
        for path in FOLDER.rglob("*")
        if path.is_file() and path.suffix in TYPES
    }
    assert set(files) <= set(served)
    kept = {path.suffix for path in FOLDER.rglob("*") if path.is_file()} - set(TYPES)
    assert kept <= {".md", ".txt"}, "licences and notes, for who reads the source"
    named = set(re.findall(r'"/assets/([\w./-]+)"', (FOLDER / "index.html").read_text()))
    imported = {
        posixpath.normpath(posixpath.join(posixpath.dirname(name), given))
        for name, path in files.items()
        if path.suffix == ".js"
        for given in IMPORT.findall(path.read_text())
    }
    assert (named | imported) - set(served) == set()


def test_every_kind_of_file_is_packaged() -> None:
    project = FOLDER.parents[2].joinpath("pyproject.toml").read_text()
    packaged = re.search(r'^"\*" = \[(.*)\]$', project, re.MULTILINE)
    assert packaged is not None
    assert {f'"*{kind}"' for kind in TYPES} <= set(packaged[1].split(", "))


def test_a_page_titles_a_notification_as_a_push_does() -> None:
    words = (FOLDER / "words" / "en" / "alerts.js").read_text()
    titles = [*TITLES.values(), NOBODYS]
    assert [title for title in titles if f'"{title}"' not in words] == []
