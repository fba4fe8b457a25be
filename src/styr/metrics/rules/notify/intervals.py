"""Times of day, weekdays, days of a month, months and years in which a route is muted or active. Called by `config` and
`pipeline`. Pure; the meaning is Alertmanager's `time_intervals`.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from styr.metrics.model.errors import BadData

Range = tuple[int, int]
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = tuple(name.lower() for name in calendar.month_name)[1:]
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_FIELDS = frozenset({"times", "weekdays", "days_of_month", "months", "years", "location"})


@dataclass(frozen=True, slots=True)
class Interval:
    """All that is given must hold; of each, any range. `times` in minutes of the day, the end not included; days of the month
    may count from its end (-1 is the last)."""

    times: Sequence[Range] = ()
    weekdays: Sequence[Range] = ()
    days: Sequence[Range] = ()
    months: Sequence[Range] = ()
    years: Sequence[Range] = ()
    zone: tzinfo = UTC

    def contains(self, ms: int) -> bool:
        at = datetime.fromtimestamp(ms / 1000, self.zone)
        minute = at.hour * 60 + at.minute
        if self.times and not any(start <= minute < end for start, end in self.times):
            return False
        if self.days and not self._day(at):
            return False
        checks = ((self.months, at.month), (self.weekdays, at.isoweekday() % 7), (self.years, at.year))
        return all(not ranges or any(a <= value <= b for a, b in ranges) for ranges, value in checks)

    def _day(self, at: datetime) -> bool:
        length = calendar.monthrange(at.year, at.month)[1]
        for start, end in self.days:
            first = start if start > 0 else length + 1 + start
            last = end if end > 0 else length + 1 + end
            if max(first, 1) <= at.day <= min(last, length):
                return True
        return False


def read(data: Any, path: str) -> Interval:
    """One of the `time_intervals` of a named interval. Raises BadData."""
    if not isinstance(data, Mapping):
        raise BadData(f"{path}: must be a map")
    for name in data:
        if name not in _FIELDS:
            raise BadData(f"{path}.{name}: unknown field; known are {', '.join(sorted(_FIELDS))}")
    return Interval(
        tuple(_time(each, f"{path}.times[{i}]") for i, each in enumerate(_list(data, "times", path))),
        _ranges(data, "weekdays", path, _DAYS, 0, 0, 6),
        _ranges(data, "days_of_month", path, (), 0, -31, 31),
        _ranges(data, "months", path, _MONTHS, 1, 1, 12),
        _ranges(data, "years", path, (), 0, 0, 9999),
        _zone(data.get("location"), path),
    )


def _list(data: Mapping[str, Any], name: str, path: str) -> list[Any]:
    value = data.get(name) or []
    if not isinstance(value, list):
        raise BadData(f"{path}.{name}: must be a list")
    return value


def _time(data: Any, path: str) -> Range:
    if not isinstance(data, Mapping):
        raise BadData(f"{path}: must have start_time and end_time")
    start, end = (_minute(data.get(name), f"{path}.{name}") for name in ("start_time", "end_time"))
    if start >= end:
        raise BadData(f"{path}: start time cannot be equal or greater than end time")
    return start, end


def _minute(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1440:
        return value  # YAML 1.1 reads 09:30 without quotes as a number of base 60
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise BadData(f"{path}: {value!r} is no time of day; write it as 09:30, up to 24:00")
    return int(value[:2]) * 60 + int(value[3:])


def _ranges(
    data: Mapping[str, Any], name: str, path: str, names: Sequence[str], first: int, least: int, most: int
) -> tuple[Range, ...]:
    out = []
    for index, each in enumerate(_list(data, name, path)):
        where = f"{path}.{name}[{index}]"
        parts = str(each).lower().split(":")
        if len(parts) > 2:
            raise BadData(f"{where}: {each!r} is no range; write it as FIRST:LAST")
        ends = [_member(part.strip(), names, first, where) for part in parts]
        start, end = ends[0], ends[-1]
        if not (least <= start <= most and least <= end <= most) or (name == "days_of_month" and 0 in (start, end)):
            raise BadData(f"{where}: {each!r} is not between {least} and {most}")
        if start > end and (start < 0) == (end < 0):
            raise BadData(f"{where}: the end of {each!r} is before its start")
        if name == "days_of_month" and start < 0 < end:
            raise BadData(f"{where}: a range that starts at the month's end must end there too")
        out.append((start, end))
    return tuple(out)


def _member(text: str, names: Sequence[str], first: int, path: str) -> int:
    if text in names:
        return names.index(text) + first
    if re.fullmatch(r"-?[0-9]{1,4}", text) and names != _DAYS:
        return int(text)
    raise BadData(f"{path}: {text!r} is not known here" + (f"; known are {', '.join(names)}" if names else ""))


def _zone(name: Any, path: str) -> tzinfo:
    if name in (None, "", "UTC", "Local"):
        return UTC
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadData(f"{path}.location: {name!r} is no time zone of this machine; write it as Europe/Berlin") from None
