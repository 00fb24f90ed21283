#!/usr/bin/env python3
"""Ask this container's admin port: `probe.py /livez`. Exit code 0: it answered 200.

Standard library only and nothing of the gateway, so that asking every few seconds costs little.
"""

import http.client
import os
import sys

TIMEOUT_S = 2.0


def main(path: str) -> int:
    """Return 0 when the answer is 200, else 1, and say why: the engine keeps the line."""
    port = int(os.environ["RELAYDESK_ADMIN_PORT"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
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
    sys.exit(main(sys.argv[1]))
