"""time.Time and time.Duration for templates: their printed forms and the methods that templates call. Called by
`functions`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from styr.metrics.rules.templates.values import CallFailed, Function, Struct

_UNITS = ((3_600_000_000_000, "h"), (60_000_000_000, "m"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Duration(Struct):
    """`ns` nanoseconds."""

    __slots__ = ("ns",)

    def __init__(self, ns: int, *, pointer: bool = False) -> None:
        self.ns = ns
        super().__init__("time.Duration", {}, methods=_DURATION, pointer=pointer, shown=lambda: duration_text(ns))


class Time(Struct):
    """`ns` nanoseconds since 1970, shown in `zone`."""

    __slots__ = ("ns", "zone")

    def __init__(self, ns: int, zone: tzinfo = UTC, *, pointer: bool = False) -> None:
        self.ns, self.zone = ns, zone
        super().__init__("time.Time", {}, methods=_TIME, pointer=pointer, shown=lambda: time_text(self))

    def moment(self) -> datetime:
        try:
            return (_EPOCH + timedelta(seconds=self.ns // 1_000_000_000)).astimezone(self.zone)
        except OverflowError:
            raise CallFailed(f"a time {self.ns // 1_000_000_000} s after 1970 is beyond the calendar") from None


def duration_text(ns: int) -> str:
    """`1h2m0.5s`, `1.5ms`, `0s`."""
    if ns == 0:
        return "0s"
    sign, left = ("-" if ns < 0 else ""), abs(ns)
    if left < 1_000_000_000:
        for size, unit in ((1_000_000, "ms"), (1000, "µs"), (1, "ns")):
            if left >= size:
                return f"{sign}{_fraction(left, size)}{unit}"
    out: list[str] = []
    for size, unit in _UNITS:
        if left >= size or out:
            out.append(f"{left // size}{unit}")
            left %= size
    return sign + "".join(out) + f"{_fraction(left, 1_000_000_000)}s"


def _fraction(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    digits = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def time_text(time: Time) -> str:
    return layout(time, "2006-01-02 15:04:05.999999999 -0700 MST")


_NAMES: tuple[tuple[str, Callable[[datetime, int], str]], ...] = (
    ("January", lambda t, ns: f"{t:%B}"),
    ("Jan", lambda t, ns: f"{t:%b}"),
    ("Monday", lambda t, ns: f"{t:%A}"),
    ("Mon", lambda t, ns: f"{t:%a}"),
    ("MST", lambda t, ns: _zone_name(t)),
    ("2006", lambda t, ns: f"{t.year:04d}"),
    ("-07:00:00", lambda t, ns: _offset(t, ":", seconds=True)),
    ("-070000", lambda t, ns: _offset(t, "", seconds=True)),
    ("-07:00", lambda t, ns: _offset(t, ":")),
    ("-0700", lambda t, ns: _offset(t, "")),
    ("-07", lambda t, ns: _offset(t, "")[:3]),
    ("Z07:00:00", lambda t, ns: "Z" if not t.utcoffset() else _offset(t, ":", seconds=True)),
    ("Z070000", lambda t, ns: "Z" if not t.utcoffset() else _offset(t, "", seconds=True)),
    ("Z07:00", lambda t, ns: "Z" if not t.utcoffset() else _offset(t, ":")),
    ("Z0700", lambda t, ns: "Z" if not t.utcoffset() else _offset(t, "")),
    ("Z07", lambda t, ns: "Z" if not t.utcoffset() else _offset(t, "")[:3]),
    ("002", lambda t, ns: f"{t.timetuple().tm_yday:03d}"),
    ("__2", lambda t, ns: f"{t.timetuple().tm_yday:3d}"),
    ("01", lambda t, ns: f"{t.month:02d}"),
    ("02", lambda t, ns: f"{t.day:02d}"),
    ("03", lambda t, ns: f"{(t.hour + 11) % 12 + 1:02d}"),
    ("04", lambda t, ns: f"{t.minute:02d}"),
    ("05", lambda t, ns: f"{t.second:02d}"),
    ("06", lambda t, ns: f"{t.year % 100:02d}"),
    ("15", lambda t, ns: f"{t.hour:02d}"),
    ("_2", lambda t, ns: f"{t.day:2d}"),
    ("PM", lambda t, ns: "PM" if t.hour >= 12 else "AM"),
    ("pm", lambda t, ns: "pm" if t.hour >= 12 else "am"),
    ("1", lambda t, ns: str(t.month)),
    ("2", lambda t, ns: str(t.day)),
    ("3", lambda t, ns: str((t.hour + 11) % 12 + 1)),
    ("4", lambda t, ns: str(t.minute)),
    ("5", lambda t, ns: str(t.second)),
)


def layout(time: Time, text: str) -> str:
    """Go's Time.Format: the reference time Mon Jan 2 15:04:05 -0700 MST 2006 stands for the fields."""
    moment, nanos = time.moment(), time.ns % 1_000_000_000
    out: list[str] = []
    at = 0
    while at < len(text):
        piece, length = _element(text, at, moment, nanos)
        out.append(piece)
        at += length
    return "".join(out)


