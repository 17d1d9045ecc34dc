"""Times as a person of the facility reads them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def moment(at: datetime | None, zone: ZoneInfo) -> str:
    """Return a time in the facility's zone to the second, `-` for none."""
    return "-" if at is None else at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def span(length: timedelta) -> str:
    """Return a length of time with its largest fitting unit."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
