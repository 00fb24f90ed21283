"""What is told of an account to connect, to change, and of one that is connected."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.channel import Carried
from libs.common.workspace_file import TemplateInFile
from services.desk.api.accounts import AccountView
from services.desk.api.read import Plain

Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,47}$",
        description="Names the account in addresses, in the whole installation; stays as it is",
    ),
]
Line = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$")]
SecretName = Annotated[str, Meta(max_length=64)]
SecretText = Annotated[
    str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f]*$", description="Not shown")
]
Features = Annotated[tuple[Literal["human_agent"], ...], Meta(max_length=10)]
Templates = Annotated[tuple[TemplateInFile, ...], Meta(max_length=250)]
Address = Annotated[
    Plain,
    Meta(max_length=300, description="In place of the provider's; for trials, where it is allowed"),
]


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to connect; `GET /channels/kinds` says what its channel needs.

    Attributes:
        external_id: The provider's id of it. For `web` a word of yours; empty: the slug.
        app: Of Meta's channels, what names the app in the webhook's address.
        secrets: By name. Those that we choose are made where they are left out, see `made`.
    """

    slug: Slug
    channel: Annotated[Plain, Meta(max_length=40)]
    external_id: Line = ""
    name: Line = ""
    app: Line = ""
    api_base: Address = ""
    enabled: bool = True
    features: Features = ()
    templates: Templates = ()
    secrets: dict[SecretName, SecretText] = {}


class AccountPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays. A secret that is null is removed."""

    name: Line | UnsetType = UNSET
    api_base: Address | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    features: Features | UnsetType = UNSET
    templates: Templates | UnsetType = UNSET
    secrets: dict[SecretName, SecretText | None] | UnsetType = UNSET


class SecretSet(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a secret is set, and since when; null: not set, or before that was noted."""

    name: str
    needed: bool
    is_set: bool
    since: datetime | None


class AccountDetail(AccountView, frozen=True, kw_only=True):
    """An account as admins see it, without its secrets.

    Attributes:
        id: The same as `slug`.
        webhook_url: The whole address for the provider; empty where the installation does not know
            its own (`RELAYDESK_PUBLIC_URL`).
        verify_token: What Meta wants typed in beside it; it signs nothing.
        made: Secrets that were made for the account, in the one answer that makes them.
    """

    id: str
    app: str
    api_base: str
    webhook_url: str
    verify_token: str
    secrets: tuple[SecretSet, ...]
    made: dict[str, str] = {}
    version: int


class DisconnectQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`confirm` is the token of the answer 409 `confirmation_required`."""

    confirm: Annotated[Plain, Meta(max_length=2000)] = ""


class SecretKind(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that accounts of a channel have.

    Attributes:
        needed: Whether it must be given, or made.
        pattern: What it looks like, a regular expression; empty: not known.
        strict: Whether what looks different is wrong; else it is only unusual.
        chosen: We choose it: left out, it is made.
        typed_in: It is typed in at the provider.
    """

    name: str
    title: str
    where: str
    needed: bool
    pattern: str
    example: str
    strict: bool
    chosen: bool
    typed_in: bool


class SetupStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the setup; `code` is a stable word."""

    code: str
    words: str


class ChannelKind(msgspec.Struct, frozen=True, kw_only=True):
    """A channel that accounts can be connected of.

    Attributes:
        webhook_path: Where the provider posts, with `{app}` or `{account}` for its name.
        shares_app: Accounts of one app share that address, and `app` is needed.
        features: What a provider may grant to an account.
    """

    channel: str
    title: str
    external_id: str
    external_id_example: str
    webhook_path: str
    shares_app: bool
    templates: bool
    carries: tuple[Carried, ...]
    features: tuple[str, ...]
    secrets: tuple[SecretKind, ...]
    steps: tuple[SetupStep, ...]


class ChannelKinds(msgspec.Struct, frozen=True, kw_only=True):
    """Every channel, and the address that providers reach this installation by."""

    items: tuple[ChannelKind, ...]
    public_url: str
    api_base: Annotated[bool, Meta(description="Whether `api_base` may be set here")]
    next: str | None = None


CheckCode = Literal["enabled", "secrets", "token", "public_url", "handshake", "webhook", "provider"]
CheckResult = Literal["ok", "failed", "unknown"]


class AccountCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one respect; `reason` is a stable word, `advice` what to do about it."""

    code: CheckCode
    result: CheckResult
    words: str
    reason: str = ""
    advice: str = ""


class AccountChecked(msgspec.Struct, frozen=True, kw_only=True):
    """What a test found: `ok` where nothing has failed."""

    ok: bool
    steps: tuple[AccountCheck, ...]
