"""Logs as lines of JSON on standard error: time in UTC, level, process, event. They hold case ids, never patients."""

import logging
import sys

import structlog


def set_up(process: str) -> None:
    """Send the log of this process to standard error, one JSON object a line."""
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, _with_process(process)],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("pynetdicom", "procrastinate", "apscheduler", "alembic"):
        # These libraries tell every step at info level, and pynetdicom at debug level what data sets hold.
        logging.getLogger(name).setLevel(logging.WARNING)
    # pydicom quotes values of odd elements in its warnings; they may be patients' data.
    logging.getLogger("pydicom").setLevel(logging.ERROR)


def _with_process(process: str) -> structlog.types.Processor:
    # Context variables do not reach threads that were started by libraries.
    def add(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["process"] = process
        return event

    return add
