"""Schedules of a CronJob: what is wrong with one. Called by its rules; pure. Format: crontab(5)'s five fields, with names,
`?`, and `@daily` and its like, `@every 1h` included."""

from __future__ import annotations

import re

_MONTHS = {
    name: index + 1
    for index, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
}
_DAYS = {name: index for index, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_WORDS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_DURATION = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*")


def fault(schedule: str) -> str:
    """ "" for a sound one."""
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        schedule = schedule.partition(" ")[2].strip()
    if schedule.startswith("@"):
        if schedule in _WORDS:
            return ""
        if schedule.startswith("@every "):
            text = schedule.removeprefix("@every ")
            return (
                ""
                if _DURATION.fullmatch(text)
                else f'failed to parse duration {schedule}: time: invalid duration "{text}"'
            )
        return f"unrecognized descriptor: {schedule}"
    parts = schedule.split()
    if len(parts) != 5:
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, (least, most, known) in zip(parts, _FIELDS, strict=True):
        for piece in part.split(","):
            if piece and (wrong := _piece(piece, least, most, known)):
                return wrong
    return ""


def _piece(text: str, least: int, most: int, known: dict[str, int]) -> str:
    span, *steps = text.split("/")
    ends = span.split("-")
    if len(steps) > 1:
        return f"too many slashes: {text}"
    if ends[0] in ("*", "?"):
        first, last = least, most
        if len(ends) > 1:
            return f"too many hyphens: {text}"
    else:
        if len(ends) > 2:
            return f"too many hyphens: {text}"
        numbers = [_number(end, known) for end in ends]
        for end, number in zip(ends, numbers, strict=True):
            if number is None:
                return f'failed to parse int from {end}: strconv.Atoi: parsing "{end}": invalid syntax'
        first = numbers[0] or 0
        last = numbers[-1] or 0
        if steps and len(ends) == 1:
            last = most
    if steps:
        step = _number(steps[0], {})
        if step is None:
            return f'failed to parse int from {steps[0]}: strconv.Atoi: parsing "{steps[0]}": invalid syntax'
        if step == 0:
            return f"step of range should be a positive number: {text}"
    if first < least:
        return f"beginning of range ({first}) below minimum ({least}): {text}"
    if last > most:
        return f"end of range ({last}) above maximum ({most}): {text}"
    return f"beginning of range ({first}) beyond end of range ({last}): {text}" if first > last else ""


def _number(text: str, known: dict[str, int]) -> int | None:
    if text.lower() in known:
        return known[text.lower()]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
