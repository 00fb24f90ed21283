"""Streams and buckets: created when missing, compared when present, recreated at run time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from libs.common.bus.ask import ApiError, Asker
from libs.common.errors import BusUnavailableError, PermanentError
from libs.common.ids import PARTITIONS
from libs.common.subjects import Bucket, Stream

log = logging.getLogger(__name__)

CHECK_EVERY_S = 10.0
_S = 1_000_000_000
_NOT_FOUND = 404
_NO_STORAGE = 10047
_MIN_BYTES = 64 * 1024**2
_COMPARED = (
    "subjects",
    "max_age",
    "max_bytes",
    "duplicate_window",
    "max_msgs_per_subject",
    "discard",
    "allow_direct",
    "allow_msg_ttl",
    "allow_msg_schedules",
    "subject_delete_marker_ttl",
)


def stream_config(stream: Stream, replicas: int) -> dict[str, Any]:
    """Return the stream as JetStream's API wants it."""
    config: dict[str, Any] = {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": stream.max_age_s * _S,
        "max_bytes": stream.max_bytes,
        "max_msgs": -1,
        "max_msg_size": -1,
        "max_msgs_per_subject": -1,
        "max_consumers": -1,
        "duplicate_window": stream.duplicate_window_s * _S,
        "num_replicas": replicas,
        "allow_direct": True,
        "metadata": {"relaydesk.partitions": str(PARTITIONS)},
    }
    if stream.schedules:
        config |= {"allow_msg_schedules": True, "allow_msg_ttl": True, "allow_rollup_hdrs": True}
    return config


def bucket_config(bucket: Bucket, replicas: int) -> dict[str, Any]:
    """Return the stream behind a key-value bucket, as every NATS client lays it out.

    Entries of a bucket with a time to live leave a marker when they expire, so that watchers see
    it (server 2.11).
    """
    config: dict[str, Any] = {
        "name": f"KV_{bucket.name}",
        "subjects": [f"$KV.{bucket.name}.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_age": bucket.ttl_s * _S,
        "max_bytes": -1,
        "max_msgs": -1,
        "max_msg_size": -1,
        "max_msgs_per_subject": 1,
        "max_consumers": -1,
        "duplicate_window": min(bucket.ttl_s or 120, 120) * _S,
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "allow_msg_ttl": True,
        "deny_delete": True,
    }
    if bucket.ttl_s:
        config["subject_delete_marker_ttl"] = bucket.ttl_s * _S
    return config


def drift(wanted: dict[str, Any], present: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs as name -> (present, wanted); an absent switch counts as off."""
    found = {}
    for name in _COMPARED:
        is_now, shall_be = present.get(name) or None, wanted.get(name) or None
        if is_now != shall_be:
            found[name] = (is_now, shall_be)
    if wanted["num_replicas"] > present.get("num_replicas", 1):
        found["num_replicas"] = (present.get("num_replicas", 1), wanted["num_replicas"])
    return found


class Provisioner:
    """Keeps streams and buckets as declared.

    Differences are corrected once, at the start, and logged as warnings; fewer replicas than
    present are never asked for, and a stream that was deleted comes back within 10 s.
    """

    def __init__(self, asker: Asker, declared: Iterable[Stream | Bucket], replicas: int) -> None:
        self._asker = asker
        configs = [
            bucket_config(item, replicas)
            if isinstance(item, Bucket)
            else stream_config(item, replicas)
            for item in declared
        ]
        self._wanted = {config["name"]: config for config in configs}
        self._look_now = asyncio.Event()

    def look_now(self) -> None:
        """Check soon instead of at the next round: somebody met a missing stream."""
        self._look_now.set()

    async def ensure(self) -> None:
        """Create and correct everything, repeating while JetStream is not there yet.

        Raises:
            PermanentError: JetStream refuses a stream for good.
        """
        for config in self._wanted.values():
            await self._until_done(config)

    async def _until_done(self, config: dict[str, Any]) -> None:
        while True:
            try:
                await self._ensure_one(config)
            except BusUnavailableError as error:
                log.warning("bus.provision_waits", extra={"reason": error.detail})
                await asyncio.sleep(0.5)
            except ApiError as error:
                if error.status < 500:  # noqa: PLR2004 (the API speaks in HTTP's classes)
                    raise PermanentError(f"{config['name']}: {error.detail}") from error
                log.warning("bus.provision_waits", extra={"reason": error.detail})
                await asyncio.sleep(1.0)
            else:
                return

    async def _ensure_one(self, config: dict[str, Any]) -> None:
        name = config["name"]
        try:
            present = await self._asker.api(f"STREAM.INFO.{name}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            await self._create(config)
            return
        changes = drift(config, present["config"])
        if changes:
            log.warning("bus.stream_drift", extra={"stream": name, "changes": str(changes)})
            await self._update(config, present["config"], changes)

    async def _create(self, config: dict[str, Any]) -> None:
        """Create; where the disk cannot hold the size limit, halve the limit until it fits."""
        config = dict(config)
        while True:
            try:
                await self._asker.api(f"STREAM.CREATE.{config['name']}", config)
            except ApiError as error:
                if error.err_code != _NO_STORAGE or config["max_bytes"] < _MIN_BYTES:
                    raise
                config["max_bytes"] //= 2
                log.warning(
                    "bus.stream_limit_lowered",
                    extra={"stream": config["name"], "max_bytes": config["max_bytes"]},
                )
            else:
                log.info("bus.stream_created", extra={"stream": config["name"]})
                return

    async def _update(
        self, config: dict[str, Any], present: dict[str, Any], changes: dict[str, tuple[Any, Any]]
    ) -> None:
        target = present | {name: config.get(name) for name in changes}
        try:
            await self._asker.api(f"STREAM.UPDATE.{config['name']}", target)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                raise
            log.error(  # noqa: TRY400 (the reason says it all)
                "bus.stream_drift_remains",
                extra={"stream": config["name"], "reason": error.detail, "changes": str(changes)},
            )

    async def keep(self) -> None:
        """Recreate what was deleted, for ever; run as a task."""
        while True:
            self._look_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._look_now.wait()
            try:
                await self._recreate_missing()
            except (ApiError, BusUnavailableError) as error:
                log.warning("bus.provision_failed", extra={"reason": error.detail})
                await asyncio.sleep(1.0)

    async def _recreate_missing(self) -> None:
        present: set[str] = set()
        total = 1
        while len(present) < total:
            page = await self._asker.api("STREAM.NAMES", {"offset": len(present)})
            total = page["total"]
            present.update(page["streams"] or ())
            if not page["streams"]:
                break
        for name in self._wanted.keys() - present:
            log.error("bus.stream_missing", extra={"stream": name})
            await self._create(self._wanted[name])
