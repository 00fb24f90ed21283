"""A workspace that has everything a file can say, and the means to plan and apply it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from libs.common.applied import CONFIGS
from libs.common.bots.secrets import fresh_secret
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Store
from libs.common.workspace import Applied, WorkspaceWriter
from libs.common.workspace_export import exported, read_refs, text_of
from libs.common.workspace_file import WorkspaceFile, read_workspace_file
from libs.common.workspace_made import Here
from libs.common.workspace_plan import Plan
from libs.common.workspace_secrets import Vault
from libs.common.workspace_state import State, read_state

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEALER = Sealer.from_setting(new_key_setting())
SIGNS, SIGNS_TOO = fresh_secret(), fresh_secret()
FULL = f"""
workspace: acme
name: Acme & Söhne
settings:
  auto_hosting: false
  calendar: office
  zone: Europe/Berlin
  quiet_hours: {{start: 22:00, end: 07:00}}
  channels: {{line: {{auto_hosting: true}}}}
  accounts: {{acme-line: {{auto_assign: true}}}}
  alerts: {{triggers: {{mention: {{methods: [email], locked: true}}}}, window_s: 90}}
  offline_visitors: {{method: plugin}}
  remove_branding: {{widget: true}}
  termination: {{per_minute: 7}}
  plugin: {{colour: "#0a7d3c", pre_chat: {{when: offline}}, origins: ["https://shop.example"]}}
  plugins: {{acme-line: {{title: Chat now}}}}
  survey: {{channels: [line], question: "How was it? 1 to 5", thanks: ""}}
teams:
  - {{id: sales, name: Sales, calendar: office}}
  - {{id: care}}
calendars:
  - id: office
    zone: Europe/Berlin
    spans: [{{days: [0, 1, 2, 3, 4], opens: 09:00, closes: 18:00}}]
    holidays: [{{date: 2026-12-25, name: Christmas}}]
    away_text: "We are back\\nsoon. 人 🎉"
agents:
  - {{name: Olga, email: olga@acme.example, role: owner, password: {{value: correct-horse}}}}
  - name: Ada
    email: Ada@acme.example
    role: lead
    limit: 3
    teams: [sales]
    channels: [line, web]
    accounts: [acme-line]
    team_only: true
  - {{name: Ben, email: ben@acme.example, disabled: true}}
accounts:
  - slug: acme-line
    channel: line
    external_id: "0123"
    name: "yes"
    secrets: {{channel_secret: {{value: s}}, access_token: {{value: t}}}}
  - slug: acme-whatsapp
    channel: whatsapp
    external_id: "100200300400"
    app: acme-app
    templates:
      - {{name: shipped, language: en_US, body: "Hello {{{{1}}}}", header: image, buttons: [url]}}
    secrets: {{app_secret: {{value: a}}, verify_token: {{value: v}}, access_token: {{value: t}}}}
rules:
  - id: refunds
    on: message
    conditions: [{{if: words, words: [refund, money back]}}, {{if: language, any_of: [en]}}]
    actions: [{{do: tag, tag: refund}}, {{do: agent, agent: ada@acme.example, else_team: sales}}]
  - id: robot
    conditions: [{{if: channel, any_of: [web]}}]
    actions: [{{do: bot, bot: helper}}]
bots:
  - id: helper
    name: Helper
    kind: faq
    automation: true
    faq:
      - {{id: hours, questions: ["When are you open?"], answers: ["Nine to six: daily"]}}
      - {{id: price, keywords: [price], answers: [Ask us], hand_off: true}}
  - id: guide
    name: Guide
    kind: flow
    start: hello
    steps:
      - {{id: hello, say: Hi, choices: [{{title: "Yes", to: bye}}], wait_s: 60, late_to: bye}}
      - {{id: bye, say: Bye, end: true}}
    layout: {{hello: [1, 2]}}
  - {{id: hook, name: Hook, kind: webhook, url: "https://bot.example.com/x?key=1",
     secret: {{value: "{SIGNS}"}}}}
tags: [{{name: VIP, color: "#1e90ff"}}, {{id: tag_old, name: Old}}]
folders:
  - {{id: hello, name: Greetings, channels: [line], teams: [sales], users: [ada@acme.example]}}
  - {{id: bye, name: Farewells, place: 2}}
standard_messages:
  - {{id: hi, title: Hi there, folder: hello, text: "Hello {{{{contact.name|there}}}}!"}}
  - {{id: so-long, title: So long, folder: bye, place: 3, text: "Bye: see you\\n- soon"}}
contact_fields:
  - {{name: Plan, label: Their plan, type: choice, choices: [free, paid], order: 1}}
  - {{name: Since, type: date}}
webhook_endpoints:
  - id: crm
    url: https://crm.example.com/in
    events: [session.ended, contact.changed]
    accounts: [acme-line]
    per_s: 5
    enabled: false
    secret: {{value: "{SIGNS_TOO}"}}
shared_filters:
  - {{id: mine-line, name: LINE open, query: {{list: [assigned], with: [agent], channel: [line]}}}}
"""


def file_of(text: str) -> WorkspaceFile:
    return read_workspace_file(text.encode())


def writer(store: Store, actor: str = "test") -> WorkspaceWriter:
    return WorkspaceWriter(store, SEALER, actor=actor, now=NOW)


async def apply(store: Store, text: str, **more: Any) -> Applied:
    return await writer(store).apply(file_of(text), **more)


async def plan(store: Store, text: str, *, prune: bool = False) -> Plan:
    return await writer(store).plan(file_of(text), prune=prune)


async def export(store: Store, workspace: str = "acme") -> str:
    record = await store.get(CONFIGS, workspace, workspace)
    refs = read_refs(record.refs if record else "")
    return text_of(exported(await read_state(store, workspace), refs), "A note")


def touched(found: Plan) -> dict[str, str]:
    """Return what would happen, by object, but for what stays the same."""
    return {one.object: one.action for one in found.objects if one.action != "same"}


def here_of(file: WorkspaceFile, state: State) -> Here:
    return Here(
        workspace=file.workspace,
        now=NOW,
        vault=Vault(SEALER, NOW),
        ids={},
        emails={},
        files=state.files,
    )
