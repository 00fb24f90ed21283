"""A later version of the project, made of this one: every shared struct has a field more.

The field is always written, so that processes of this version meet what they do not know in facts,
commands, requests, timers and documents, and write documents anew that had it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIELD = '    from_next: str = msgspec.field(default_factory=lambda: "n+1")\n'
STRUCTS = {
    "libs/common/events.py": ("InboundBase", "Fact", "SendRequest", "Timer"),
    "libs/common/commands.py": ("Command", "Done"),
    "libs/common/documents.py": ("Session", "Message", "Contact", "Identity"),
    "libs/common/alerts.py": ("Alert",),
}


PLACE = ROOT / ".pytest_cache" / "next"
"""The same in each run, so that its bytecode is kept."""


def make() -> Path:
    """Write the later version; return where."""
    made = PLACE
    shutil.rmtree(made, ignore_errors=True)
    for part in ("libs", "services"):
        without = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / part, made / part, ignore=without)
    for name, structs in STRUCTS.items():
        path = made / name
        path.write_text(_grown(path.read_text(), structs))
    return made


def _grown(text: str, structs: tuple[str, ...]) -> str:
    """Return the module with a field more in each of *structs*.

    Raises:
        AssertionError: There is no such struct any more.
    """
    for struct in structs:
        head = re.compile(rf"(?ms)^class {struct}\(.*?\):\n    \"\"\".*?\"\"\"\n")
        found = head.search(text)
        assert found is not None, struct
        text = text[: found.end()] + "\n" + FIELD + text[found.end() :]
    return text
