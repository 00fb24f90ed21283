"""Importing contacts: rows in batches, each planned, counted, and then written.

A batch is counted before it is written. Whoever resumes after a crash writes it again without
counting; a contact that is new gets an id that follows from its key, so that nobody is made twice.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Literal, TypeVar

import msgspec

from libs.common.documents import CONTACTS, Contact
from libs.common.errors import CommandError, InvalidInputError
from libs.common.ids import derive_id
from libs.common.jobs import Counts, RefusedRow
from libs.common.store.api import In, Page, cursor
from libs.common.workbook import Row
from services.desk.contact_defined import defined_fields
from services.desk.contact_list import identities_of
from services.desk.contact_sheet import (
    Key,
    Plan,
    Wanted,
    columns_of,
    edited,
    faults,
    made,
    wanted,
)
from services.desk.jobs import Work
from services.desk.tagging import all_tags

T = TypeVar("T")

ROWS_AT_ONCE = 400
CHARS_AT_ONCE = 500_000
TURN = 40
"""Rows that are looked at without a pause."""
TRIES = 6
SAME_KEY = 4
"""Contacts that were once made for the same key, and had it changed since."""
_PAGE = 1000
_INDEX = {"email": ("email", "email_key"), "phone": ("phone", "phone_key"), "ref": ("ref", "ref")}


class ImportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What an import is to do, see `contact_sheet.Plan`; `renamed` is (column, meaning)."""

    key: Key = "email"
    on_blank: Literal["keep", "clear"] = "keep"
    renamed: tuple[Annotated[tuple[str, str], "column, meaning"], ...] = ()
    add: tuple[str, ...] = ()


Outcome = Literal["created", "updated", "unchanged", "failed"]


async def run(work: Work) -> None:
    """Do an import, or what is left of it.

    Raises:
        CommandError: The file cannot be read, or a column is not known.
        JobStoppedError: It is not ours any more.
    """
    order = work.order(ImportOrder)
    if work.job.counts.total is None:
        await _look_through(work)
    async with work.rows(csv=True) as rows:
        head = await anext(rows, Row(0, ()))
        plan = await plan_of(work, order, head.cells)
        passage = Passage(work, plan)
        async for batch in _batches(rows):
            await passage.take(batch)
        await passage.end()


async def _look_through(work: Work) -> None:
    """Count the rows: a file that cannot be read to its end changes nothing."""
    total = 0
    async with work.rows(csv=True) as rows:
        head = await anext(rows, None)
        if head is None:
            raise InvalidInputError("file: there is no row in it.", field="file", allowed="rows")
        await plan_of(work, work.order(ImportOrder), head.cells)
        async for _ in rows:
            total += 1
    columns = tuple(cell[:100] for cell in head.cells)
    await work.report(Counts(total=total), columns=columns)


async def plan_of(work: Work, order: ImportOrder, head: Sequence[str]) -> Plan:
    """Return how the rows below *head* are to be understood.

    Raises:
        InvalidInputError: A column is not known, or that of the key is missing.
    """
    store = work.desk.store.port
    defined = {field.name: field for field in await defined_fields(store, work.workspace)}
    columns = columns_of(head, dict(order.renamed), defined)
    if order.key not in columns:
        raise InvalidInputError(
            f"key: there is no column {order.key}, by which contacts are to be found.",
            field="key",
            allowed="email, phone or ref, whichever the file has",
        )
    return Plan(
        columns=columns,
        key=order.key,
        clear=order.on_blank == "clear",
        tags={tag.name_key: tag.id for tag in await all_tags(store, work.workspace)},
        add=order.add,
        defined=defined,
        agent=work.job.agent,
    )


