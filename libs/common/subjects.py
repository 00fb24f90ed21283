"""Every stream, bucket and subject name, with its retention, in one table."""

from __future__ import annotations

import msgspec

from libs.common.ids import PARTITIONS, partition_of

DAY_S = 24 * 3600


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream as we want it: file storage, limits retention, discard old.

    `duplicate_window_s` is how long JetStream itself drops a repeated message id; the unique
    index in the store holds for longer.
    """

    name: str
    subjects: tuple[str, ...]
    max_age_s: int = 7 * DAY_S
    max_bytes: int = -1
    duplicate_window_s: int = 600
    schedules: bool = False


INBOUND = Stream(name="INBOUND", subjects=("in.*.*.*.*",))
WEBHOOKS = Stream(name="WEBHOOKS", subjects=("raw.*.*.*",), max_bytes=4 * 1024**3)
EVENTS = Stream(name="EVENTS", subjects=("ev.>",))
OUTBOUND = Stream(name="OUTBOUND", subjects=("out.*.*.*",))
VISITORS = Stream(name="VISITORS", subjects=("visitor.*.*.*",))
"""What the web plugin shows its visitors, so that a reconnect resumes; not in the first table."""
TIMERS = Stream(name="TIMERS", subjects=("timer.>", "due.*.*.*"), max_age_s=0, schedules=True)
ALERTS = Stream(name="ALERTS", subjects=("alert.*.*.*",), max_age_s=3 * DAY_S)
"""What agents are told, as `alert.<sink>.<workspace>.<agent>`: each sink reads its own."""
HISTORY = Stream(name="HISTORY", subjects=("was.*.*",))
"""What sessions became by decisions and commands, as `was.<workspace>.<session>`: for replay."""
DEAD = Stream(name="DEAD", subjects=("dead.>",), max_age_s=30 * DAY_S)

STREAMS = (INBOUND, WEBHOOKS, EVENTS, OUTBOUND, VISITORS, TIMERS, ALERTS, HISTORY, DEAD)


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A key-value bucket; `ttl_s` 0 keeps entries for ever."""

    name: str
    ttl_s: int = 0


ACCOUNTS_KV = Bucket(name="accounts")
"""Key `<slug>`: the account with sealed secrets, as `directory.AccountEntry`."""
PRESENCE_KV = Bucket(name="presence", ttl_s=60)
"""Key `<workspace>.<agent>`: the agent's `policy.Present`."""
TOKENS_KV = Bucket(name="tokens")
"""Key `<account>`: a fetched provider token, sealed, and the lease of its one fetcher."""

HEALTH_KV = Bucket(name="health", ttl_s=8 * DAY_S)
"""Key `<account>.<service>.<replica>`: what that process has seen of the account, see `health`."""

RHYTHM_KV = Bucket(name="rhythm")
"""Key `<account>`: when its webhooks come as a rule, see `rhythm`."""

POLICY_KV = Bucket(name="policy")
"""Key `<workspace>`: the workspace's `policy.Policy`."""

PREFERENCES_KV = Bucket(name="preferences")
"""Key `<workspace>.<agent>`: the agent's `alerts.Preferences`; the store is the record."""

ERASED_KV = Bucket(name="erased", ttl_s=35 * DAY_S)
"""Key: a keyed hash of an erased visitor; their `erased.Tombstone`. Longer than DEAD keeps."""

BUCKETS = (
    POLICY_KV,
    ACCOUNTS_KV,
    PRESENCE_KV,
    TOKENS_KV,
    HEALTH_KV,
    RHYTHM_KV,
    PREFERENCES_KV,
    ERASED_KV,
)


def inbound(workspace: str, channel: str, account: str, visitor: str) -> str:
    """Return the subject of one normalised event."""
    partition = partition_of(workspace, account, visitor)
    return f"in.{partition}.{workspace}.{channel}.{account}"


def raw(workspace: str, channel: str, account: str) -> str:
    """Return the subject of an accepted raw webhook body."""
    return f"raw.{workspace}.{channel}.{account}"


def outbound(workspace: str, account: str, visitor: str, session: str) -> str:
    """Return the subject of a message to send; partitioned like its conversation."""
    return f"out.{partition_of(workspace, account, visitor)}.{account}.{session}"


def fact(workspace: str, kind: str, session: str) -> str:
    """Return the subject of a fact on EVENTS; *kind* is a `FactType` (its dot is a token break)."""
    return f"ev.{workspace}.{kind}.{session}"


def was(workspace: str, session: str) -> str:
    """Return the subject of what a session became."""
    return f"was.{workspace}.{session}"


def alert(sink: str, workspace: str, agent: str) -> str:
    """Return the subject of an alert by one sink; *agent* or `*`."""
    return f"alert.{sink}.{workspace}.{agent}"


def visitor(workspace: str, account: str, visitor_token: str) -> str:
    """Return the subject of what a web visitor sees; *visitor_token* is a derived id."""
    return f"visitor.{workspace}.{account}.{visitor_token}"


def signal(workspace: str, account: str) -> str:
    """Return the core subject of typing and reading shown to visitors; nothing is stored."""
    return f"signal.{workspace}.{account}"


SIGNALS = "signal.*.*"


def visitor_signs(workspace: str, account: str) -> str:
    """Return the core subject on which visitors' signs of life are told; nothing is stored."""
    return f"rt.{workspace}.visitor.{account}"


VISITOR_SIGNS = "rt.*.visitor.*"


def timer(kind: str, key: str) -> str:
    """Return the subject of what is due later; one of each, so that arming again replaces it."""
    return f"timer.{kind}.{key}"


def due(partition: int, kind: str, key: str) -> str:
    """Return the subject under which what was armed comes when it is due."""
    return f"due.{partition}.{kind}.{key}"


def dues(kind: str) -> str:
    """Return the subjects under which timers of *kind* come when they are due; on TIMERS."""
    return f"due.*.{kind}.*"


def command(partition: int, workspace: str, verb: str) -> str:
    """Return the request subject of a command."""
    return f"cmd.{partition}.{workspace}.{verb}"


COMMANDS = "cmd.*.*.*"


def wake(workspace: str) -> str:
    """Return the core subject on which routers are told to look at the workspace's queue."""
    return f"svc.assign.{workspace}"


WAKES = "svc.assign.*"


def partition_filter(stream: Stream, partition: int) -> str:
    """Return the subject filter of one partition's consumer.

    Raises:
        ValueError: The partition is out of range.
    """
    if not 0 <= partition < PARTITIONS:
        raise ValueError(f"partition {partition} is not in 0..{PARTITIONS - 1}")
    first, _, rest = stream.subjects[0].partition(".*")
    return f"{first}.{partition}{rest}"


def dead(service: str, subject: str) -> str:
    """Return the subject under which *service* buries a message from *subject*."""
    return f"dead.{service}.{subject}"
