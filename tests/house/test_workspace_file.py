"""The workspace file: every mistake is told with its place, before anything is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from libs.common.errors import SettingsError
from libs.common.workspace_file import SecretRef, read_workspace_file

GOOD = """
workspace: acme
name: Acme
settings: {auto_hosting: false}
agents:
  - {name: Ada, email: ada@acme.example, role: lead, password: {env: ADA}}
accounts:
  - slug: acme-line
    channel: line
    external_id: U1
    secrets: {channel_secret: {env: S}, access_token: {env: T}}
"""

REFUSED = {
    "broken YAML names the line": ("workspace: [", "the file is not YAML in line 1"),
    "a list is not a workspace": ("- a", "Expected `object`"),
    "an unknown field is named": (GOOD + "colour: red", "unknown field `colour`"),
    "an unknown field deep inside is named": (
        GOOD.replace("role: lead", "rôle: lead"),
        "unknown field `rôle` - at `$.agents[0]`",
    ),
    "a slug with capitals is refused": (
        GOOD.replace("workspace: acme", "workspace: Acme"),
        "workspace: 'Acme' is not a slug",
    ),
    "an unknown channel lists the known ones": (
        GOOD.replace("channel: line", "channel: fax"),
        "accounts[acme-line].channel: 'fax' is not one of",
    ),
    "a missing secret is named": (
        GOOD.replace("channel_secret: {env: S}, ", ""),
        "accounts[acme-line].secrets: channel_secret is missing",
    ),
    "an unknown secret is named": (
        GOOD.replace("access_token: {env: T}", "access_token: {env: T}, pin: {env: P}"),
        "accounts[acme-line].secrets: pin is unknown",
    ),
    "an unknown feature lists the known ones": (
        GOOD + "    features: [humanagent]\n",
        "accounts[acme-line].features: 'humanagent' is not one of human_agent",
    ),
    "a misspelt field of a template is named": (
        GOOD + "    templates: [{name: a, language: en, bodi: b}]\n",
        "unknown field `bodi` - at `$.accounts[0].templates[0]`",
    ),
    "an account of the Meta family needs its app": (
        GOOD.replace("channel: line", "channel: messenger"),
        "accounts[acme-line].app",
    ),
    "a misspelt switch is named": (
        GOOD.replace("auto_hosting: false", "auto_hostin: false"),
        "unknown field `auto_hostin` - at `$.settings`",
    ),
    "a misspelt switch of a channel is named": (
        GOOD.replace("auto_hosting: false", "channels: {line: {auto_hostin: false}}"),
        "unknown field `auto_hostin` - at `$.settings.channels[...]`",
    ),
    "switches of an unknown channel are refused": (
        GOOD.replace("auto_hosting: false", "channels: {lime: {auto_hosting: false}}"),
        "settings.channels: 'lime' is not one of",
    ),
    "an unknown role lists the roles": (
        GOOD.replace("role: lead", "role: boss"),
        "Invalid enum value 'boss'",
    ),
    "an address without @ is refused": (
        GOOD.replace("ada@acme.example", "ada"),
        "agents: 'ada' is not an e-mail address",
    ),
    "the same slug twice is refused": (
        GOOD + GOOD[GOOD.index("  - slug") :],
        "accounts.slug: 'acme-line' stands 2 times",
    ),
    "a file: scheme as provider base is refused": (
        GOOD.replace("external_id: U1", "external_id: U1\n    api_base: 'file:///x'"),
        "api_base: must be an http or https address",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_file_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_workspace_file(text.encode())
    assert sentence in caught.value.detail


def test_a_good_file_is_read() -> None:
    file = read_workspace_file(GOOD.encode())
    assert file.settings is not None
    assert not file.settings.auto_hosting
    assert [account.slug for account in file.accounts] == ["acme-line"]


DOCUMENT = (Path(__file__).parents[2] / "docs" / "workspace-file.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)

SHOWN = {
    "the first example shows accounts and agents": (0, {"acme-line", "acme-messenger"}, (), ()),
    "the second shows what the provider has granted": (
        1,
        {"acme-instagram", "acme-whatsapp"},
        ("human_agent",),
        (("order_shipped", True), ("spring_sale", False)),
    ),
}


@pytest.mark.parametrize(("place", "slugs", "features", "templates"), SHOWN.values(), ids=SHOWN)
def test_the_examples_of_the_document_are_good_files(
    place: int,
    slugs: set[str],
    features: tuple[str, ...],
    templates: tuple[tuple[str, bool], ...],
) -> None:
    file = read_workspace_file(EXAMPLES[place].encode())
    assert {account.slug for account in file.accounts} == slugs
    assert tuple(name for account in file.accounts for name in account.features) == features
    given = [template for account in file.accounts for template in account.templates]
    assert tuple((template.name, template.approved) for template in given) == templates


def test_every_example_of_the_document_is_read() -> None:
    assert len(EXAMPLES) == len(SHOWN)


def test_a_secret_comes_from_exactly_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "s3cret")
    assert SecretRef(env="GIVEN").read("here") == "s3cret"
    for wrong in (SecretRef(), SecretRef(env="ABSENT"), SecretRef(env="GIVEN", value="x")):
        with pytest.raises(SettingsError, match="here"):
            wrong.read("here")


def test_a_literal_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(SecretRef(value="s3cret"))
