"""The web plugin as one classic script, put together from its modules when the process starts.

A module here imports by name only, from its neighbours, and top-level names are unique over all of
them, so that without `import` and `export` they stand one behind the other in a function of their
own. A test runs the result; see docs/adr/0020.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

_IMPORT = re.compile(r'^import (?:\{[^}]*\}|\w+) from "\./([\w.-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |let |class |function |async )", re.MULTILINE)
_SHEET = re.compile(r'^import (\w+) from "\./([\w-]+\.css)";\n', re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_COMMENT = re.compile(r"^ *//[^\n]*\n", re.MULTILINE)
_NOTE = "// Relaydesk web chat. Plain source: each part is a module of services/ingest/plugin/.\n"


def bundle(folder: Path, entry: str) -> bytes:
    """Return the module *entry* of *folder* and all that it imports, as one script.

    Raises:
        ValueError: A module imports or exports in a way that this does not understand, or in a
            circle.
    """
    parts: dict[str, str] = {}
    _add(folder, entry, parts, ())
    body = "".join(parts.values())
    return f'{_NOTE}(() => {{\n"use strict";\n{body}}})();\n'.encode()


def _add(folder: Path, name: str, parts: dict[str, str], within: tuple[str, ...]) -> None:
    if name in within:
        raise ValueError(f"{' > '.join((*within, name))} is a circle of imports")
    if name in parts:
        return
    text = (folder / name).read_text(encoding="utf-8")
    for sheet in _SHEET.finditer(text):
        css = (folder / sheet[2]).read_text(encoding="utf-8")
        parts[sheet[2]] = f"const {sheet[1]} = {json.dumps(css)};\n"
    for needed in _IMPORT.findall(text):
        if not needed.endswith(".css"):
            _add(folder, needed, parts, (*within, name))
    text = _EXPORT.sub("", _IMPORT.sub("", text))
    if found := _LEFT.search(text):
        raise ValueError(f"{name}: cannot be put together: {found[0]}")
    parts[name] = _COMMENT.sub("", text)
