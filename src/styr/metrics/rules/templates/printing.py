"""Go's fmt: Sprint, Sprintf and what %v makes of values. Called by `builtins` and `execute`. Pure; output is
bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import quote
from styr.metrics.promql.histograms.text import shown as histogram_text
from styr.metrics.rules.templates.lexer import unicode_name
from styr.metrics.rules.templates.numbers import format_float
from styr.metrics.rules.templates.values import CallFailed, GoList, GoMap, Struct, type_name

MOST_OUTPUT = 1 << 20
"""Characters that one value, and a whole expansion, may have."""
_MOST_WIDTH = 1_000_000


def sprint(args: Sequence[Any]) -> str:
    """Spaces stand between operands when neither is a string."""
    out: list[str] = []
    for index, arg in enumerate(args):
        if index and not isinstance(arg, str) and not isinstance(args[index - 1], str):
            out.append(" ")
        out.append(plain(arg))
    return bounded("".join(out))


def sprintln(args: Sequence[Any]) -> str:
    return bounded(" ".join(plain(arg) for arg in args) + "\n")


def bounded(text: str) -> str:
    if len(text) > MOST_OUTPUT:
        raise CallFailed(f"more than {MOST_OUTPUT} characters of output")
    return text


@dataclass(slots=True)
class Spec:
    """One directive: its flags, width and precision (-1: none)."""

    verb: str = "v"
    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int = -1
    precision: int = -1
    plus_v: bool = False
    """%+v, which names the fields of structs, and %#v, which is Go's syntax: the two flags mean something else there."""
    sharp_v: bool = False

    def pad(self, text: str) -> str:
        if len(text) >= self.width:
            return text
        fill = "0" if self.zero and not self.minus else " "
        return text.ljust(self.width) if self.minus else text.rjust(self.width, fill)


_DEFAULT = Spec()


def plain(value: Any) -> str:
    """%v."""
    return value if type(value) is str else shown(value, _DEFAULT, 0)


def shown(value: Any, spec: Spec, depth: int) -> str:
    """A value by a directive, `%!d(string=hi)` when the verb does not suit it. `depth` counts the composites around
    it."""
    if depth > 20:
        return "..."
    verb = spec.verb
    if verb == "T":
        return spec.pad(type_name(value)[: spec.precision if spec.precision >= 0 else None])
    if value is None:
        return spec.pad("<nil>") if verb == "v" else f"%!{verb}(<nil>)"
    if isinstance(value, bool):
        return spec.pad("true" if value else "false") if verb in "tv" else _bad(value, spec)
    text = _by_kind(value, spec, depth)
    return _bad(value, spec) if text is None else text


def _by_kind(value: Any, spec: Spec, depth: int) -> str | None:
    if isinstance(value, str):
        return _string(value, spec)
    if isinstance(value, int):
        return _integer(value, spec)
    if isinstance(value, float):
        return _float(value, spec)
    if isinstance(value, complex):
        return _complex(value, spec)
    return _composite(value, spec, depth)


def _bad(value: Any, spec: Spec) -> str:
    return f"%!{spec.verb}({type_name(value)}={shown(value, replace(spec, verb='v'), 1)})"


def _string(value: str, spec: Spec) -> str | None:
    verb = spec.verb
    text = value if spec.precision < 0 else value[: spec.precision]
    if verb == "v" and spec.sharp_v:
        return spec.pad(quote(text))
    if verb in "sv":
        return spec.pad(text)
    if verb == "q":
        return spec.pad(_quoted(text, spec))
    if verb in "xX":
        raw = text.encode("utf-8", "surrogatepass").hex(" ") if spec.space else text.encode("utf-8", "replace").hex()
        return (
            spec.pad(("0x" if spec.sharp and raw else "") + raw).upper()
            if verb == "X"
            else spec.pad(("0x" if spec.sharp and raw else "") + raw)
        )
    return None


def _quoted(text: str, spec: Spec) -> str:
    if spec.sharp and "`" not in text and all(char.isprintable() or char == "\t" for char in text):
        return f"`{text}`"
    quoted = quote(text)
    if not spec.plus:
        return quoted
    return "".join(
        char if char.isascii() else f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
        for char in quoted
    )


_BASES: dict[str, tuple[str, str]] = {
    "d": ("d", ""),
    "v": ("d", ""),
    "b": ("b", "0b"),
    "o": ("o", "0"),
    "O": ("o", "0o"),
    "x": ("x", "0x"),
    "X": ("X", "0X"),
}


