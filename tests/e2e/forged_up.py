"""`relaydesk up`, whose children come from the forge; everything else is the command's own."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import IO, Any

from libs.common.cli.main import main
from tests.forge import Awaited, begin, divide

_executed = asyncio.create_subprocess_exec


async def _forged(*command: str, stdout: IO[bytes], **more: Any) -> Awaited:
    _, module, *args = command[1:]
    return begin(module, *args, environ=more.get("env") or dict(os.environ), output=stdout)


async def _start(*command: str, **more: Any) -> Any:
    """Start an interpreter from the forge, and any other program as ever."""
    start = _forged if command[0] == sys.executable else _executed
    return await start(*command, **more)


if __name__ == "__main__":
    divide()
    setattr(asyncio, "create_subprocess_exec", _start)  # noqa: B010 (the checker knows its type)
    sys.exit(main())
