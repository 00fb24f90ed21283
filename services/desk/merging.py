"""Making two contacts one, and undoing it, in steps that are safe to do again.

A record says what is to be done before anything is. Both contacts then name that record, the lower
id first, so that of merges that cross each other one waits; whoever meets an unfinished one
finishes it first. Contacts, identities and sessions are written under the guard of their revisions,
and once the source is marked the router tells what it hears of it to the other.
"""

from __future__ import annotations

from typing import NoReturn

import msgspec

from libs.common.contact_documents import ContactMerge
from libs.common.documents import CONTACTS, Contact
from libs.common.errors import StaleRevisionError
from libs.common.merged import HOPS, present
from libs.common.store.api import Where
from services.desk.api.problem import RefusalError
from services.desk.merge_moves import TRIES, Moves
from services.desk.merge_plan import (
    GIVEN,
    UNDO,
    both,
    filled_with,
    filling,
    given,
    held_by,
    marked,
    releasing,
    restored,
    untagged,
    without,
)
from services.desk.merge_records import MERGED, busy, merged_already, newest_of


class Merger(Moves):
    """Carries out what records say, for one workspace."""

    async def merge(self, record: ContactMerge) -> ContactMerge:
        """Carry out *record* to its end, wherever it stands.

        Raises:
            RefusalError: 409 `merged`, one of both is part of another by now; 409
                `changed_meanwhile`; 503, no router answers: a repeat goes on.
        """
        for _ in range(TRIES):
            try:
                if record.state == "begun":
                    record = await self._begin(record)
                if record.state == "planned":
                    record = await self._carry_out(record)
            except StaleRevisionError:  # somebody finishes the same
                record = await self._read(record.id)
                continue
            await self._release(record, ("", GIVEN))
            return record
        raise busy()

    async def unmerge(self, record: ContactMerge, by: str) -> ContactMerge:
        """Undo *record*, which is `merged`, wherever the undoing stands.

        Raises:
            RefusalError: See `merge`.
        """
        for _ in range(TRIES):
            try:
                if record.state == "merged":
                    at = self._now()
                    fields = {"undone_by": by, "undone_at": at}
                    record = await self._set(record, state="unmerging", **fields)
                if record.state == "unmerging":
                    record = await self._undo(record)
            except StaleRevisionError:
                record = await self._read(record.id)
                continue
            await self._release(record, (UNDO,))
            return record
        raise busy()

    async def finish(self, contact: Contact) -> None:
        """Finish what *contact* is in the middle of, if it is.

        Raises:
            RefusalError: See `merge`.
        """
        if not contact.merging:
            return
        record = await self._read(held_by(contact))
        if contact.merging.endswith(UNDO):
            await self.unmerge(record, record.undone_by)
            return
        try:
            await self.merge(record)
        except RefusalError as refusal:
            if refusal.code != MERGED:
                raise

    # --- the steps -----------------------------------------------------------------------------

    async def _begin(self, record: ContactMerge) -> ContactMerge:
        """Hold both contacts, mark the source, and note what the target gets.

        Raises:
            RefusalError: 409, one of both is part of another by now.
        """
        for id_ in sorted((record.source, record.target)):
            await self._hold(record, id_)
        source = await self._edit(record.source, marked(record))
        if source.merged_into != record.target:  # a channel told meanwhile who they are
            await self._refuse(record, source)
        target = await self._contact(record.target)
        plan = given(source, target)
        return await self._set(record, state="planned", source_tags=source.tags, given=plan)

    async def _carry_out(self, record: ContactMerge) -> ContactMerge:
        await self._give(record)
        record = await self._move(record)
        await self._audit(record, "contact.merge", record.by)
        return await self._set(record, state="merged")

    async def _undo(self, record: ContactMerge) -> ContactMerge:
        holders = await self._hold_for_undo(record)
        await self._take_back(record, holders)
        await self._edit(record.source, restored(record))
        for identity in await self._theirs(record):
            await self._hand(identity, record.source, holders)
            whose: Where = {"account": identity.account, "visitor": identity.visitor}
            await self._sessions(whose, "visitor", record.source, holders)
        await self._audit(record, "contact.unmerge", record.undone_by)
        return await self._set(record, state="undone")

    async def _hold(self, record: ContactMerge, id_: str) -> None:
        """Let the contact name *record*; what it is in the middle of is finished first.

        Raises:
            RefusalError: 409, it is part of another.
        """
        for _ in range(TRIES):
            contact = await self._contact(id_)
            if held_by(contact) == record.id:
                return
            if contact.merging:
                await self.finish(contact)
            elif contact.merged_into is not None:
                await self._refuse(record, contact)
            elif await self._is_held(contact, record.id):
                return
        raise busy()

    async def _refuse(self, record: ContactMerge, contact: Contact) -> NoReturn:
        """End *record*, of which nothing was done, as *contact* is part of another.

        Raises:
            RefusalError: 409.
        """
        await self._set(record, state="refused")
        await self._release(record, ("", GIVEN))
        raise merged_already(contact)

    async def _hold_for_undo(self, record: ContactMerge) -> tuple[str, ...]:
        """Hold the source and who has it now; return the target and those it was merged into.

        Raises:
            RefusalError: 409, others merge them all the time.
        """
        for _ in range(TRIES):
            holders = await self._holders(record)
            held = [
                await self._is_free_for(record, id_) for id_ in sorted((record.source, holders[-1]))
            ]
            if all(held) and await self._holders(record) == holders:
                return holders
            await self._release(record, (UNDO,), also=holders)
        raise busy()

    async def _is_free_for(self, record: ContactMerge, id_: str) -> bool:
        contact = await self._contact(id_)
        if contact.merging == record.id + UNDO:
            return True
        await self.finish(contact)
        contact = await self._contact(id_)
        return not contact.merging and await self._is_held(contact, record.id + UNDO)

    async def _is_held(self, contact: Contact, mark: str) -> bool:
        try:
            await self._store.replace(CONTACTS, msgspec.structs.replace(contact, merging=mark))
        except StaleRevisionError:
            return False
        return True

    async def _release(
        self, record: ContactMerge, marks: tuple[str, ...], also: tuple[str, ...] = ()
    ) -> None:
        """Let go of the contacts that are held for *record* with one of *marks*."""
        release = releasing(frozenset(record.id + mark for mark in marks))
        holders = await self._holders(record)
        others = dict.fromkeys((record.target, *holders, *also))
        for id_ in (*others, record.source):  # by the source a repeat finds what is left to do
            await self._edit(id_, release)

    # --- what is given, and taken back ---------------------------------------------------------

    async def _give(self, record: ContactMerge) -> None:
        """Give the target what it lacks, once; and take the tags off the source."""
        target = await self._edit(record.target, filling(record))
        now = await present(self._store, target)
        if now.id != target.id:  # a channel told meanwhile who they are
            await self._edit(now.id, lambda contact: filled_with(contact, record.given))
        await self._edit(record.source, untagged(record))

    async def _take_back(self, record: ContactMerge, holders: tuple[str, ...]) -> None:
        """Take from the target, and whomever that was merged into, what the source gave."""
        taken = record.given
        for id_ in holders:
            contact = await self._edit(id_, without(taken))
            if contact.merged_into is None:
                return
            following = await newest_of(self._store, self._workspace, id_)
            if following is None:
                return
            taken = both(taken, following.given)

    async def _holders(self, record: ContactMerge) -> tuple[str, ...]:
        """Return the target, and each that the one before was merged into."""
        found = [record.target]
        for _ in range(HOPS):
            contact = await self._store.get(CONTACTS, self._workspace, found[-1])
            if contact is None or contact.merged_into is None or contact.merged_into in found:
                break
            found.append(contact.merged_into)
        return tuple(found)