def _integer(value: int, spec: Spec) -> str | None:
    verb = spec.verb
    if verb in _BASES:
        base, prefix = _BASES[verb]
        digits = format(abs(value), base)
        if spec.precision == 0 and not value:
            return " " * max(spec.width, 0)
        digits = digits.rjust(spec.precision, "0")
        lead = prefix if spec.sharp or verb == "O" else ""
        if spec.sharp and verb in "oO":
            lead = (lead if verb == "O" else "") + ("" if digits.startswith("0") else "0")
        return _signed(value < 0, lead, digits, spec)
    if verb == "c":
        return spec.pad(_rune(value))
    if verb == "q":
        return spec.pad(_quoted_rune(value))
    if verb == "U":
        code = f"U+{value & 0xFFFFFFFFFFFFFFFF:04X}"
        return replace(spec, zero=False).pad(unicode_name(chr(value)) if spec.sharp and 0 <= value < 0x110000 else code)
    return None


def _signed(negative: bool, lead: str, digits: str, spec: Spec) -> str:
    sign = "-" if negative else "+" if spec.plus else " " if spec.space else ""
    if spec.zero and not spec.minus and spec.precision < 0:
        digits = digits.rjust(spec.width - len(sign) - len(lead), "0")
    return replace(spec, zero=False).pad(sign + lead + digits)


def _rune(value: int) -> str:
    valid = 0 <= value < 0x110000 and not 0xD800 <= value < 0xE000
    return chr(value) if valid else "\ufffd"


def _quoted_rune(value: int) -> str:
    char = _rune(value)
    if char == "'":
        return "'\\''"
    return "'" + (char if char == '"' else quote(char)[1:-1]) + "'"


def _float(value: float, spec: Spec) -> str | None:
    verb = {"v": "g", "F": "f"}.get(spec.verb, spec.verb)
    if verb not in "beEfgGxX":
        return None
    precision = spec.precision if spec.precision >= 0 or verb not in "eEf" else 6
    text = format_float(value, verb, precision)
    negative = text.startswith("-")
    text = text.lstrip("+-")
    finite = math.isfinite(value)
    if spec.sharp and finite and verb in "gGeEf":
        text = _sharp(text, verb, precision)
    if not finite:
        plus = "+" if math.isinf(value) and not negative and (spec.plus or not spec.space) else ""
        sign = "-" if negative else plus if plus and not math.isnan(value) else " " if spec.space else ""
        if math.isnan(value):
            sign = "+" if spec.plus else " " if spec.space else ""
        return replace(spec, zero=False).pad(sign + text)
    sign = "-" if negative else "+" if spec.plus else " " if spec.space else ""
    if spec.zero and not spec.minus:
        text = text.rjust(spec.width - len(sign), "0")
    return replace(spec, zero=False).pad(sign + text)


def _sharp(text: str, verb: str, precision: int) -> str:
    """`#`: always a decimal point, and for %g trailing zeros."""
    mantissa, mark, power = text.partition("e" if "e" in text else "E")
    if "." not in mantissa:
        mantissa += "."
    if verb in "gG":
        wanted = 6 if precision < 0 else precision
        digits = len(mantissa.replace(".", "").lstrip("0")) or 1
        mantissa += "0" * max(0, wanted - digits)
    return mantissa + mark + power


def _complex(value: complex, spec: Spec) -> str | None:
    inner = replace(spec, verb="g" if spec.verb == "v" else spec.verb)
    real, imaginary = _float(value.real, inner), _float(value.imag, replace(inner, plus=True))
    return None if real is None or imaginary is None else f"({real}{imaginary}i)"


def _composite(value: Any, spec: Spec, depth: int) -> str | None:
    def inner(each: Any) -> str:
        return shown(each, spec, depth + 1)

    if isinstance(value, Histogram):
        return spec.pad(histogram_text(value))
    if isinstance(value, Struct):
        return _struct(value, spec, depth, inner)
    if isinstance(value, GoMap):
        pairs = sorted(value.items())
        if spec.sharp_v:
            return f"{value.type}{{" + ", ".join(f"{inner(k)}:{inner(v)}" for k, v in pairs) + "}"
        return "map[" + " ".join(f"{inner(k)}:{inner(v)}" for k, v in pairs) + "]"
    if isinstance(value, GoList):
        if spec.sharp_v:
            return f"{value.type}{{" + ", ".join(map(inner, value)) + "}"
        return "[" + " ".join(map(inner, value)) + "]"
    return spec.pad(str(value))


