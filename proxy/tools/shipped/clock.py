"""What time it is."""

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def current_time(zone: str = "UTC") -> str:
    """Tell the current date and time in a time zone.

    :param zone: The zone's name in the IANA database, for example Europe/Berlin or America/New_York.
    """
    try:
        now = datetime.now(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {zone!r}; an example is Europe/Berlin") from None
    return f"{now.isoformat(timespec='seconds')} {zone} ({now:%A})"
