"""`python -m bench [PART ...]`: speed, as ratios within one run."""

from __future__ import annotations

import sys

import uvloop

from bench import assign, broadcast, bus, driver, ingest, router, rules, streams, timers

PARTS = {
    "ingest": ingest.main,
    "router": router.main,
    "bus": bus.main,
    "driver": driver.main,
    "rules": rules.main,
    "timers": timers.main,
    "assign": assign.main,
    "broadcast": broadcast.main,
    "streams": streams.main,
}


def run(names: list[str]) -> int:
    """Run the named parts, or all."""
    for name in names or list(PARTS):
        if name not in PARTS:
            print(f"bench: {name!r} is not one of {', '.join(PARTS)}", file=sys.stderr)
            return 2
        uvloop.run(PARTS[name]())
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