def _struct(value: Struct, spec: Spec, depth: int, inner: Callable[[Any], str]) -> str:
    if value.shown is not None and spec.verb in "vsqxX":
        return _string(value.shown(), replace(spec, sharp_v=False)) or ""
    number = getattr(value, "ns", None)
    if value.type == "time.Duration" and isinstance(number, int):
        return shown(number, spec, depth)
    if value.pointer and depth:
        return "0xc000000000"
    fields = " ".join((f"{k}:" if spec.plus_v or spec.sharp_v else "") + inner(v) for k, v in value.fields.items())
    return ("&" if value.pointer else "") + "{" + fields + "}"


def sprintf(template: str, args: Sequence[Any]) -> str:
    return _Sprintf(template, args).text()


class _Sprintf:
    def __init__(self, template: str, args: Sequence[Any]) -> None:
        self._format, self._args = template, args
        self._at = self._next = 0
        self._reordered = self._good = False

    def text(self) -> str:
        out: list[str] = []
        size = 0
        while (found := self._format.find("%", self._at)) >= 0:
            out.append(self._format[self._at : found])
            self._at = found + 1
            out.append(self._directive())
            size += len(out[-1]) + len(out[-2])
            if size > MOST_OUTPUT:
                raise CallFailed(f"more than {MOST_OUTPUT} characters of output")
        out.append(self._format[self._at :])
        if not self._reordered and self._next < len(self._args):
            extra = ", ".join("<nil>" if a is None else f"{type_name(a)}={plain(a)}" for a in self._args[self._next :])
            out.append(f"%!(EXTRA {extra})")
        return bounded("".join(out))

    def _directive(self) -> str:
        spec = Spec()
        flags = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}
        while self._at < len(self._format) and self._format[self._at] in flags:
            setattr(spec, flags[self._format[self._at]], True)
            self._at += 1
        self._good, after_index = True, self._index()
        prefix = self._width(spec, after_index) + self._precision(spec)
        if self._at >= len(self._format):
            return prefix + "%!(NOVERB)"
        spec.verb = self._format[self._at]
        self._at += 1
        if spec.verb == "%":
            return prefix + "%"
        if not self._good:
            return prefix + f"%!{spec.verb}(BADINDEX)"
        if self._next >= len(self._args):
            return prefix + f"%!{spec.verb}(MISSING)"
        value = self._args[self._next]
        self._next += 1
        if spec.verb == "v":
            spec.plus_v, spec.sharp_v, spec.plus, spec.sharp = spec.plus, spec.sharp, False, False
        return prefix + shown(value, spec, 0)

    def _width(self, spec: Spec, after_index: bool) -> str:
        if self._peek() == "*":
            self._at += 1
            width = self._star()
            if width is None:
                return "%!(BADWIDTH)"
            spec.minus, spec.width = spec.minus or width < 0, abs(width)
        else:
            width = self._digits()
            spec.width = -1 if width is None else width
            if after_index and width is not None:
                self._good = False
        return ""

    def _precision(self, spec: Spec) -> str:
        after = self._index()
        if self._peek() != ".":
            return ""
        self._at += 1
        if after:
            self._good = False
        self._index()
        if self._peek() == "*":
            self._at += 1
            precision = self._star()
            spec.precision = -1 if precision is None or precision < 0 else precision
            self._index()
            return "%!(BADPREC)" if precision is None or precision < 0 else ""
        spec.precision = self._digits() or 0
        self._index()
        return ""

    def _peek(self) -> str:
        return self._format[self._at : self._at + 1]

    def _digits(self) -> int | None:
        start = self._at
        while "0" <= self._peek() <= "9" and self._peek():
            self._at += 1
        number = int(self._format[start : self._at][:12]) if self._at > start else None
        if number is not None and number > _MOST_WIDTH:
            return None
        return number

    def _star(self) -> int | None:
        value = self._args[self._next] if self._next < len(self._args) else None
        self._next += self._next < len(self._args)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MOST_WIDTH:
            return None
        self._index()
        return value

    def _index(self) -> bool:
        """`[3]`: the next argument is the third."""
        if self._peek() != "[":
            return False
        self._reordered = True
        end = self._format.find("]", self._at)
        inner = self._format[self._at + 1 : end] if end >= 0 else ""
        self._at = self._at + 1 if end < 0 else end + 1
        if inner.isascii() and inner.isdigit() and 1 <= int(inner[:9]) <= len(self._args):
            self._next = int(inner) - 1
        else:
            self._good = False
        return True
