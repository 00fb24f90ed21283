"""`python -m bench [PART ...]`: speed, as ratios within one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from bench import (
    assign,
    broadcast,
    bus,
    console,
    desk,
    driver,
    ingest,
    router,
    rules,
    streams,
    timers,
)
from bench.desk_seed import Sizes

Part = Callable[[], Coroutine[Any, Any, None]]
PARTS: dict[str, Part] = {
    "ingest": ingest.main,
    "router": router.main,
    "bus": bus.main,
    "driver": driver.main,
    "rules": rules.main,
    "timers": timers.main,
    "assign": assign.main,
    "broadcast": broadcast.main,
    "streams": streams.main,
    "console": console.main,
}


def run(arguments: list[str]) -> int:
    """Run the named parts, or all."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("parts", nargs="*", metavar="PART")
    for name in Sizes.__struct_fields__:
        parser.add_argument(f"--{name}", type=int, default=getattr(Sizes(), name), help="of desk")
    parser.add_argument("--json", type=Path, help="where desk writes its figures")
    given = parser.parse_args(arguments)
    sizes = Sizes(*(max(1, getattr(given, name)) for name in Sizes.__struct_fields__))
    parts: dict[str, Part] = {**PARTS, "desk": partial(desk.main, sizes, given.json)}
    for name in given.parts or list(parts):
        if name not in parts:
            print(f"bench: {name!r} is not one of {', '.join(parts)}", file=sys.stderr)
            return 2
        uvloop.run(parts[name]())
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
