"""The bots of each workspace, as the store has them, loaded anew where the policy names another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from libs.common.attached import part_of
from libs.common.bots.faq_index import index_of
from libs.common.documents import ATTACHMENTS, BOTS, Attachment, Bot
from libs.common.events import MediaPart
from libs.common.policy import BotRef, Policy
from libs.common.store.api import Store

_FEW = 50
"""Entries that are sorted in no time."""

NO_BOTS: Mapping[str, Bot] = MappingProxyType({})


class _Loaded(NamedTuple):
    """A bot as it was when the policy named its revision `rev`; None: it is not there."""

    rev: int
    bot: Bot | None


class _Seen(NamedTuple):
    policy: Policy
    bots: Mapping[str, Bot]


class Bots:
    """Remembers bots by (workspace, id) and the revision that the policy names."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: dict[str, Mapping[str, _Loaded]] = {}
        self._seen: dict[str, _Seen] = {}

    async def of(self, workspace: str, policy: Policy) -> Mapping[str, Bot]:
        """Return the enabled bots of *policy* by id, in its order; what is not stored is left out.

        Looks at the store only for bots that are new or have another revision.

        Raises:
            StoreUnavailableError: The store is away, and a bot is not known yet.
        """
        if not policy.bots:
            self._seen.pop(workspace, None)
            self._loaded.pop(workspace, None)
            return NO_BOTS
        seen = self._seen.get(workspace)
        if seen is not None and seen.policy is policy:
            return seen.bots
        refs = [ref for ref in policy.bots if ref.enabled]
        before = self._loaded.get(workspace, {})
        known = {ref.id: before[ref.id] for ref in refs if _is_known(before, ref)}
        known |= await self._load(workspace, [ref for ref in refs if ref.id not in known])
        found = ((ref.id, known[ref.id].bot) for ref in refs)
        bots = {id_: bot for id_, bot in found if bot is not None and bot.enabled}
        self._loaded[workspace] = known
        self._seen[workspace] = _Seen(policy, MappingProxyType(bots))
        return self._seen[workspace].bots

    async def _load(self, workspace: str, refs: Sequence[BotRef]) -> dict[str, _Loaded]:
        if not refs:
            return {}
        bots = await self._store.get_many(BOTS, workspace, [ref.id for ref in refs])
        wanted = {id_ for bot in bots.values() for entry in bot.faq for id_ in entry.attachments}
        files: Mapping[str, Attachment] = {}
        if wanted:
            files = await self._store.get_many(ATTACHMENTS, workspace, sorted(wanted))
        loaded = {}
        for ref in refs:
            bot = bots.get(ref.id)
            whole = bot and msgspec.structs.replace(bot, files=_parts(bot, files))
            loaded[ref.id] = _Loaded(ref.rev, whole)
            if bot is not None and len(bot.faq) > _FEW:
                await asyncio.to_thread(index_of, bot.faq)  # some 100 ms, else at the first message
        return loaded


def _is_known(loaded: Mapping[str, _Loaded], ref: BotRef) -> bool:
    return ref.id in loaded and loaded[ref.id].rev == ref.rev


def _parts(bot: Bot, files: Mapping[str, Attachment]) -> dict[str, MediaPart]:
    """Return the stored files that the bot's answers name, as they are sent."""
    named = [files[i] for entry in bot.faq for i in entry.attachments if i in files]
    return {file.id: part_of(file) for file in named if file.state == "stored"}
