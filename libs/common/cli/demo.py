"""The demo workspace: one account a channel, four people, and demo.json for scripts."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import msgspec

from libs.common.channels import CHANNELS
from libs.common.documents import Role
from libs.common.workspace_file import AccountInFile, AgentEntry, SecretRef, WorkspaceFile

WORKSPACE = "demo"
APP = "demo-app"
PEOPLE: tuple[tuple[str, str, Role], ...] = (
    ("Olive Owner", "owner@demo.example", "owner"),
    ("Lee Lead", "lead@demo.example", "lead"),
    ("Ada Agent", "ada@demo.example", "agent"),
    ("Ben Agent", "ben@demo.example", "agent"),
)
EXTERNAL_IDS = {
    "messenger": "100000000000001",
    "fb_comment": "100000000000001",
    "instagram": "178400000000001",
    "whatsapp": "200000000000002",
    "line": "U00000000000000000000000000000001",
    "wechat": "gh_demo00000001",
    "telegram": "700000001",
    "web": "demo-web",
}
LIMIT = 5
"""Sessions that auto-assign gives each agent of the demo, once it is switched on."""
MAIL_FROM = "Relaydesk <alerts@demo.example>"
WECHAT_APP_ID = "wx0123456789abcdef"


class DemoAgent(msgspec.Struct, kw_only=True):
    """A person of the demo as demo.json shows them; `token` is an API token."""

    name: str
    email: str
    password: str
    token: str
    role: Role


class Demo(msgspec.Struct, kw_only=True):
    """demo.json. Each account has slug, channel, external_id, webhook_path and its secrets."""

    base_url: str
    workspace: str
    agents: list[DemoAgent]
    accounts: list[dict[str, str]]
    provider_stub: str
    smtp_sink: str | None = None


def plan(data_dir: Path, base_url: str, provider_stub: str, smtp_sink: str) -> Demo:
    """Return the demo, with the secrets of an earlier run where there was one."""
    before = read(data_dir)
    known_agents = {agent.email: agent for agent in before.agents} if before else {}
    known = {account["slug"]: account for account in before.accounts} if before else {}
    agents = [
        known_agents.get(email)
        or DemoAgent(name=name, email=email, password=secrets.token_urlsafe(9), token="", role=role)
        for name, email, role in PEOPLE
    ]
    accounts = [_account(name, known) for name in sorted(CHANNELS, key=_place)]
    return Demo(
        base_url=base_url,
        workspace=WORKSPACE,
        agents=agents,
        accounts=accounts,
        provider_stub=provider_stub,
        smtp_sink=smtp_sink,
    )


def read(data_dir: Path) -> Demo | None:
    """Return what demo.json says, or None when it is absent or of another shape."""
    path = data_dir / "demo.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Demo)
    except (OSError, ValueError):
        return None


def write(data_dir: Path, demo: Demo) -> None:
    """Write demo.json, readable by its owner alone."""
    draft = data_dir / "demo.json.tmp"
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(demo), indent=2) + b"\n")
    draft.replace(data_dir / "demo.json")


def workspace_file(demo: Demo) -> WorkspaceFile:
    """Return the demo as the file that `config apply` takes."""
    return WorkspaceFile(
        workspace=demo.workspace,
        name="Demo",
        agents=tuple(
            AgentEntry(
                name=agent.name,
                email=agent.email,
                role=agent.role,
                password=SecretRef(value=agent.password),
                limit=LIMIT if agent.role == "agent" else 0,
            )
            for agent in demo.agents
        ),
        accounts=tuple(_in_file(account, demo.provider_stub) for account in demo.accounts),
    )


def _place(channel: str) -> int:
    """Order the channels as the demo has always shown them, newer ones last."""
    names = list(EXTERNAL_IDS)
    return names.index(channel) if channel in names else len(names)


def _account(channel: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    value = CHANNELS[channel]
    slug = f"demo-{channel.replace('_', '-')}"
    key = APP if value.addressees is not None else slug
    account = {
        "slug": slug,
        "channel": channel,
        "external_id": EXTERNAL_IDS.get(channel, f"demo-{channel}"),
        "webhook_path": f"/webhooks/{value.endpoint}/{key}",
    }
    before = known.get(slug, {})
    for name in (*value.secrets, *value.optional_secrets):
        if fresh := _fresh(channel, name):
            account[name] = before.get(name) or fresh
    if value.addressees is not None:  # one app has one secret: all its accounts share it
        for name in ("app_secret", "verify_token"):
            earlier = (other[name] for other in known.values() if name in other)
            account[name] = next(earlier, "") or _shared(name)
    return account


_SHARED: dict[str, str] = {}


def _shared(name: str) -> str:
    return _SHARED.setdefault(name, secrets.token_hex(16))


def _fresh(channel: str, name: str) -> str:
    """Return a new secret, or nothing for an optional one that the demo does without."""
    if name.endswith("_previous"):
        return ""
    if name == "aes_key":
        return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    if name == "app_id":
        return WECHAT_APP_ID
    if name == "bot_token":
        return f"{EXTERNAL_IDS.get(channel, channel)}:{secrets.token_hex(16)}"
    return secrets.token_hex(16)


def _in_file(account: dict[str, str], provider_stub: str) -> AccountInFile:
    channel = CHANNELS[account["channel"]]
    names = (*channel.secrets, *channel.optional_secrets)
    return AccountInFile(
        slug=account["slug"],
        channel=account["channel"],
        external_id=account["external_id"],
        name=f"Demo {account['channel']}",
        app=APP if channel.addressees is not None else "",
        api_base=f"{provider_stub}/{account['slug']}",
        secrets={name: SecretRef(value=account[name]) for name in names if name in account},
    )


def summary(demo: Demo) -> list[str]:
    """Return what `up` prints besides the ready line."""
    lines = [f"  API documents  {demo.base_url}/api/v1/openapi.json"]
    lines += [f"  web chat       {demo.base_url}/plugin/demo"]
    lines += [f"  sent messages  {demo.provider_stub}/_sent?account=demo-line"]
    lines += [f"  sent mails     {demo.provider_stub}/_mail"]
    lines += [f"  login          {a.email}  {a.password}  ({a.role})" for a in demo.agents]
    return lines
