"""How does one line per fact reach the operator?"""

import logging
import sys
from contextvars import ContextVar
from typing import Any, Literal

import structlog
from structlog.typing import EventDict

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# Local variables stay out of it: they hold secrets and whole bodies.
TRACES = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
)


def set_up(level: str, form: Literal["json", "console"]) -> None:
    """Send every log line, the libraries' included, to standard error in one form."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        _add_request_id,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.EventRenamer("event"),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=24,
            exception_formatter=structlog.dev.plain_traceback,
            repr_native_str=True,  # what others wrote must not drive the terminal
        )
    )
    trace: list[Any] = [TRACES] if form == "json" else []
    structlog.configure(
        processors=[
            *shared,
            *trace,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[
        structlog.stdlib.ProcessorFormatter.remove_processors_meta, *trace, renderer,
    ]))  # fmt: skip
    logging.basicConfig(
        handlers=[handler], level=max(logging.WARNING, logging.getLevelName(level.upper())), force=True
    )


def _add_request_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    found = request_id.get()
    if found is not None:
        event["request_id"] = found
    return event
