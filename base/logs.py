"""JSON logs, one object a line, in the fields that operators already collect."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "ERROR"}
# Noisy at INFO about matters of their own; what users need of them is at WARNING.
_QUIET: Final = ("aiokafka", "faust", "mode", "kafka", "uvicorn.access")


class JsonFormatter(logging.Formatter):
    """Formats a record; `extra=` may carry duration_ms, request_id, user_id and metadata (a dict)."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        fields = record.__dict__
        metadata: dict[str, Any] = {"logger": record.name, **(fields.get("metadata") or {})}
        if record.exc_info:
            metadata["exception"] = self.formatException(record.exc_info)
        entry = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "service": self.service,
            "level": _LEVELS.get(record.levelname, record.levelname),
            "message": record.getMessage(),
            "duration_ms": fields.get("duration_ms"),
            "request_id": fields.get("request_id"),
            "user_id": fields.get("user_id"),
            "metadata": metadata,
        }
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def setup_logging(service: str, level: str = "INFO") -> None:
    """Make the root logger write JSON lines to stderr (replaces what was set up before)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel("WARNING" if level == "WARN" else level)
    if level != "DEBUG":
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
