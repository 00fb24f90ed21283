"""Open the store that a URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from libs.common.errors import SettingsError
from libs.common.store.api import Collection, Store
from libs.common.store.fields import Specs

_SQLITE = "sqlite:///"
_MONGODB = ("mongodb://", "mongodb+srv://")


@asynccontextmanager
async def open_store(url: str, collections: Sequence[Collection[Any]]) -> AsyncIterator[Store]:
    """Open the store and create or check the tables and indexes of *collections*.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `mongodb://host/database`
            (database `relaydesk` where the URL names none).
        collections: All that the caller will use.

    Raises:
        SettingsError: The URL is of no known kind, or what is stored does not fit; says what.
        StoreUnavailableError: The engine does not answer.
        ValueError: A collection declares what the engines cannot hold.
    """
    specs = Specs(collections)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        from libs.common.store.lite import open_lite  # noqa: PLC0415 only the engine in use loads

        async with open_lite(Path(url.removeprefix(_SQLITE)), specs) as store:
            yield store
    elif url.startswith(_MONGODB):
        from libs.common.store.mongo import open_mongo  # noqa: PLC0415 only the engine in use loads

        async with open_mongo(url, specs) as store:
            yield store
    else:  # the URL may hold a password: it is not repeated here
        raise SettingsError("the store's URL must begin with sqlite:/// or mongodb://")
