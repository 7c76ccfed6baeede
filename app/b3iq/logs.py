"""Structured logs: one JSON object a line on standard error, read by the journal.

Only declared fields are written: an event name and the keyword fields that the
caller names. Callers never pass a prompt, an output, a header or a credential.
"""

from __future__ import annotations

import json
import logging
import sys
from types import TracebackType
from typing import Any

_PRIORITY = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_RESERVED = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object; `<n>` prefixes carry syslog levels."""

    def format(self, record: logging.LogRecord) -> str:
        """One line: `<priority>` for the journal, then the JSON object."""
        entry: dict[str, Any] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        entry.update({k: v for k, v in record.__dict__.items() if k not in _RESERVED})
        if record.exc_info and record.exc_info[0] is not None:
            # The type and the place, not the message: messages may quote a request.
            entry["exception"] = record.exc_info[0].__name__
            entry["where"] = _innermost(record.exc_info[2])
        return f"<{_PRIORITY.get(record.levelname, 6)}>" + json.dumps(entry, default=str)


def _innermost(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f"{code.co_name}:{trace.tb_lineno}"


def configure(level: int = logging.INFO) -> None:
    """Send every logger of the process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
