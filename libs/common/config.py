"""Environment to frozen struct: the settings of every service, their defaults and meaning.

One struct a service, read once at the start. All five know each other's names, so that one
environment can serve them all, and a name that none of them knows stops the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from libs.common.errors import SettingsError

PREFIX = "RELAYDESK_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service needs."""

    nats_url: Annotated[str, Meta(description="NATS server, `nats://host:port`; several by comma")]
    secret_key: Annotated[
        str,
        Meta(
            description="Key that seals secrets, `id:base64 of 32 bytes`; more by comma, the first "
            "seals, all open",
            extra={"secret": True},
        ),
    ]
    host: Annotated[str, Meta(description="Address the service listens on")] = "127.0.0.1"
    admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of /livez, /readyz and /metrics; 0: any free")
    ] = 0
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="Least severe line logged")
    ] = "info"
    stream_replicas: Annotated[
        int, Meta(ge=1, le=5, description="Replicas of each stream and bucket; 3 in production")
    ] = 1
    drain_s: Annotated[
        float,
        Meta(
            ge=0,
            le=8,
            description="Seconds that a service with a public port goes on serving after SIGTERM "
            "while /readyz already says no, so that load balancers notice; it ends within 10 s",
        ),
    ] = 0.0
    parent_pid: Annotated[
        int, Meta(ge=0, description="Stop when this parent process is gone; 0: never")
    ] = 0
    port_file: Annotated[
        str, Meta(description="Write the bound ports here as JSON once listening; empty: nowhere")
    ] = ""

    def __repr__(self) -> str:
        """Hide secrets: only the type is shown."""
        return f"{type(self).__name__}(...)"


class StoreSettings(Settings, frozen=True, kw_only=True):
    """What a service with a store needs besides."""

    store_url: Annotated[
        str,
        Meta(
            description="`mongodb://…` or `sqlite:///file`; may hold a password",
            extra={"secret": True},
        ),
    ]


FILES_META = Meta(
    description="Where attachments are: `file:///folder` (all services on one machine), "
    "`gridfs:` (in the MongoDB of the store), or `s3://bucket/prefix?endpoint=…&region=…` "
    "with the usual AWS_* variables; empty: `files` beside an SQLite store, GridFS with MongoDB"
)
PUBLIC_META = Meta(
    description="Address at which the world reaches this installation, `https://chat.example.com`; "
    "providers that fetch files from a link need it"
)

LOCAL_BOTS_META = Meta(
    description="Webhook bots may be on this machine, over http too, for trials; off: https and "
    "public addresses only"
)
LOCAL_WEBHOOKS_META = Meta(
    description="Webhook endpoints may be on this machine, over http too, for trials; off: https "
    "and public addresses only"
)

STAND_IN_META = Meta(
    description="A stand-in for the providers in a private network, for trials, "
    "`http://simulator:8099`: accounts whose `api_base` leads there are served by it; empty: an "
    "`api_base` leads to this machine or to public addresses"
)

PUSH_HOSTS_META = Meta(
    description="Push services besides those of Chrome, Firefox, Edge and Safari, hosts by comma "
    "(`push.example.com`, `*.push.example.com`); for trials an origin on this machine, "
    "`http://127.0.0.1:9999`"
)


class IngestSettings(Settings, frozen=True, kw_only=True):
    """Webhooks in."""

    port: Annotated[int, Meta(ge=0, le=65535, description="Public port; 0: any free")] = 8080
    spool_dir: Annotated[
        str, Meta(description="Folder of the spool and the account cache; must be writable")
    ] = ".relaydesk/spool"
    spool_max_bytes: Annotated[
        int, Meta(ge=1 << 20, description="The spool refuses to grow beyond; then 503")
    ] = 512 * 1024 * 1024
    max_body_bytes: Annotated[
        int, Meta(ge=65536, le=16 << 20, description="Largest webhook body; above it 413")
    ] = 4 * 1024 * 1024
    publish_timeout_s: Annotated[
        float,
        Meta(gt=0, le=1.5, description="Seconds JetStream has to confirm before the spool is used"),
    ] = 0.7
    read_timeout_s: Annotated[
        float, Meta(gt=0, le=30, description="Seconds a client has to send its body")
    ] = 5.0
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Proxies whose X-Forwarded-For is believed, networks by comma; only limits "
            "on web visitors depend on it"
        ),
    ] = ""
    public_url: Annotated[str, PUBLIC_META] = ""


