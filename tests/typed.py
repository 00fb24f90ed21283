"""What somebody types, run in this process: a new interpreter costs over a second of imports.

At least one test of each file runs the command as a process, as people do.
"""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import redirect_stderr, redirect_stdout

import pytest

from libs.common.cli.main import main
from libs.common.config import PREFIX


async def typed(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `relaydesk` with these settings alone; return exit code, output and errors.

    Not for what runs until a signal: those come to the main thread alone.
    """
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        code = await asyncio.wait_for(asyncio.to_thread(_run, list(arguments)), 60)
    return code, out.getvalue(), errors.getvalue()


def _run(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as ended:  # argparse
        return ended.code if isinstance(ended.code, int) else 1
