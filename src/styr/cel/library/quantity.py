"""Quantities (`500m`, `1Gi`) and semantic versions: what is parsed from a string, compared and added."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, Overload, function, member
from styr.cel.types import BOOL, DOUBLE, INT, STRING, Type, struct
from styr.cel.values import KINDS, MAX_INT
from styr.kinds import quantities

QUANTITY, SEMVER = struct("kubernetes.Quantity", {}), struct("kubernetes.Semver", {})
NANO = 10**9
_EXPONENT = re.compile(r"([0-9.+-]+)(?:[eE]([+-]?\d+)|([numkMGTPE]?i?))", re.ASCII)
_NO_DIGITS = re.compile(r"(?!$)[+-]?\.?([numkMGTPE]|[KMGTPE]i)?", re.ASCII)
"""Kubernetes takes no digits for 0."""
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@dataclass(frozen=True, slots=True)
class Quantity:
    """`scale` is the power of ten that Kubernetes keeps the number in: below 0 it is no integer to `asInteger`, even if it is
    whole (`1000m`). Two quantities are equal by value."""

    value: Fraction
    scale: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


KINDS[Quantity] = "kubernetes.Quantity"


def parse_quantity(text: str) -> Quantity:
    """Raises EvaluationError."""
    try:
        if text.strip() != text or not text.isascii():
            raise quantities.QuantityError(text)
        value = Fraction(0) if _NO_DIGITS.fullmatch(text) else quantities.parse(text)
    except quantities.QuantityError:
        regex = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
        raise EvaluationError(f"quantities must match the regular expression '{regex}'") from None
    match = _EXPONENT.match(text)
    digits, exponent, suffix = match.groups() if match else ("", "", "")
    scale = int(exponent) if exponent else _DECIMAL.get(suffix or "", 0)
    scale -= len(digits.partition(".")[2])
    if value.denominator != 1 and NANO % value.denominator:
        rounded = math.ceil(abs(value) * NANO)
        value, scale = Fraction(rounded if value > 0 else -rounded, NANO), -9
    return Quantity(value, scale)


def _is_integer(quantity: Quantity) -> bool:
    return quantity.scale >= 0 and abs(quantity.value) <= MAX_INT


def _integer(quantity: Quantity) -> int:
    if not _is_integer(quantity):
        raise EvaluationError("cannot convert value to integer")
    return int(quantity.value)


def _add(a: Quantity, b: Quantity) -> Quantity:
    if b.value == 0 or a.value == 0:
        return b if a.value == 0 and b.value != 0 else a
    return Quantity(a.value + b.value, min(a.scale, b.scale))


def _minus(quantity: Quantity) -> Quantity:
    return Quantity(-quantity.value, quantity.scale)


def _whole(value: int) -> Quantity:
    return Quantity(Fraction(value), 0)


def _order(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)


def _compare(a: Quantity, b: Quantity) -> int:
    return _order(a.value, b.value)


@dataclass(frozen=True, slots=True)
class Semver:
    """Build metadata is not kept: it tells no versions apart."""

    major: int
    minor: int
    patch: int
    pre: tuple[tuple[int, int, str], ...]
    """Identifiers so that they compare as tuples: numbers first, by number, then words."""


KINDS[Semver] = "kubernetes.Semver"
_NUMBER = r"(0|[1-9]\d{0,18})"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?", re.ASCII)


def _semver_fault(text: str) -> str:
    """Why this is none, in the words of blang/semver."""
    if not text:
        return "Version string empty"
    parts = text.split(".", 2)
    if len(parts) < 3:
        return "No Major.Minor.Patch elements found"
    rest, plus, build = parts[2].partition("+")
    patch, minus, pre = rest.partition("-")
    for name, part in (("major", parts[0]), ("minor", parts[1]), ("patch", patch)):
        shown = json.dumps(part, ensure_ascii=False)
        if not re.fullmatch("[0-9]*", part):
            return f"Invalid character(s) found in {name} number {shown}"
        if len(part) > 1 and part[0] == "0":
            return f"{name.capitalize()} number must not contain leading zeroes {shown}"
        if not part or len(part) > 18:
            return f"strconv.ParseUint: parsing {shown}: {'value out of range' if part else 'invalid syntax'}"
    for name, words in (
        ("prerelease", pre.split(".") if minus else ()),
        ("build meta data", build.split(".") if plus else ()),
    ):
        for word in words:
            if not word:
                return f"{name.capitalize()} is empty"
            if not re.fullmatch("[0-9A-Za-z-]+", word):
                return f"Invalid character(s) found in {name} {json.dumps(word, ensure_ascii=False)}"
    return "no semantic version"


def parse_semver(text: str, normalize: bool = False) -> Semver:
    """`1.2.3-rc.1+build`; with `normalize` also `v1.2` and `01.2.3`. Raises EvaluationError."""
    text = _normal(text) if normalize else text
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise EvaluationError(_semver_fault(text[:1024]))
    pre = []
    for word in match[4].split(".") if match[4] else ():
        if word.isdigit() and len(word) > 1 and word[0] == "0":
            raise EvaluationError(f'Numeric PreRelease version must not contain leading zeroes "{word[:80]}"')
        pre.append((0, int(word), "") if word.isdigit() and len(word) < 20 else (1, 0, word))
    return Semver(int(match[1]), int(match[2]), int(match[3]), tuple(pre))


def _normal(text: str) -> str:
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            short = part.lstrip("0")
            parts[index] = short if short[:1].isdigit() else f"0{short}"
    if len(parts) < 3:
        if re.search(r"[+-]", parts[-1]):
            raise EvaluationError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _compare_versions(a: Semver, b: Semver) -> int:
    numbers = _order((a.major, a.minor, a.patch), (b.major, b.minor, b.patch))
    if numbers or a.pre == b.pre:
        return numbers
    if not a.pre or not b.pre:
        return 1 if not a.pre else -1
    return _order(a.pre, b.pre)


def _holds(parse: Callable[..., Any]) -> Callable[..., bool]:
    def run(*args: Any) -> bool:
        try:
            parse(*args)
        except EvaluationError:
            return False
        return True

    return run


def _compared(name: str, kind: Type, run: Callable[[Any, Any], int]) -> dict[str, Overload]:
    return {
        "isGreaterThan": member(f"{name}_is_greater_than", (kind, kind), BOOL, lambda a, b: run(a, b) == 1),
        "isLessThan": member(f"{name}_is_less_than", (kind, kind), BOOL, lambda a, b: run(a, b) == -1),
        "compareTo": member(f"{name}_compare_to", (kind, kind), INT, run),
    }


_Q, _V = _compared("quantity", QUANTITY, _compare), _compared("semver", SEMVER, _compare_versions)
FUNCTIONS: Functions = {
    **{name: (_Q[name], _V[name]) for name in _Q},
    "quantity": (function("string_to_quantity", (STRING,), QUANTITY, parse_quantity),),
    "isQuantity": (function("is_quantity_string", (STRING,), BOOL, _holds(parse_quantity)),),
    "sign": (function("quantity_sign", (QUANTITY,), INT, lambda q: _order(q.value, 0)),),
    "asApproximateFloat": (member("quantity_get_float", (QUANTITY,), DOUBLE, lambda q: float(q.value)),),
    "asInteger": (member("quantity_get_int", (QUANTITY,), INT, _integer),),
    "isInteger": (member("quantity_is_integer", (QUANTITY,), BOOL, _is_integer),),
    "add": (
        member("quantity_add", (QUANTITY, QUANTITY), QUANTITY, _add),
        member("quantity_add_int", (QUANTITY, INT), QUANTITY, lambda q, n: _add(q, _whole(n))),
    ),
    "sub": (
        member("quantity_sub", (QUANTITY, QUANTITY), QUANTITY, lambda a, b: _add(a, _minus(b))),
        member("quantity_sub_int", (QUANTITY, INT), QUANTITY, lambda q, n: _add(q, _whole(-n))),
    ),
    "semver": (
        function("string_to_semver", (STRING,), SEMVER, parse_semver),
        function("string_bool_to_semver", (STRING, BOOL), SEMVER, parse_semver),
    ),
    "isSemver": (
        function("is_semver_string", (STRING,), BOOL, _holds(parse_semver)),
        function("is_semver_string_bool", (STRING, BOOL), BOOL, _holds(parse_semver)),
    ),
    "major": (member("semver_major", (SEMVER,), INT, lambda version: version.major),),
    "minor": (member("semver_minor", (SEMVER,), INT, lambda version: version.minor),),
    "patch": (member("semver_patch", (SEMVER,), INT, lambda version: version.patch),),
}
