"""Store the figures of sessions that have ended, once each whatever is repeated.

The router does it, as part of emptying its outbox, and not a consumer of the facts: the write that
ends a session holds all that is counted, so nothing is read again, and what a crash leaves is found
by the same sweep as everything else. The id is the session's, and a later revision alone overwrites
an earlier one, so that a late repeat of an old drain changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from libs.common.documents import Session
from libs.common.errors import RetryableError
from libs.common.figures import FIGURES, SessionFigures
from libs.common.figures_of import figures_of
from libs.common.store.api import Store

ROUNDS = 8


class FiguresRacedError(RetryableError):
    """Others wrote the same figures all the time; the sweep tries again."""

    code = "figures_raced"


async def store_figures(store: Store, sessions: Sequence[Session]) -> None:
    """Store the figures of those of *sessions* whose outbox asks for it.

    Raises:
        StoreUnavailableError: The store is away; a repeat is exact.
        FiguresRacedError: Too many races were lost; likewise.
    """
    due: defaultdict[str, dict[str, SessionFigures]] = defaultdict(dict)
    for session in sessions:
        if session.reckons:
            due[session.workspace][session.id] = figures_of(session)
    for workspace, figures in due.items():
        await _store(store, workspace, figures)


async def _store(store: Store, workspace: str, figures: dict[str, SessionFigures]) -> None:
    for _ in range(ROUNDS):
        refused = await store.insert_many(FIGURES, list(figures.values()))
        if not refused:
            return
        known = await store.get_many(FIGURES, workspace, sorted(refused))
        newer = [
            msgspec.structs.replace(figures[id_], rev=before.rev)
            for id_, before in known.items()
            if before.of < figures[id_].of
        ]
        raced = await store.replace_many(FIGURES, newer) if newer else {}
        figures = {id_: figures[id_] for id_ in refused if id_ in raced or id_ not in known}
        if not figures:
            return
    raise FiguresRacedError("others write these figures")
