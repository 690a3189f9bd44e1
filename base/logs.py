"""JSON logs, one object a line, in the fields that operators already collect."""

import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import orjson

_LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "ERROR"}
# Noisy at INFO about matters of their own; what users need of them is at WARNING. Loggers of ours are called soba.*: under `agents`
# mode tells of each service of a worker.
_QUIET: Final = ("agents", "aiokafka", "faust", "mode", "kafka", "uvicorn.access", "web3", "websockets")
REPEAT_S = 30.0
"""How often a library may say the same: of a broker that is away, librdkafka tells twenty times a second."""
_OURS: Final = "soba."
_LIBRDKAFKA: Final = "soba.kafka"  # what librdkafka says comes under a name of ours
_NUMBERS: Final = re.compile(r"\d+")
_KNOWN: Final = 1_000


def log_name(service: str) -> str:
    """A service as logs, traces, Compose and Kubernetes name it: `data-processing` for DATA_PROCESSING."""
    return service.lower().replace("_", "-")


class JsonFormatter(logging.Formatter):
    """Formats a record; `extra=` may carry duration_ms, request_id, user_id and metadata (a dict).

    Instead of one request_id it may carry `requests`, a message by request id: the record then is a line for each of them. Other
    handlers see how many there are.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = log_name(service)

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
        about: dict[str, str] | None = fields.get("requests")
        entries = (
            [entry] if about is None else [{**entry, "message": said, "request_id": id} for id, said in about.items()]
        )
        return b"\n".join(map(_line, entries)).decode()


def _line(entry: dict[str, Any]) -> bytes:
    return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS)


class Repeats(logging.Filter):
    """Lets what a library says, numbers aside, through once in `REPEAT_S`, and then with how often it was held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if (record.name.startswith(_OURS) and record.name != _LIBRDKAFKA) or record.exc_info:
            return True
        key, now = (record.name, _NUMBERS.sub("", record.getMessage())), self._clock()
        at, held_back = self._said.get(key, (-REPEAT_S, 0))
        if now - at < REPEAT_S:
            self._said[key] = (at, held_back + 1)
            return False
        if len(self._said) >= _KNOWN:
            self._said.clear()
        self._said[key] = (now, 0)
        if held_back:
            record.metadata = {"held_back": held_back, **(record.__dict__.get("metadata") or {})}
        return True


def setup_logging(service: str, level: str = "INFO") -> None:
    """Make the root logger write JSON lines to stderr (replaces what was set up before).

    Warnings, and the exception that ends the process, become lines too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel("WARNING" if level == "WARN" else level)
    if level != "DEBUG":
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("soba").critical("unforeseen, ending", exc_info=(kind, error, trace))
