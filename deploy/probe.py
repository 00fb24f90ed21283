#!/usr/bin/env python3
"""Ask this container's server: `probe.py PATH [PORT]`. Exit code 0: it answered 200.

Without a port it asks the admin port of a service or of the front. A container that runs another
command (`migrate`, `config apply`, ...) serves nothing: it is as well as its process, and the line
says so instead of telling of a port that nobody was to listen on.

Standard library only and nothing of the gateway, so that asking every few seconds costs little.
"""

import http.client
import os
import sys
from pathlib import Path

TIMEOUT_S = 2.0
SERVING = ("serve", "front")
FIRST_PROCESS = Path("/proc/1/cmdline")


def command(words: list[str]) -> str:
    """Return the gateway's command among the first process's words: `serve`, `migrate`, ...

    An init (`docker run --init`) and the interpreter come before `relaydesk`. A command line of
    another make counts as one that serves: then a closed port is told as such.
    """
    names = [word.rpartition("/")[2] for word in words]
    after = words[names.index("relaydesk") + 1 :] if "relaydesk" in names else []
    return after[0] if after else "serve"


def main(path: str, port: str = "", *, first: Path = FIRST_PROCESS) -> int:
    """Return 0 when the answer is 200, else 1, and say why: the engine keeps the line."""
    runs = command(first.read_text().split("\0"))
    if not port and runs not in SERVING:
        print(f"{runs} runs, and serves nothing to ask")  # noqa: T201 (what the engine shows)
        return 0
    number = int(port or os.environ["RELAYDESK_ADMIN_PORT"])
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        print(f"{path}: {type(error).__name__}")  # noqa: T201 (what the engine shows)
        return 1
    print(f"{path}: {answer.status} {said}")  # noqa: T201 (what the engine shows)
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
