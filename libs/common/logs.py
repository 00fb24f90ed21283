"""JSON lines on standard output: a constant event name, facts in `extra`.

Never message text, tokens, phone numbers or e-mail addresses.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from libs.common import tracing

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LIMIT = 2000
"""Characters of one value; longer ones are cut, so that no input floods the log."""


class JsonLines(logging.Formatter):
    """One JSON object a record, newlines and control characters escaped."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its newline."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage()[:_LIMIT],
        }
        if record.name != "root":
            line["logger"] = record.name
        if trace := tracing.trace_id(tracing.here()):
            line["trace_id"] = trace
        for key, value in vars(record).items():
            if key not in _STANDARD:
                line[key] = value[:_LIMIT] if isinstance(value, str) else value
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-4 * _LIMIT :]
        return self._encoder.encode(_plain(line)).decode()


def _plain(value: object) -> object:
    if isinstance(value, str):  # a lone surrogate cannot be encoded
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def set_up(service: str, level: str) -> None:
    """Send all logging to standard output as JSON lines.

    aiohttp's server logger writes a traceback for each bad request: it is raised to CRITICAL,
    since hostile input must cause a count, not an error line.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
