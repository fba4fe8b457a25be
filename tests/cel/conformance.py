"""The published conformance tests of CEL, read from Go's module cache (`cel.dev/expr`, pinned by `tests/peers/cel/go.mod`) and
run here. They are no part of this repository. `python -m tests.cel.conformance` prints what does not pass.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from styr.cel import types
from styr.cel.environment import PER_CALL, Environment
from styr.cel.errors import CelError
from styr.cel.lexer import tokenize
from styr.cel.types import Type
from styr.cel.values import Duration, Optional, Timestamp, TypeValue, UInt, equal, map_key

SKIPPED_FILES = {
    "block_ext": "cel.block: an optimizer's notation",
    "bindings_ext": "cel.bind: not in Kubernetes",
    "encoders_ext": "base64: not in Kubernetes",
    "math_ext": "math: not in Kubernetes",
    "network_ext": "another form of Kubernetes' own library",
    "proto2": "protobuf messages",
    "proto2_ext": "protobuf messages",
    "proto3": "protobuf messages",
    "enums": "protobuf messages",
    "dynamic": "protobuf messages",
    "wrappers": "protobuf messages",
    "unknowns": "partial evaluation: not in Kubernetes",
}
_NEWER = (
    "scientific notation",
    "default precision for scientific",
    "positive infinity",
    "negative infinity",
    "NaN support for decimal",
    "list support for string",
    "map support",
    "dyntype support for scientific",
    "dyntype NaN/infinity",
    "dyntype support for lists",
    "dyntype support for maps",
)
SKIPPED = {
    "fields/quoted_map_fields": "fields in backticks: not in Kubernetes",
    **dict.fromkeys((f"string_ext/format/{name}" for name in _NEWER), "a newer format() than Kubernetes'"),
    "string_ext/value_errors/indexof_out_of_range": "-1 in the cel-go that Kubernetes has",
    "string_ext/value_errors/lastindexof_out_of_range": "-1 in the cel-go that Kubernetes has",
    "type_deduction/legacy_nullable_types/null_assignable_to_abstract_parameter_candidate": "refused by Kubernetes",
}
_MESSAGES = re.compile(
    r"TestAllTypes|NestedTestAllTypes|google\.protobuf\.\w+\{|GlobalEnum|proto[23]\.|Any\{|NullValue"
)

Message = dict[str, list[Any]]


def source() -> Path | None:
    """The folder of the tests; None without Go."""
    go = shutil.which("go")
    if go is None:
        return None
    module = Path(__file__).parents[1] / "peers" / "cel"
    found = subprocess.run(
        [go, "mod", "download", "-json", "cel.dev/expr"], cwd=module, capture_output=True, text=True, check=False
    )
    return Path(json.loads(found.stdout)["Dir"]) / "tests" / "simple" / "testdata" if found.returncode == 0 else None


_TEXT = re.compile(
    r"""\s+|\#[^\n]*|(?P<name>[A-Za-z_][\w.]*)|(?P<number>[-+]?(?:\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf|nan))
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<mark>[{}:<>;,\[\]/-])""",
    re.VERBOSE,
)


def literal(text: str) -> bytes:
    """A string of the notation: octal and hexadecimal escapes are bytes, \\u is a character."""
    wide = re.sub(r"\\\\|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})", _octets, text)
    return bytes(tokenize("b" + wide)[0].value)


def _octets(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    return match.group() if digits is None else "".join(f"\\x{byte:02x}" for byte in chr(int(digits, 16)).encode())


class _Reader:
    """A text protobuf, without its schema: every field a list."""

    def __init__(self, text: str) -> None:
        self.tokens = [match for match in _TEXT.finditer(text) if match.lastgroup]
        self.at = 0

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1].group()

    def peek(self) -> str:
        return self.tokens[self.at].group() if self.at < len(self.tokens) else ""

    def scalar(self) -> Any:
        if self.tokens[self.at].lastgroup != "text":
            first = self.take()
            return f"-{self.take()}" if first == "-" else first
        parts = []
        while self.at < len(self.tokens) and self.tokens[self.at].lastgroup == "text":
            parts.append(literal(self.take()))
        return b"".join(parts)

    def name(self) -> str:
        name = self.take()
        while name.startswith("[") and name[-1] != "]":
            name += self.take()
        return name.strip("[]")

    def value(self) -> Any:
        if self.peek() not in ("{", "<"):
            return self.scalar()
        close = "}" if self.take() == "{" else ">"
        found = self.message(close)
        self.take()
        return found

    def message(self, end: str = "") -> Message:
        found: Message = {}
        while self.peek() != end:
            if self.peek() in (",", ";"):
                self.take()
                continue
            values = found.setdefault(self.name(), [])
            if self.peek() == ":":
                self.take()
            if self.peek() != "[":
                values.append(self.value())
                continue
            self.take()
            while self.peek() != "]":
                if self.peek() == ",":
                    self.take()
                else:
                    values.append(self.value())
            self.take()
        return found


class Unsupported(Exception):
    """A value that Kubernetes' CEL does not have."""


def _object(raw: Message) -> Any:
    name = next(iter(raw)).rpartition("/")[2]
    body = next(iter(raw.values()))[0]
    nanoseconds = int(body.get("seconds", ["0"])[0]) * 10**9 + int(body.get("nanos", ["0"])[0])
    if name == "google.protobuf.Duration":
        return Duration(nanoseconds)
    if name == "google.protobuf.Timestamp":
        return Timestamp(nanoseconds)
    raise Unsupported(name)


def _map(raw: Message) -> Any:
    return {map_key(value_of(entry["key"][0])): value_of(entry["value"][0]) for entry in raw.get("entries", [])}