class RouterSettings(StoreSettings, frozen=True, kw_only=True):
    """Decisions."""


class NotifierSettings(StoreSettings, frozen=True, kw_only=True):
    """Messages out."""

    files_url: Annotated[str, FILES_META] = ""
    public_url: Annotated[str, PUBLIC_META] = ""
    media_max_bytes: Annotated[
        int, Meta(ge=1 << 20, le=1 << 30, description="Largest file fetched from a provider")
    ] = 100 * 1024 * 1024
    provider_timeout_s: Annotated[
        float, Meta(gt=0, le=120, description="Seconds a provider has to answer one call")
    ] = 10.0
    send_tries: Annotated[
        int, Meta(ge=1, le=20, description="Tries of a send that was provably not taken")
    ] = 5
    local_bots: Annotated[bool, LOCAL_BOTS_META] = False
    smtp_url: Annotated[
        str,
        Meta(
            description="Mail server: `smtp://user:password@host:587` (STARTTLS), "
            "`smtps://user:password@host:465` (TLS), `smtp+plain://127.0.0.1:25` (no encryption, "
            "this machine only); empty: no email",
            extra={"secret": True},
        ),
    ] = ""
    push_hosts: Annotated[str, PUSH_HOSTS_META] = ""
    mail_from: Annotated[
        str, Meta(description="Who mails are from, `Relaydesk <alerts@example.com>`")
    ] = ""
    smtp_timeout_s: Annotated[
        float, Meta(ge=1, le=600, description="Seconds the mail server has for each answer")
    ] = 60.0
    local_webhooks: Annotated[bool, LOCAL_WEBHOOKS_META] = False
    stand_in: Annotated[str, STAND_IN_META] = ""


class SchedulerSettings(StoreSettings, frozen=True, kw_only=True):
    """Later."""

    overdue_per_s: Annotated[
        float,
        Meta(
            ge=0,
            le=10_000,
            description="Most overdue timers of a kind that one scheduler acts on in a second, "
            "while it catches up; 0: no limit but what the routers bear",
        ),
    ] = 300.0
    watch_s: Annotated[
        float,
        Meta(
            ge=1,
            le=60,
            description="Seconds between two readings of the state that is told as metrics: "
            "sessions, streams, readers, accounts",
        ),
    ] = 15.0
    jetstream_limit_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Bytes that NATS may store (its `max_file`), for the metric alone, where "
            "our account there has no limit of its own; 0: not known",
        ),
    ] = 0


class DeskSettings(StoreSettings, frozen=True, kw_only=True):
    """People."""

    port: Annotated[int, Meta(ge=0, le=65535, description="Public port; 0: any free")] = 8080
    files_url: Annotated[str, FILES_META] = ""
    public_url: Annotated[str, PUBLIC_META] = ""
    upload_max_bytes: Annotated[
        int, Meta(ge=1 << 20, le=1 << 30, description="Largest file that people may upload")
    ] = 100 * 1024 * 1024
    session_ttl_s: Annotated[
        int, Meta(ge=300, description="Seconds a browser login lasts without use")
    ] = 12 * 3600
    secure_cookies: Annotated[
        bool, Meta(description="Send cookies over https only; off for local trials")
    ] = False
    push_hosts: Annotated[str, PUSH_HOSTS_META] = ""
    stand_in: Annotated[str, STAND_IN_META] = ""
    local_bots: Annotated[bool, LOCAL_BOTS_META] = False
    local_webhooks: Annotated[bool, LOCAL_WEBHOOKS_META] = False
    oidc_issuer: Annotated[
        str,
        Meta(
            description="Provider of OpenID Connect that agents may log in by, "
            "`https://login.example.com`; empty: none"
        ),
    ] = ""
    oidc_client_id: Annotated[str, Meta(description="Our client id at that provider")] = ""
    oidc_client_secret: Annotated[
        str,
        Meta(
            description="Our client secret there; empty: we are a public client",
            extra={"secret": True},
        ),
    ] = ""
    oidc_workspace: Annotated[str, Meta(description="Workspace that such logins lead to")] = ""
    oidc_domains: Annotated[
        str,
        Meta(
            description="Domains of addresses that may log in by it, by commas; empty: all that "
            "work here or are invited"
        ),
    ] = ""
    oidc_role: Annotated[
        str,
        Meta(
            pattern="^(|read_only|agent|lead)$",
            description="Role of those who are new here and log in by it; empty: only who works "
            "here or is invited may",
        ),
    ] = ""
    requests_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests to the API that an agent may make in a minute, and at once, at "
            "each replica; 0: any number",
        ),
    ] = 3000
    cors_origins: Annotated[
        str,
        Meta(
            description="Origins whose pages may call the API with a bearer token, by commas "
            "(`https://tools.example.com`); empty: none"
        ),
    ] = ""