def _element(text: str, at: int, moment: datetime, nanos: int) -> tuple[str, int]:
    if text[at] in ".," and text[at + 1 : at + 2] in ("0", "9"):
        digit = text[at + 1]
        end = at + 1
        while text[end : end + 1] == digit:
            end += 1
        if not text[end : end + 1].isdigit():
            shown = f"{nanos:09d}"[: end - at - 1]
            shown = shown.rstrip("0") if digit == "9" else shown
            return (text[at] + shown if shown else ""), end - at
    for name, render in _NAMES:
        if text.startswith(name, at):
            if name == "Jan" and text[at + 3 : at + 4].islower() and not text.startswith("January", at):
                continue
            if name == "_2" and text.startswith("_2006", at):
                return "_" + f"{moment.year:04d}", 5
            return render(moment, nanos), len(name)
    return text[at], 1


def _offset(moment: datetime, separator: str, *, seconds: bool = False) -> str:
    total = int((moment.utcoffset() or timedelta()).total_seconds())
    sign, total = ("-" if total < 0 else "+"), abs(total)
    text = f"{sign}{total // 3600:02d}{separator}{total // 60 % 60:02d}"
    return f"{text}{separator}{total % 60:02d}" if seconds else text


def _zone_name(moment: datetime) -> str:
    name = moment.tzname() or ""
    return name if name and not name.startswith("UTC+") and not name.startswith("UTC-") else _offset(moment, "")


def _fixed(moment: Time, change: Callable[[datetime], datetime]) -> Time:
    changed = change(moment.moment())
    seconds = int((changed - _EPOCH).total_seconds())
    return Time(seconds * 1_000_000_000 + moment.ns % 1_000_000_000, moment.zone)


def _add_date(moment: Time, years: int, months: int, days: int) -> Time:
    def change(at: datetime) -> datetime:
        month = at.year * 12 + at.month - 1 + years * 12 + months
        try:
            return at.replace(year=month // 12, month=month % 12 + 1, day=1) + timedelta(days=days + at.day - 1)
        except (OverflowError, ValueError):
            raise CallFailed("the date is beyond the calendar") from None

    return _fixed(moment, change)


def _number(get: Callable[[Time], Any]) -> Function:
    return Function(lambda time: get(time))


def _seconds(divisor: float) -> Function:
    return Function(lambda duration: duration.ns / divisor)


def _round(ns: int, unit: int) -> int:
    if unit <= 0:
        return ns
    rest = abs(ns) % unit
    size = abs(ns) - rest + (unit if rest * 2 >= unit else 0)
    return size if ns >= 0 else -size


_DURATION: dict[str, Function] = {
    "Seconds": _seconds(1e9),
    "Minutes": _seconds(6e10),
    "Hours": _seconds(3.6e12),
    "Milliseconds": Function(lambda d: int(d.ns / 1_000_000)),
    "Microseconds": Function(lambda d: int(d.ns / 1000)),
    "Nanoseconds": Function(lambda d: d.ns),
    "String": Function(lambda d: duration_text(d.ns)),
    "Abs": Function(lambda d: Duration(abs(d.ns))),
    "Round": Function(lambda d, unit: Duration(_round(d.ns, unit.ns)), ("time.Duration",)),
    "Truncate": Function(lambda d, unit: Duration(d.ns - d.ns % unit.ns if unit.ns > 0 else d.ns), ("time.Duration",)),
}
_TIME: dict[str, Function] = {
    "Format": Function(layout, ("string",)),
    "String": _number(time_text),
    "Unix": _number(lambda t: t.ns // 1_000_000_000),
    "UnixMilli": _number(lambda t: t.ns // 1_000_000),
    "UnixMicro": _number(lambda t: t.ns // 1000),
    "UnixNano": _number(lambda t: t.ns),
    "Year": _number(lambda t: t.moment().year),
    "Month": _number(lambda t: _named("time.Month", f"{t.moment():%B}")),
    "Weekday": _number(lambda t: _named("time.Weekday", f"{t.moment():%A}")),
    "Day": _number(lambda t: t.moment().day),
    "Hour": _number(lambda t: t.moment().hour),
    "Minute": _number(lambda t: t.moment().minute),
    "Second": _number(lambda t: t.moment().second),
    "Nanosecond": _number(lambda t: t.ns % 1_000_000_000),
    "YearDay": _number(lambda t: t.moment().timetuple().tm_yday),
    "IsZero": _number(lambda t: t.ns == -62_135_596_800_000_000_000),
    "UTC": _number(lambda t: Time(t.ns)),
    "Local": _number(lambda t: Time(t.ns)),
    "Add": Function(lambda t, d: Time(t.ns + d.ns, t.zone), ("time.Duration",)),
    "Sub": Function(lambda t, u: Duration(t.ns - u.ns), ("time.Time",)),
    "After": Function(lambda t, u: t.ns > u.ns, ("time.Time",)),
    "Before": Function(lambda t, u: t.ns < u.ns, ("time.Time",)),
    "Equal": Function(lambda t, u: t.ns == u.ns, ("time.Time",)),
    "AddDate": Function(_add_date, ("int", "int", "int")),
    "Truncate": Function(lambda t, d: Time(t.ns - t.ns % d.ns if d.ns > 0 else t.ns, t.zone), ("time.Duration",)),
}


def _named(typ: str, name: str) -> Struct:
    return Struct(typ, {}, methods={"String": Function(lambda _: name)}, shown=lambda: name)
