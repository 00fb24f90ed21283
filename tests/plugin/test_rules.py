"""Who is believed, which pages may use the plugin, and how its script is put together (D25)."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.channels.web.identity import identified, signature
from libs.common.channels.web.origins import may_use, plugin_of
from libs.common.errors import BadSignatureError
from libs.common.plugin import Plugin, PluginField, PreChat
from libs.common.policy import Policy
from libs.common.rules.check import problems
from libs.common.switches import Settings
from services.ingest.bundle import bundle

SHOP = Account(
    workspace="acme",
    slug="acme-web",
    channel="web",
    external_id="x",
    secrets={"visitor_key": "k", "identity_secret": "s3cret"},
)
GOOD = hmac.new(b"s3cret", b"4711", hashlib.sha256).hexdigest()


def test_d25_the_signature_is_what_every_language_has() -> None:
    assert signature("s3cret", "4711") == GOOD
    assert signature("s3cret", "Søren") == hmac.digest(b"s3cret", "Søren".encode(), "sha256").hex()


def test_d25_a_user_is_one_visitor_everywhere_and_of_one_account() -> None:
    who = identified(SHOP, "4711", GOOD)
    assert who == identified(SHOP, "4711", GOOD.upper())
    assert who.startswith("u_")
    assert len(who) > 22
    other = msgspec.structs.replace(SHOP, slug="acme-help")
    assert identified(other, "4711", GOOD) != who


UNPROVEN: dict[str, tuple[str, str, dict[str, str]]] = {
    "of another user": ("4712", GOOD, {}),
    "of nobody": ("", signature("s3cret", ""), {}),
    "of a user with a novel for an id": ("x" * 201, signature("s3cret", "x" * 201), {}),
    "by another secret": ("4711", signature("guess", "4711"), {}),
    "by the key of the visitors": ("4711", signature("k", "4711"), {}),
    "empty": ("4711", "", {}),
    "where the account has no secret": ("4711", signature("", "4711"), {"visitor_key": "k"}),
    "with letters that are none": ("4711", "\ud800" + GOOD[1:], {}),
}


@pytest.mark.parametrize(("user", "given", "secrets"), UNPROVEN.values(), ids=UNPROVEN)
def test_d25_no_other_signature_makes_anybody_a_user(
    user: str, given: str, secrets: dict[str, str]
) -> None:
    shop = msgspec.structs.replace(SHOP, secrets=secrets) if secrets else SHOP
    with pytest.raises(BadSignatureError):
        identified(shop, user, given)


HOST = "desk.example"
PAGES = {
    "no list: every page": ((), "https://evil.example", True),
    "a page that is named": (("https://shop.example",), "https://shop.example", True),
    "in capitals": (("https://shop.example",), "HTTPS://SHOP.example", True),
    "of another port": (("https://shop.example",), "https://shop.example:8443", False),
    "that ends the same": (("https://shop.example",), "https://evilshop.example", False),
    "a file": (("https://shop.example",), "null", False),
    "our own": (("https://shop.example",), "https://desk.example", True),
    "no address at all": (("https://shop.example",), "https://[", False),
    "a program": (("https://shop.example",), "", True),
}


@pytest.mark.parametrize(("named", "origin", "allowed"), PAGES.values(), ids=PAGES)
def test_d25_pages_that_may_use_it(named: tuple[str, ...], origin: str, allowed: bool) -> None:
    assert may_use(Plugin(origins=named), origin, HOST) is allowed


def test_d25_an_account_has_its_own_settings_or_those_of_the_workspace() -> None:
    settings = Settings(plugin=Plugin(title="all"), plugins={"acme-help": Plugin(title="help")})
    assert plugin_of(settings, "acme-web").title == "all"
    assert plugin_of(settings, "acme-help").title == "help"


def _form(*fields: PluginField) -> Plugin:
    return Plugin(pre_chat=PreChat(fields=fields))


WRONG: dict[str, tuple[Plugin, str]] = {
    "a long title": (Plugin(title="x" * 81), "title: has 81 characters; allowed: at most 80"),
    "a colour by name": (Plugin(colour="red"), "colour: is no colour"),
    "a colour and more": (Plugin(colour="#1a56db;x:y"), "colour: is no colour"),
    "an address for a picture": (Plugin(avatar="https://x.example/a.png"), "avatar: is no picture"),
    "a page": (Plugin(origins=("https://shop.example/",)), "origins[0]: is no origin"),
    "a usual port": (Plugin(origins=("https://shop.example:443",)), "origins[0]: is no origin"),
    "capitals": (Plugin(origins=("https://Shop.example",)), "origins[0]: is no origin"),
    "no label": (_form(PluginField(id="x")), "pre_chat.fields[0].label: is blank"),
    "an odd id": (
        _form(PluginField(id="X y", label="x")),
        "pre_chat.fields[0].id: allowed: a to z",
    ),
    "twice": (
        _form(PluginField(id="name"), PluginField(id="name")),
        "fields[1].id: 'name' is there",
    ),
    "a long form": (
        _form(*(PluginField(id=f"f{n}", label="x") for n in range(9))),
        "pre_chat.fields: there are 9; allowed: at most 8",
    ),
}


@pytest.mark.parametrize(("plugin", "words"), WRONG.values(), ids=WRONG)
def test_d25_settings_that_cannot_be_are_named_with_what_can(plugin: Plugin, words: str) -> None:
    settings = Settings(plugins={"acme-web": plugin})
    (found,) = problems(Policy(settings=settings), {"acme-web"})
    assert found.startswith("settings.plugins.acme-web.")
    assert words in found


def test_d25_the_plugin_of_an_account_that_is_not_there_is_refused() -> None:
    settings = Settings(plugins={"nobody": Plugin()})
    (found,) = problems(Policy(settings=settings), {"acme-web"})
    assert "settings.plugins" in found


MODULES = {
    "a circle": (
        {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}
    ),
    "a name for all": ({"a.js": 'import * as b from "./b.js";\n', "b.js": ""}),
    "a default": ({"a.js": "export default 1;\n"}),
    "names again": ({"a.js": 'export { b } from "./b.js";\n', "b.js": ""}),
}


@pytest.mark.parametrize("files", MODULES.values(), ids=MODULES)
def test_d25_what_cannot_be_put_together_stops_the_process(
    tmp_path: Path, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"circle|put together"):
        bundle(tmp_path, "a.js")


def test_d25_modules_stand_behind_what_they_import_and_once(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text(
        '// said\nimport { b, c } from "./b.js";\nimport x from "./x.css";\n'
    )
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nexport const b = c;\n')
    (tmp_path / "c.js").write_text("export async function c() {}\n")
    (tmp_path / "x.css").write_text('a { content: "\\2014"; }\n')
    text = bundle(tmp_path, "a.js").decode()
    assert text.index("async function c") < text.index("const b = c")
    assert 'const x = "a { content: \\"\\\\2014\\"; }\\n";' in text
    assert "import" not in text
    assert "// said" not in text
