"""The store port: collections of structs with declared indexes, and a few operations.

Two engines implement it (`lite` on SQLite, `mongo` on MongoDB) and one contract suite holds both.
Changes are made in Python on the struct and written by `replace`, which compares and sets the
whole document by `rev`, so no engine needs update operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

Value = str | int | bool | datetime
"""What an indexed field may hold; None (or absent) keeps a document out of that index."""


class Document(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What every document has. `rev` is 1 after `insert` and rises by one with each `replace`."""

    id: str
    workspace: str
    rev: int = 0


D = TypeVar("D", bound=Document)


class Index(msgspec.Struct, frozen=True):
    """A declared index; `workspace` always comes first and is not named.

    A tuple-valued field is multikey (equality means "contains"); at most one a index. A document
    with None in any field is left out. `unique` holds inside the workspace.
    """

    name: str
    fields: tuple[str, ...]
    unique: bool = False


class Collection(Generic[D]):
    """A named set of documents of one struct."""

    def __init__(self, name: str, kind: type[D], indexes: tuple[Index, ...]) -> None:
        self.name = name
        self.kind = kind
        self.indexes = indexes

    def index(self, name: str) -> Index:
        """Return the declared index.

        Raises:
            LookupError: No such index; a query over it cannot be written.
        """
        for index in self.indexes:
            if index.name == name:
                return index
        raise LookupError(f"{self.name} has no index {name}")


class In(msgspec.Struct, frozen=True):
    """Equal to any of `values` (at most 500)."""

    values: tuple[Value, ...]


class All(msgspec.Struct, frozen=True):
    """Of a multikey field: it holds each of `values`; the walk is led by the first.

    Of a text field also: for each of `begins`, one of its values begins so. 1 to 20 in all.
    """

    values: tuple[Value, ...]
    begins: tuple[str, ...] = ()


class Range(msgspec.Struct, frozen=True):
    """`ge` <= field < `lt`; either may be None."""

    ge: Value | None = None
    lt: Value | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page in the order of the index `order`, continuing behind `after` (exclusive).

    `after` is made by `cursor`; `limit` is 1 to 1,000. `skip` rows (0 to 10,000) are passed over,
    which costs much less than to read them.
    """

    order: str
    descending: bool = False
    after: tuple[Value, ...] | None = None
    limit: int = 50
    skip: int = 0


Where = Mapping[str, Value | In | All | Range]
Cursor = tuple[Value, ...]
"""The values of the order's fields in the last row of a page, see `Store.cursor`."""


class Store(Protocol):
    """What both engines do.

    Every call raises `StoreUnavailableError` when the engine does not answer in time (a write may
    then have happened or not), and every query is served by a declared index. What the port does
    not offer is a LookupError or ValueError at once: a field without an index, a value of another
    kind, a workspace that is empty or has a slash, an id that stands twice in one call.
    """

    async def insert(self, collection: Collection[D], doc: D) -> D:
        """Store a new document and return it with `rev` 1.

        Raises:
            UniqueConflictError: The id or a unique key exists; names the index.
        """
        ...

    async def insert_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """Store what can be stored, in no order; return `{id: violated index}` of the others.

        Each stands at one `rev` more than it carries: 1 for a new one; what is restored goes on
        counting from where it was.
        """
        ...

    async def get(self, collection: Collection[D], workspace: str, doc_id: str) -> D | None:
        """Return one document, or None."""
        ...

    async def get_many(
        self, collection: Collection[D], workspace: str, ids: Sequence[str]
    ) -> dict[str, D]:
        """Return the documents that exist, by id."""
        ...

    async def replace(self, collection: Collection[D], doc: D) -> D:
        """Write *doc* if the stored `rev` equals `doc.rev`; return it with `rev` raised.

        Raises:
            StaleRevisionError: Somebody changed or deleted it since it was read.
            UniqueConflictError: The change would break a unique index.
        """
        ...

    async def replace_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """Replace each, guarded by `rev`, in no order; return `{id: code}` of those refused.

        Codes are `stale_revision` and `unique_conflict`. The others stand at `rev + 1`.
        """
        ...

    async def delete(self, collection: Collection[D], workspace: str, doc_id: str) -> bool:
        """Delete one document; tell whether it was there."""
        ...

    async def find(
        self, collection: Collection[D], workspace: str, where: Where, page: Page
    ) -> list[D]:
        """Return one page of matching documents.

        Args:
            collection: What to search.
            workspace: The wall; always part of the query.
            where: Field to value, `In`, `All` or `Range`. Leading fields of the page's index narrow
                the walk; a field of any other index filters on it; any other is a LookupError.
            page: Which index orders the rows, where to continue, how many.
        """
        ...

    async def count(
        self, collection: Collection[D], workspace: str, where: Where, *, limit: int = 1000
    ) -> int:
        """Count what `find` would return, but stop at *limit*."""
        ...

    async def group_count(
        self, collection: Collection[D], workspace: str, where: Where, *, by: str
    ) -> dict[str, int]:
        """Count the matching documents by the text of an indexed field.

        Multikey: each value once a document. A boolean's text is `true` or `false`; None is left
        out.
        """
        ...

    async def values(
        self, collection: Collection[D], workspace: str, field: str, within: Range, *, limit: int
    ) -> list[str]:
        """Return the values of a text field in a range, each once, ascending, the first *limit*.

        The field is the first of an index; each value costs one or two looks at that index, however
        many documents have it.
        """
        ...

    async def scrub(self) -> None:
        """Leave nothing readable in the engine's own files of what was deleted or replaced.

        Raises:
            StoreUnavailableError: Others are reading or writing all the time; repeat it.
        """
        ...

    async def healthy(self) -> bool:
        """Tell within one second whether the engine answers."""
        ...


OpenStore = AbstractAsyncContextManager[Store]


def cursor(collection: Collection[D], order: str, doc: D) -> Cursor:
    """Return the cursor that continues behind *doc* in index *order*."""
    return tuple(getattr(doc, field) for field in collection.index(order).fields)
