"""A store whose process dies at a chosen write, for tests of what then is left."""

from __future__ import annotations

from typing import Any

from libs.common.store.api import Store

_WRITES = frozenset({"insert", "insert_many", "replace", "replace_many", "delete"})


class KilledError(BaseException):
    """The process is gone: nothing behind this runs."""


class DyingStore:
    """A store that does *lives* writes, and none after these."""

    def __init__(self, store: Store, lives: int) -> None:
        self._store = store
        self.lives = lives

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in _WRITES:
            return found

        async def write(*args: Any) -> Any:
            self.lives -= 1
            if self.lives < 0:
                raise KilledError
            return await found(*args)

        return write
