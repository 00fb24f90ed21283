"""The durable consumers behind a stream's partitions: made, compared, rebuilt."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.options import Options
from libs.common.bus.ordered import from_place, from_time
from libs.common.bus.pull import GROUP
from libs.common.errors import BusUnavailableError, PermanentError

log = logging.getLogger(__name__)

_S = 1_000_000_000
_NOT_FOUND = 404
_CATCH_UP_S = 2.0
_UNPIN_TRIES = 3
_COMPARED = (
    "filter_subject",
    "ack_policy",
    "ack_wait",
    "max_ack_pending",
    "max_deliver",
    "priority_groups",
    "priority_policy",
    "priority_timeout",
)


class Durables:
    """The durable consumers of one `consume_…` call, by partition.

    Args:
        asker: For the management calls.
        stream: The stream's name.
        durable: The consumers are called `<durable>-<partition>`.
        filters: Subject filter of each partition.
        max_ack_pending: Unsettled deliveries that one consumer may have outside.
        options: Times.
    """

    def __init__(
        self,
        asker: Asker,
        stream: str,
        durable: str,
        filters: tuple[str, ...],
        max_ack_pending: int,
        options: Options,
    ) -> None:
        self._asker = asker
        self._stream = stream
        self._durable = durable
        self._filters = filters
        self._max_ack_pending = max_ack_pending
        self._options = options
        self._floors: dict[int, int] = {}

    def name(self, partition: int) -> str:
        """Return the consumer's name."""
        return f"{self._durable}-{partition}"

    def target(self, partition: int) -> str:
        """Return `<stream>.<consumer>`."""
        return f"{self._stream}.{self.name(partition)}"

    async def ensure_all(self) -> None:
        """Make what is missing, waiting while JetStream or the stream is not there.

        Raises:
            PermanentError: JetStream refuses the consumer for good.
        """
        while True:
            try:
                await self.check(set(range(len(self._filters))))
            except BusUnavailableError as error:
                log.warning("bus.consumers_wait", extra={"reason": error.detail})
            except ApiError as error:
                if error.status != _NOT_FOUND and error.status < 500:  # noqa: PLR2004 (HTTP's)
                    raise PermanentError(error.detail) from error
                log.warning("bus.consumers_wait", extra={"reason": error.detail})
            else:
                return
            await asyncio.sleep(0.5)

    async def check(self, partitions: set[int]) -> dict[int, int]:
        """Make, correct or rebuild these consumers; return how many messages wait for each.

        A consumer that claims to have settled more than the stream ever held stands before a
        restored older copy: it would skip as many new messages, so it is built anew. Repeats that
        follow from that are recognised by their ids.

        Raises:
            ApiError: No such stream, or refused.
            BusUnavailableError: No answer.
        """
        infos = dict(
            zip(partitions, await asyncio.gather(*(self._info(p) for p in partitions)), strict=True)
        )
        last = await self._last_sequence()
        return dict(
            zip(
                partitions,
                await asyncio.gather(*(self._mend(p, info, last) for p, info in infos.items())),
                strict=True,
            )
        )

    async def outside(self, partition: int) -> tuple[int, int]:
        """Return how many deliveries are unsettled, and the highest sequence ever delivered.

        Raises:
            ApiError: No such consumer, or refused.
            BusUnavailableError: No answer.
        """
        info = await self._asker.api(f"CONSUMER.INFO.{self.target(partition)}", timeout_s=1.0)
        return int(info["num_ack_pending"]), int(info["delivered"]["stream_seq"])

    async def _info(self, partition: int) -> dict[str, Any] | None:
        try:
            info: dict[str, Any] = await self._asker.api(f"CONSUMER.INFO.{self.target(partition)}")
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return None
        return info

    async def _mend(self, partition: int, info: dict[str, Any] | None, last: int) -> int:
        """Bring one consumer in order; *last* was asked for after *info*, so it is not behind."""
        if info is None:
            return await self._create(partition, last)
        floor = int(info["ack_floor"]["stream_seq"])
        if floor > last and await self._is_ahead(partition):
            return await self._rebuild(partition, floor, last)
        self._floors[partition] = floor
        await self._correct(partition, info["config"])
        return int(info["num_pending"])

    async def _last_sequence(self) -> int:
        stream = await self._asker.api(f"STREAM.INFO.{self._stream}")
        return int(stream["state"]["last_seq"])

    async def _is_ahead(self, partition: int) -> bool:
        """Ask again: a stream's new leader may just have to catch up."""
        await asyncio.sleep(_CATCH_UP_S)
        info = await self._info(partition)
        last = await self._last_sequence()
        return info is not None and int(info["ack_floor"]["stream_seq"]) > last

    async def _rebuild(self, partition: int, floor: int, last: int) -> int:
        where = self.target(partition)
        log.error(
            "bus.consumer_rebuilt", extra={"consumer": where, "ack_floor": floor, "last": last}
        )
        self._floors.pop(partition, None)
        await self._asker.api(f"CONSUMER.DELETE.{where}")
        return await self._create(partition, last)

    async def _create(self, partition: int, last: int) -> int:
        """Make it anew, behind what we know to be settled if we have seen it before."""
        config = self._config(partition)
        floor = self._floors.get(partition, 0)
        if floor:
            log.error("bus.consumer_missing", extra={"consumer": self.target(partition)})
        begins = floor or self._options.after
        if 0 < begins <= last:
            config |= from_place(begins + 1)
        elif not begins and self._options.since is not None:
            config |= from_time(self._options.since)
        return await self._save(partition, config)

    async def _save(self, partition: int, config: dict[str, Any]) -> int:
        where = f"CONSUMER.CREATE.{self.target(partition)}.{config['filter_subject']}"
        answer = await self._asker.api(where, {"stream_name": self._stream, "config": config})
        return int(answer.get("num_pending", 0))

    async def _correct(self, partition: int, present: dict[str, Any]) -> None:
        wanted = self._config(partition)
        changes = {
            name: (present.get(name), wanted[name])
            for name in _COMPARED
            if name in wanted and present.get(name) != wanted[name]
        }
        if not changes:
            return
        where = self.target(partition)
        log.warning("bus.consumer_drift", extra={"consumer": where, "changes": str(changes)})
        await self._save(partition, present | {name: wanted[name] for name in changes})

    def _config(self, partition: int) -> dict[str, Any]:
        name = self.name(partition)
        config = {
            "name": name,
            "durable_name": name,
            "filter_subject": self._filters[partition],
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_policy": "explicit",
            "ack_wait": int(self._options.ack_wait_s * _S),
            "max_ack_pending": self._max_ack_pending,
            "max_deliver": -1,
        }
        if self._options.shared:
            return config
        return config | {
            "priority_groups": [GROUP],
            "priority_policy": "pinned_client",
            "priority_timeout": int(self._options.pin_ttl_s * _S),
        }

    async def unpin(self, partition: int) -> None:
        """Let the next waiting replica have the partition at once.

        Where the server does not say so in time it is asked again: else the partition would wait
        until the pin lapses.
        """
        for _ in range(_UNPIN_TRIES):
            try:
                await self._asker.api(
                    f"CONSUMER.UNPIN.{self.target(partition)}", {"group": GROUP}, timeout_s=1.0
                )
            except (ApiError, BusUnavailableError) as error:
                log.warning(
                    "bus.unpin_failed",
                    extra={"consumer": self.target(partition), "reason": error.detail},
                )
                if isinstance(error, ApiError):
                    return
            else:
                return