SERVICES: Mapping[str, type[Settings]] = {
    "ingest": IngestSettings,
    "router": RouterSettings,
    "notifier": NotifierSettings,
    "scheduler": SchedulerSettings,
    "desk": DeskSettings,
}

COMMAND_NAMES = frozenset({"data_dir"})
"""Names that only the `relaydesk` command reads."""

S = TypeVar("S", bound=Settings)


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable, as `--settings` and docs/configuration.md show it."""

    name: str
    kind: str
    default: str
    meaning: str
    secret: bool
    services: tuple[str, ...]


def load(kind: type[S], environ: Mapping[str, str]) -> S:
    """Read the settings of one service.

    Raises:
        SettingsError: A variable is missing, unknown, or out of range; the text names it and says
            what is allowed, and never repeats a secret's value.
    """
    refuse_unknown(environ)
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = PREFIX + field.name.upper()
        if name in environ:
            values[field.name] = _convert(name, environ[name], hints[field.name])
        elif field.required:
            raise SettingsError(f"{name} is not set: {_meta(hints[field.name]).description}")
    return kind(**values)


def refuse_unknown(environ: Mapping[str, str]) -> None:
    """Stop at the first `RELAYDESK_*` name that no service knows.

    Raises:
        SettingsError: Names the variable.
    """
    known = {PREFIX + field.upper() for field in COMMAND_NAMES} | {v.name for v in variables()}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            raise SettingsError(f"{name} is not a setting; see `relaydesk serve --settings`")


def variables() -> tuple[Variable, ...]:
    """Return every variable of every service, by name."""
    found: dict[str, Variable] = {}
    for service, kind in SERVICES.items():
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            name = PREFIX + field.name.upper()
            before = found[name].services if name in found else ()
            meta = _meta(hints[field.name])
            found[name] = Variable(
                name=name,
                kind=get_args(hints[field.name])[0].__name__,
                default="required" if field.required else str(field.default),
                meaning=meta.description or "",
                secret=bool((meta.extra or {}).get("secret")),
                services=(*before, service),
            )
    return tuple(found[name] for name in sorted(found))


def describe(service: str, environ: Mapping[str, str]) -> str:
    """Return `--settings`: name, value, default and meaning, a line each; secrets are hidden.

    What is missing or wrong is said in its line, so the list is whole even before a first start.

    Raises:
        SettingsError: A name that no service knows.
    """
    refuse_unknown(environ)
    hints = get_type_hints(SERVICES[service], include_extras=True)
    lines = []
    for variable in variables():
        if service not in variable.services:
            continue
        hint = hints[variable.name.removeprefix(PREFIX).lower()]
        shown = _shown(variable, environ, hint)
        lines.append(f"{variable.name}={shown} (default {variable.default}): {variable.meaning}")
    return "\n".join(lines)


def _shown(variable: Variable, environ: Mapping[str, str], hint: Any) -> str:
    text = environ.get(variable.name)
    if text is None:
        return "(not set)" if variable.default == "required" else variable.default
    try:
        value = _convert(variable.name, text, hint)
    except SettingsError as error:
        return f"(wrong: {error.detail})"
    return "(hidden)" if variable.secret else str(value)


def _meta(hint: Any) -> Meta:
    return next(arg for arg in get_args(hint) if isinstance(arg, Meta))


def _convert(name: str, text: str, hint: Any) -> Any:
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError as error:
        secret = (_meta(hint).extra or {}).get("secret")
        reason = "it cannot be read" if secret else str(error)
        raise SettingsError(f"{name}: {reason}") from None
