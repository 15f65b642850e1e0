"""
The log: one JSON object a line on standard error, events named `noun.verb_past`.

Whatever looks like one of our tokens is masked before it is written, stack traces included.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

from towpath_server.core import tokens
from towpath_server.core.config import LogSettings

get = structlog.get_logger

_MASK = "tp_…"


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set the log up for this process; the libraries' loggers go the same way."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    out = stream or sys.stderr
    shared: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Callable[..., Any]]
    if settings.format == "json":
        rendering = [
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        rendering = [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=False),
        ]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))  # libraries: only what went wrong


def request_id() -> str | None:
    """Return the id of the request that is being answered, if one is."""
    return structlog.contextvars.get_contextvars().get("request_id")


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask tokens in every text of an entry."""
    for name, value in event.items():
        event[name] = _redacted(value)
    return event


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return tokens.PATTERN.sub(_MASK, value)
    if isinstance(value, dict):
        return {name: _redacted(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(entry) for entry in value]
    if isinstance(value, int | float | bool | None):
        return value
    return tokens.PATTERN.sub(_MASK, str(value))