_VALUES: dict[str, Callable[[Any], Any]] = {
    "null_value": lambda raw: None,
    "bool_value": lambda raw: raw == "true",
    "int64_value": lambda raw: int(raw, 0),
    "uint64_value": lambda raw: UInt(int(raw, 0)),
    "double_value": float,
    "string_value": bytes.decode,
    "bytes_value": bytes,
    "type_value": lambda raw: TypeValue(raw.decode()),
    "list_value": lambda raw: [value_of(item) for item in raw.get("values", [])],
    "map_value": _map,
    "object_value": _object,
}


def value_of(message: Message) -> Any:
    kind, values = next(iter(message.items()))
    if kind not in _VALUES:
        raise Unsupported(kind)
    return _VALUES[kind](values[0])


_PRIMITIVES = {
    "BOOL": types.BOOL,
    "INT64": types.INT,
    "UINT64": types.UINT,
    "DOUBLE": types.DOUBLE,
    "STRING": types.STRING,
    "BYTES": types.BYTES,
}


def type_of(message: Message) -> Type:
    (kind, (raw,)) = next(iter((key, values[:1]) for key, values in message.items()))
    if kind == "primitive":
        return _PRIMITIVES[raw]
    if kind == "list_type":
        return types.list_of(type_of(raw["elem_type"][0]))
    if kind == "map_type":
        return types.map_of(type_of(raw["key_type"][0]), type_of(raw["value_type"][0]))
    if kind == "dyn":
        return types.DYN
    if kind == "null":
        return types.NULL
    if kind == "well_known" and raw in ("DURATION", "TIMESTAMP"):
        return types.DURATION if raw == "DURATION" else types.TIMESTAMP
    if kind == "wrapper":
        return types.wrapper(_PRIMITIVES[raw])
    if kind == "abstract_type" and raw["name"][0] == b"optional_type":
        return types.optional_of(type_of(raw["parameter_types"][0]))
    if kind == "type":
        return types.type_of(type_of(raw) if raw else types.DYN)
    raise Unsupported(kind)


@dataclass(frozen=True)
class Case:
    name: str
    """`file/section/test`."""
    message: Message

    @property
    def expression(self) -> str:
        return str(self.message["expr"][0].decode())

    def skip(self) -> str:
        """Why it does not apply; "" when it does."""
        if why := SKIPPED_FILES.get(self.name.partition("/")[0]):
            return why
        for start, why in SKIPPED.items():
            if self.name.startswith(start):
                return why
        if _MESSAGES.search(self.expression) or "TestAllTypes" in repr(self.message):
            return "protobuf messages"
        if "true" in self.message.get("disable_check", []):
            return "without types: Kubernetes always checks them"
        if "true" in self.message.get("disable_macros", []):
            return "without macros: Kubernetes always has them"
        if "container" in self.message:
            return "containers: Kubernetes has none"
        return ""

    def fault(self) -> str:
        """What is wrong, "" when it passes. Raises Unsupported."""
        variables: dict[str, Type] = {}
        for declaration in self.message.get("type_env", []):
            if "ident" in declaration:
                variables[declaration["name"][0].decode()] = type_of(declaration["ident"][0]["type"][0])
            else:
                raise Unsupported("function declarations")
        values: dict[str, Any] = {}
        for binding in self.message.get("bindings", []):
            name = binding["key"][0].decode()
            values[name] = value_of(binding["value"][0]["value"][0])
            variables.setdefault(name, types.DYN)
        try:
            program = Environment(variables, mixed=True).compile(self.expression)
            if "true" in self.message.get("check_only", []):
                wanted_type = type_of(self.message["typed_result"][0]["deduced_type"][0])
                return "" if str(program.type) == str(wanted_type) else f"type {program.type}, not {wanted_type}"
            found, _ = program.run(PER_CALL, *(values.get(name) for name in variables))
        except CelError as error:
            return "" if "eval_error" in self.message else f"{type(error).__name__}: {error}"
        if "eval_error" in self.message:
            return f"no error but {found!r}"
        if "typed_result" in self.message:
            typed = self.message["typed_result"][0]
            wanted_type = type_of(typed["deduced_type"][0])
            if str(program.type) != str(wanted_type):
                return f"type {program.type}, not {wanted_type}"
            if "result" not in typed:
                return ""
            wanted = value_of(typed["result"][0])
        else:
            wanted = value_of(self.message["value"][0]) if "value" in self.message else True
        return "" if same(found, wanted) else f"{found!r}, not {wanted!r}"


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("d", a) == struct.pack("d", b) or (a != a and b != b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Optional) or isinstance(b, Optional):
        return a == b
    return type(a) is type(b) and equal(a, b)


@cache
def cases() -> list[Case]:
    folder = source()
    found: list[Case] = []
    for path in sorted(folder.glob("*.textproto")) if folder else []:
        for section in _Reader(path.read_text()).message().get("section", []):
            where = f"{path.stem}/{section['name'][0].decode()}"
            found += [Case(f"{where}/{test['name'][0].decode()}", test) for test in section.get("test", [])]
    return found


def results() -> Iterator[tuple[str, str, str]]:
    """(name, passes|fails|skipped, why)."""
    for case in cases():
        why = case.skip()
        if why:
            yield case.name, "skipped", why
            continue
        try:
            fault = case.fault()
        except Unsupported as error:
            yield case.name, "skipped", f"values Kubernetes does not have: {error}"
        else:
            yield case.name, "fails" if fault else "passes", fault


if __name__ == "__main__":
    count: Counter[str] = Counter()
    for name, result, why in results():
        count[result] += 1
        if result == "fails" or (result == "skipped" and "-v" in sys.argv):
            print(f"{name}: {why}")
    print(dict(count))
