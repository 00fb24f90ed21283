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
    "a key that stands twice is named with both lines": (
        "workspace: acme\nsettings: {zone: UTC}\ntags: []\nsettings: {show_read: false}\n",
        "'settings' stands twice, in line 2 and in line 4",
    ),
    "a key that stands twice deep inside is named": (
        GOOD.replace("role: lead", "role: lead, role: agent"),
        "'role' stands twice, in line 6 and in line 6",
    ),
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
        "unknown field `auto_hostin` - at `$.settings`; allowed: auto_hosting, ",
    ),
    "a misspelt switch of a channel is named": (
        GOOD.replace("auto_hosting: false", "channels: {line: {auto_hostin: false}}"),
        "unknown field `auto_hostin` - at `$.settings.channels[...]`",
    ),
    "switches of an unknown channel are refused": (
        GOOD.replace("auto_hosting: false", "channels: {lime: {auto_hosting: false}}"),
        "settings.channels: 'lime' is not one of",
    ),
    "a misspelt switch of an account is named": (
        GOOD.replace("auto_hosting: false", "accounts: {acme-line: {auto_hostin: false}}"),
        "unknown field `auto_hostin` - at `$.settings.accounts[...]`",
    ),
    "a switch that is a word is refused": (
        GOOD.replace("auto_hosting: false", "strategy: fastest"),
        "Invalid enum value 'fastest' - at `$.settings.strategy`",
    ),
    "a misspelt setting of alerts is named": (
        GOOD.replace("auto_hosting: false", "alerts: {windows_s: 60}"),
        "settings.alerts.windows_s: is not known; allowed: triggers, window_s, email_after_s",
    ),
    "a misspelt setting of a trigger is named": (
        GOOD.replace("auto_hosting: false", "alerts: {triggers: {notice: {lokced: true}}}"),
        "settings.alerts.triggers.notice.lokced: is not known; allowed: methods, locked",
    ),
    "an unknown trigger is named": (
        GOOD.replace("auto_hosting: false", "alerts: {triggers: {rain: {locked: true}}}"),
        "'rain' - at `key` in `$.settings.alerts.triggers`; allowed: bot_hosted.message, unassig",
    ),
    "an unknown method is named": (
        GOOD.replace("auto_hosting: false", "alerts: {triggers: {notice: {methods: [fax]}}}"),
        "'fax' - at `$.settings.alerts.triggers[...].methods[0]`; allowed: browser, email",
    ),
    "a misspelt setting of a rung is named": (
        GOOD.replace("auto_hosting: false", "alerts: {escalation: [{after: 60, after_s: 60}]}"),
        "settings.alerts.escalation[0].after: is not known; allowed: after_s, to, methods",
    ),
    "an unknown target of a rung is told with those that are": (
        GOOD.replace("auto_hosting: false", "alerts: {escalation: [{after_s: 60, to: bosses}]}"),
        "Invalid enum value 'bosses' - at `$.settings.alerts.escalation[0].to`; allowed: ",
    ),
    "an unknown way to visitors who left is told with those that are": (
        GOOD.replace("auto_hosting: false", "offline_visitors: {method: sms}"),
        "Invalid enum value 'sms' - at `$.settings.offline_visitors.method`; allowed: ",
    ),
    "a misspelt setting for visitors who left is named": (
        GOOD.replace("auto_hosting: false", "offline_visitors: {quiet: 60}"),
        "settings.offline_visitors.quiet: is not known; allowed: method, after_s, quiet_s",
    ),
    "a misspelt place of our name is named": (
        GOOD.replace("auto_hosting: false", "remove_branding: {emails: true}"),
        "settings.remove_branding.emails: is not known; allowed: widget, email",
    ),
    "a limit below 0 is refused": (
        GOOD.replace("role: lead", "role: lead, limit: -1"),
        "`int` >= 0 - at `$.agents[0].limit`",
    ),
    "a misspelt field of a rule is named with its place and what is allowed": (
        GOOD + "rules: [{id: a, condition: [], actions: [{do: end}]}]\n",
        "rules[0].condition: is not known; allowed: id, name, on, enabled, conditions, actions",
    ),
    "a misspelt field of an action is named with its place": (
        GOOD + "rules: [{id: a, actions: [{do: tag, tag: x}, {do: end, why: y}]}]\n",
        "rules[0].actions[1].why: is not known; allowed: do, reason",
    ),
    "an unknown action is refused": (
        GOOD + "rules: [{id: a, actions: [{do: dance}]}]\n",
        "Invalid value 'dance' - at `$.rules[0].actions[0].do`",
    ),
    "a misspelt field of a calendar is named with its place": (
        GOOD + "calendars: [{id: a, spans: [{days: [0], opens: 09:00, close: 18:00}]}]\n",
        "missing required field `closes` - at `$.calendars[0].spans[0]`",
    ),
    "a team with a wrong id is refused": (
        GOOD + "teams: [{id: Sales Team}]\n",
        "at `$.teams[0].id`",
    ),
    "an unknown role lists the roles": (
        GOOD.replace("role: lead", "role: boss"),
        "Invalid enum value 'boss' - at `$.agents[0].role`; allowed: owner, ",
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


POLICY = """
workspace: acme
settings:
  auto_assign: yes
  strategy: round_robin
  silent_owner_s: 120
  accounts: {acme-line: {auto_assign: false}}
agents:
  - {name: Ada, email: ada@acme.example, limit: 3, teams: [sales], skills: [vip], priority: 1}
teams: [{id: sales, name: Sales, calendar: office}]
calendars:
  - id: office
    zone: Europe/Berlin
    spans: [{days: [0, 1], opens: 09:00, closes: 18:00}]
    holidays: [{date: 2026-12-25}]
rules:
  - id: vip
    on: message
    conditions: [{if: words, words: [refund]}]
    actions: [{do: agent, agent: ada@acme.example}, {do: team, team: sales}]
"""


def test_hours_dates_and_the_word_on_need_no_quotes() -> None:
    file = read_workspace_file(POLICY.encode())
    assert file.settings is not None
    assert file.settings.auto_assign
    assert file.calendars is not None
    assert (file.calendars[0].spans[0].closes, file.calendars[0].holidays[0].date) == (
        "18:00",
        "2026-12-25",
    )
    assert file.rules is not None
    assert file.rules[0].on == "message"


def test_keys_that_are_merged_are_words_too() -> None:
    merged = POLICY.replace(
        "rules:\n  - id: vip\n    on: message\n", "rules:\n  - <<: {id: vip, on: message}\n"
    )
    assert read_workspace_file(merged.encode()) == read_workspace_file(POLICY.encode())


DOCUMENT = (Path(__file__).parents[2] / "docs" / "workspace-file.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)

SHOWN = {
    "the first example shows accounts and agents": (0, {"acme-line", "acme-messenger"}, (), ()),
    "the second shows a policy": (1, set(), (), ()),
    "the third shows bots, texts and the like": (2, set(), (), ()),
    "the fourth shows what the provider has granted": (
        3,
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