async def _batches(rows: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    batch: list[Row] = []
    chars = 0
    async for row in rows:
        batch.append(row)
        chars += sum(map(len, row.cells))
        if len(batch) >= ROWS_AT_ONCE or chars >= CHARS_AT_ONCE:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


async def _paced(rows: Sequence[T]) -> AsyncIterator[T]:
    """Yield the rows, and let others work now and again."""
    for place, row in enumerate(rows):
        if not place % TURN:
            await asyncio.sleep(0)
        yield row


class Passage:
    """The way of the rows through a job: which are done, and what was seen on it."""

    def __init__(self, work: Work, plan: Plan) -> None:
        self._work = work
        self._plan = plan
        self._writer = Writer(work, plan)
        self._counts = work.job.counts
        begun, _, ahead = work.job.cursor.partition(":")
        self._begun, self._ahead = int(begun or 0), int(ahead or 0)
        self._seen: dict[int, int] = {}
        self._late: list[RefusedRow] = []

    async def take(self, batch: Sequence[Row]) -> None:
        """Import a batch, as far as that was not done before a crash.

        Raises:
            JobStoppedError: The job is not ours any more.
        """
        read = [
            self._once(wanted(row.number, row.cells, self._plan)) async for row in _paced(batch)
        ]
        again = [row for row in read if self._begun <= row.number < self._ahead]
        if again and not self._work.job.dry_run:  # counted, and perhaps not written
            await self._writer.write(again)
        fresh = [row for row in read if row.number >= self._ahead]
        if fresh:
            await self._count(fresh)

    async def _count(self, rows: Sequence[Wanted]) -> None:
        planned = await self._writer.plan(rows)
        before = self._counts
        ahead = f"{rows[0].number}:{rows[-1].number + 1}"
        refused, self._late = [*self._late, *planned.refused], []
        await self._work.report(_added(before, planned.outcomes), ahead, refused)
        outcomes = planned.outcomes
        if not self._work.job.dry_run:
            found = await self._writer.write(rows, planned)
            outcomes = {**outcomes, **found.outcomes}
            known = {row.number for row in refused}
            self._late = [row for row in found.refused if row.number not in known]
        self._counts = _added(before, outcomes)

    async def end(self) -> None:
        """Say that all rows are through.

        Raises:
            JobStoppedError: The job is not ours any more.
        """
        await self._work.report(self._counts, self._work.job.cursor, self._late)

    def _once(self, row: Wanted) -> Wanted:
        """Refuse a row whose key, or reference, an earlier row of the file had."""
        wrong = dict(row.wrong)
        for column, value in ((self._plan.key, row.key), ("ref", _ref(row))):
            if not value:
                continue
            mark = int.from_bytes(blake2b(f"{column}|{value}".encode(), digest_size=8).digest())
            first = self._seen.setdefault(mark, row.number)
            if first != row.number:
                wrong[column] = f"row {first} has the same"
        return row if wrong == row.wrong else msgspec.structs.replace(row, wrong=wrong, key="")


def _added(counts: Counts, outcomes: dict[int, Outcome]) -> Counts:
    found: dict[str, int] = defaultdict(int)
    for outcome in outcomes.values():
        found[outcome] += 1
    sums = {name: getattr(counts, name) + number for name, number in found.items()}
    return msgspec.structs.replace(counts, done=counts.done + len(outcomes), **sums)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of rows: outcomes by row number, and the contacts to write, by row number."""

    outcomes: dict[int, Outcome] = {}
    refused: tuple[RefusedRow, ...] = ()
    new: dict[int, Contact] = {}
    changed: dict[int, Contact] = {}


class Writer:
    """Plans and writes rows; whoever changes a contact at the same time is never overwritten."""

    def __init__(self, work: Work, plan: Plan) -> None:
        self._work = work
        self._plan = plan
        self._store = work.desk.store.port

    async def plan(self, rows: Sequence[Wanted]) -> Planned:
        """Return what becomes of the rows as the contacts are now."""
        found = await self._found(rows)
        holders = await self._holders(rows)
        ids = await self._free_ids([row for row in rows if row.key and not found.get(row.key)])
        outcomes: dict[int, Outcome] = {}
        refused: list[RefusedRow] = []
        new: dict[int, Contact] = {}
        changed: dict[int, Contact] = {}
        async for row in _paced(rows):
            try:
                before = self._one(found.get(row.key, []) if row.key else [])
                _check(row, before, holders)
                if before is None:
                    new[row.number] = self._made(row, ids[row.key])
                    outcomes[row.number] = "created"
                    continue
                after = edited(before, row, self._plan.agent)
                outcomes[row.number] = "unchanged" if after == before else "updated"
                if after != before:
                    changed[row.number] = after
            except RowRefusedError as error:
                outcomes[row.number] = "failed"
                refused.append(_refusal(row, error.field, error.reason))
            except InvalidInputError as error:
                outcomes[row.number] = "failed"
                refused.append(_refusal(row, error.facts.get("field", ""), error.detail))
        return Planned(outcomes=outcomes, refused=tuple(refused), new=new, changed=changed)

    async def write(self, rows: Sequence[Wanted], planned: Planned | None = None) -> Planned:
        """Write the rows; return what became of those that went otherwise than planned.

        Whom others wrote since they were read is read again.
        """
        by_number = {row.number: row for row in rows}
        outcomes: dict[int, Outcome] = {}
        refused: list[RefusedRow] = []
        left: Sequence[Wanted] = rows
        for _ in range(TRIES):
            planned = planned or await self.plan(left)
            outcomes |= planned.outcomes
            refused += planned.refused
            left = [by_number[number] for number in await self._written(planned)]
            if not left:
                break
            planned = None
        for row in left:
            outcomes[row.number] = "failed"
            refused.append(_refusal(row, "", "others change this contact all the time"))
        return Planned(outcomes=outcomes, refused=tuple(refused))

    async def _written(self, planned: Planned) -> list[int]:
        """Write; return the rows that were not written, as somebody else wrote first."""
        left: list[int] = []
        if planned.new:
            lost = await self._store.insert_many(CONTACTS, list(planned.new.values()))
            left += [number for number, one in planned.new.items() if one.id in lost]
        if planned.changed:
            lost = await self._store.replace_many(CONTACTS, list(planned.changed.values()))
            left += [number for number, one in planned.changed.items() if one.id in lost]
        return left

    def _made(self, row: Wanted, contact_id: str) -> Contact:
        at: datetime = self._work.job.created_at
        return made(row, contact_id, self._work.workspace, at, self._plan.agent)

    def _one(self, found: Sequence[tuple[Contact, bool]]) -> Contact | None:
        if len(found) > 1:
            raise RowRefusedError(
                self._plan.key, f"{len(found)} contacts have it: merge them, or find them otherwise"
            )
        if found and not found[0][1]:
            raise RowRefusedError(self._plan.key, "you may not change the contact that has it")
        return found[0][0] if found else None

    async def _found(self, rows: Sequence[Wanted]) -> dict[str, list[tuple[Contact, bool]]]:
        """Return the contacts by key, and whether the agent sees them."""
        order, field = _INDEX[self._plan.key]
        keys = [row.key for row in rows if row.key]
        contacts = await self._with(order, field, keys)
        scope = self._work.scope
        seen = dict.fromkeys((one.id for one in contacts), True)
        if not scope.whole:
            known = await identities_of(self._store, self._work.workspace, contacts)
            seen = {
                one: scope.contact([(i.channel, i.account) for i in known.get(one, ())])
                for one in seen
            }
        by_key: dict[str, list[tuple[Contact, bool]]] = defaultdict(list)
        for one in contacts:
            by_key[getattr(one, field)].append((one, seen[one.id]))
        return by_key

    async def _holders(self, rows: Sequence[Wanted]) -> dict[str, str]:
        """Return who has the references that rows want, where contacts are found otherwise."""
        refs = [ref for row in rows if (ref := _ref(row))]
        if self._plan.key == "ref" or not refs:
            return {}
        return {one.ref or "": one.id for one in await self._with("ref", "ref", refs)}

    async def _with(self, order: str, field: str, keys: Iterable[str]) -> list[Contact]:
        found: list[Contact] = []
        wanted_keys = tuple(dict.fromkeys(keys))
        page = Page(order=order, limit=_PAGE)
        while wanted_keys:
            rows = await self._store.find(
                CONTACTS, self._work.workspace, {field: In(wanted_keys)}, page
            )
            found += [one for one in rows if one.merged_into is None]
            if len(rows) < _PAGE:
                break
            page = msgspec.structs.replace(page, after=cursor(CONTACTS, order, rows[-1]))
        return found

    async def _free_ids(self, rows: Sequence[Wanted]) -> dict[str, str]:
        """Return the first id of each key that no contact has."""
        ids = {
            row.key: [
                derive_id("con", self._work.workspace, "import", self._plan.key, row.key, str(n))
                for n in range(SAME_KEY)
            ]
            for row in rows
        }
        taken: set[str] = set()
        firsts = [one[0] for one in ids.values()]
        for n in range(1, SAME_KEY):
            if not firsts:
                break
            held = await self._store.get_many(CONTACTS, self._work.workspace, firsts)
            taken |= set(held)
            firsts = [one[n] for one in ids.values() if one[n - 1] in held]
        return {
            key: next((one for one in choice if one not in taken), choice[-1])
            for key, choice in ids.items()
        }


class RowRefusedError(CommandError):
    """A row is not taken: because of which column, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def _check(row: Wanted, before: Contact | None, holders: dict[str, str]) -> None:
    for field, reason in faults(row, before).items():
        raise RowRefusedError(field, reason)
    holder = holders.get(_ref(row))
    if holder and (before is None or holder != before.id):
        raise RowRefusedError("ref", "another contact has it")


def _ref(row: Wanted) -> str:
    return row.facts["ref"].kept if "ref" in row.facts else ""


def _refusal(row: Wanted, field: str, reason: str) -> RefusedRow:
    return RefusedRow(number=row.number, field=field, reason=reason, cells=row.cells)
