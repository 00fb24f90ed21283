"""Giving messages the words that search finds them by, without holding up the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from libs.common.documents import Message
from libs.common.said import words_said

WITHOUT_REST_S = 0.02


async def find_by_words(entries: Iterable[Message]) -> None:
    """Set `words` of each; a batch of the longest texts would take seconds at a stretch."""
    began = time.perf_counter()
    for entry in entries:
        entry.words = words_said(entry)
        if time.perf_counter() - began > WITHOUT_REST_S:
            await asyncio.sleep(0)
            began = time.perf_counter()
