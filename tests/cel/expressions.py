"""Random expressions, mostly well typed, over the variables that `tests/peers/cel` declares; and values for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from styr.cel import types
from styr.cel.environment import Environment, kubernetes

VARIABLES = {
    "self": types.DYN,
    "oldSelf": types.DYN,
    "n": types.INT,
    "s": types.STRING,
    "l": types.list_of(types.INT),
    "w": types.list_of(types.STRING),
    "m": types.map_of(types.STRING, types.INT),
}
ENVIRONMENT = Environment(VARIABLES, functions=kubernetes(patches=True))

_INTS = (
    "0",
    "1",
    "-1",
    "2",
    "7",
    "9223372036854775807",
    "-9223372036854775808",
    "100",
    "n",
    "size(s)",
    "size(l)",
    "self.i",
)
_DOUBLES = (
    "0.0",
    "1.5",
    "-2.25",
    "1e300",
    "double(n)",
    "3.0",
    "self.d",
    "double('NaN')",
    "1.0/0.0",
    "1e15",
    "1e21",
    "1e-7",
)
_STRINGS = (
    *(
        "''",
        "'a'",
        "'abc'",
        "'b,c'",
        "'ÆØÅ'",
        "'1Gi'",
        "'10.0.0.1'",
        "'2001:db8::1'",
        "'1.2.3'",
        "s",
        "self.s",
        "'  x '",
    ),
    *(
        "'https://u@h.io:80/p q?a=1&b=2#f'",
        "'-1.50'",
        "'true'",
        "'a/b~c'",
        "'Aa-Zz'",
        "'😀x'",
        "'10.0.0.0/8'",
        "'1h30m'",
    ),
    *(
        "'2020-02-29T12:30:45.5Z'",
        "'v1.2'",
        "'1.0.0-rc.1+b'",
        "'500m'",
        "'-1e3'",
        "'0x1F'",
        "'a\\tb'",
        "'my-name'",
        "'$%'",
    ),
)
_PATTERNS = ("'a+'", "'^[a-z]*$'", "'[0-9]+'", "'(a|b)c?'", "'.'", "''", "'\\\\d'")
_ZONES = ("'UTC'", "'+02:00'", "'-08:30'", "'America/New_York'", "'nowhere'")


class Generator:
    """`seed` decides everything."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.variables: dict[str, list[str]] = {}

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def make(self, kind: str, depth: int) -> str:
        known = self.variables.get(kind)
        if known and self.random.random() < 0.4:
            return self.random.choice(known)
        return getattr(self, kind)(depth)

    def any(self, depth: int) -> str:
        return self.make(self.pick("bool", "int", "string", "double", "ints", "strings", "other"), depth)

    def within(self, kind: str, name: str, result: str, depth: int) -> str:
        """An expression of `result` in which `name` is a variable of `kind`."""
        self.variables.setdefault(kind, []).append(name)
        found = self.make(result, depth)
        self.variables[kind].pop()
        return found

    def int(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(*_INTS)
        d = depth - 1
        i, t, ls, ws = (lambda: self.make("int", d), lambda: self.make("string", d), self.lists, self.words)
        return self.one(
            lambda: f"({i()} {self.pick('+', '-', '*', '/', '%')} {i()})",
            lambda: f"-({i()})",
            lambda: f"({self.make('bool', d)} ? {i()} : {i()})",
            lambda: f"size({self.make(self.pick('string', 'ints', 'strings'), d)})",
            lambda: f"int({self.pick(self.make('double', d), t(), i())})",
            lambda: f"{t()}.{self.pick('indexOf', 'lastIndexOf')}({t()}{self.pick('', ', 1', ', -1')})".replace(
                ", )", ")"
            ),
            lambda: f"{ls(d)}.{self.pick('sum', 'min', 'max')}()",
            lambda: f"{ls(d)}.{self.pick('indexOf', 'lastIndexOf')}({i()})",
            lambda: f"{ls(d)}[{i()}]",
            lambda: f"m[{t()}]",
            lambda: f"m[?{t()}].orValue({i()})",
            lambda: f"{self.time(d)}.{self.pick(*_PARTS)}({self.pick('', self.pick(*_ZONES))})",
            lambda: f"{self.span(d)}.{self.pick('getHours', 'getMinutes', 'getSeconds', 'getMilliseconds')}()",
            lambda: f"quantity({t()}).{self.pick('asInteger()', f'compareTo(quantity({t()}))')}",
            lambda: f"semver({t()}).{self.pick('major', 'minor', 'patch')}()",
            lambda: f"ip({t()}).family()",
            lambda: f"cidr({t()}).prefixLength()",
            lambda: f"{ls(d)}.first().orValue({i()})",
            lambda: f"optional.of({i()}).optMap(o, o + {self.within('int', 'o', 'int', d)}).value()",
            lambda: f"size({ws(d)})",
        )

    def one(self, *choices: Callable[[], str]) -> str:
        return self.random.choice(choices)()

    def double(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(*_DOUBLES)
        d = depth - 1
        x = lambda: self.make("double", d)  # noqa: E731
        return self.one(
            lambda: f"({x()} {self.pick('+', '-', '*', '/')} {x()})",
            lambda: f"double({self.make(self.pick('int', 'string'), d)})",
            lambda: f"-({x()})",
            lambda: f"quantity({self.make('string', d)}).asApproximateFloat()",
        )

    def string(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(*_STRINGS)
        d = depth - 1
        t, i = (lambda: self.make("string", d)), (lambda: self.make("int", d))
        return self.one(
            lambda: f"({t()} + {t()})",
            lambda: f"string({self.make(self.pick('int', 'double', 'bool', 'string'), d)})",
            lambda: f"string({self.pick(self.time(d), self.span(d))})",
            lambda: f"{t()}.{self.pick('lowerAscii', 'upperAscii', 'trim')}()",
            lambda: f"{t()}.replace({t()}, {t()}{self.pick('', ', 1', ', 0')})",
            lambda: f"{t()}.substring({self.pick('0', '1', i())}{self.pick('', ', 2', ', ' + i())})",
            lambda: f"{t()}.charAt({self.pick('0', '1', i())})",
            lambda: f"{self.words(d)}.join({self.pick('', t())})",
            lambda: f"{t()}.find({self.pick(*_PATTERNS)})",
            lambda: f"strings.quote({t()})",
            lambda: f"'%s %d %b %x %o %.2f'.format([{t()}, {i()}, {i()}, {i()}, {i()}, {self.make('double', d)}])",
            lambda: f"'%s'.format([{self.any(d)}])",
            lambda: f"url({t()}).{self.pick('getScheme', 'getHost', 'getHostname', 'getPort', 'getEscapedPath')}()",
            lambda: f"jsonpatch.escapeKey({t()})",
            lambda: f"string({self.pick('ip', 'cidr')}({t()}))",
            lambda: f"string({self.pick('cidr')}({t()}).masked())",
            lambda: f"({self.make('bool', d)} ? {t()} : {t()})",
            lambda: f"self.{self.pick('s', 'o.k', 'missing', 'i')}",
        )

    def words(self, depth: int) -> str:
        return self.make("strings", depth)

    def lists(self, depth: int) -> str:
        return self.make("ints", depth)

    def strings(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("w", "['a', 'b']", "['a']", "w + ['z']")
        d = depth - 1
        t = lambda: self.make("string", d)  # noqa: E731
        return self.one(
            lambda: f"[{t()}, {t()}]",
            lambda: f"{t()}.split({t()}{self.pick('', ', 1', ', 2', ', 0')})",
            lambda: f"{t()}.findAll({self.pick(*_PATTERNS)}{self.pick('', ', 1')})",
            lambda: f"{self.words(d)}.map(x, {self.within('string', 'x', 'string', d)})",
            lambda: f"{self.words(d)}.filter(x, {self.within('string', 'x', 'bool', d)})",
            lambda: f"{self.words(d)}.{self.pick('sort', 'distinct', 'reverse')}()",
            lambda: f"m.map(k, {self.within('string', 'k', 'string', d)}).sort()",
            lambda: f"{self.words(d)}.sortBy(x, {self.within('string', 'x', 'int', d)})",
        )

    def ints(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("l", "[1, 2, 3]", "[n]", "l + [5]", "[3, 1, 2]", "self.l")
        d = depth - 1
        i = lambda: self.make("int", d)  # noqa: E731
        return self.one(
            lambda: f"[{i()}, {i()}]",
            lambda: f"({self.lists(d)} + {self.lists(d)})",
            lambda: f"{self.lists(d)}.map(y, {self.within('int', 'y', 'int', d)})",
            lambda: (
                f"{self.lists(d)}.map(y, {self.within('int', 'y', 'bool', d)}, {self.within('int', 'y', 'int', d)})"
            ),
            lambda: f"{self.lists(d)}.filter(y, {self.within('int', 'y', 'bool', d)})",
            lambda: f"{self.lists(d)}.{self.pick('sort', 'distinct', 'reverse')}()",
            lambda: f"{self.lists(d)}.slice({self.pick('0', '1')}, {self.pick('1', '2', i())})",
            lambda: f"lists.range({self.pick('0', '3', '5')})",
            lambda: f"[{self.lists(d)}, {self.lists(d)}].flatten()",
            lambda: f"{self.lists(d)}.transformList(j, v, {self.within('int', 'j', 'int', d)})",
        )

    def bool(self, depth: int) -> str:
        if depth <= 0:
            return self.pick("true", "false", "self.b", "n > 3", "s == 'a'", "'a' in w", "2 in l", "has(self.i)")
        d = depth - 1
        b, t = (lambda: self.make("bool", d)), (lambda: self.make("string", d))
        return self.one(
            lambda: f"({b()} {self.pick('&&', '||')} {b()})",
            lambda: f"({b()} && {b()} && {b()})",
            lambda: f"!({b()})",
            lambda: f"({self.comparable(d)})",
            lambda: f"(dyn({self.any(d)}) {self.pick('==', '!=', '<', '>=')} {self.any(d)})",
            lambda: f"{t()}.{self.pick('startsWith', 'endsWith', 'contains')}({t()})",
            lambda: f"{t()}.matches({self.pick(*_PATTERNS)})",
            lambda: f"({t()} in {self.words(d)})",
            lambda: f"({self.make('int', d)} in {self.pick(self.lists(d), '[1, 2, n]', '[1, 2]')})",
            lambda: f"({t()} in m)",
            lambda: (
                f"{self.lists(d)}.{self.pick('all', 'exists', 'exists_one')}(x, {self.within('int', 'x', 'bool', d)})"
            ),
            lambda: (
                f"{self.lists(d)}.{self.pick('all', 'exists', 'existsOne')}(j, v, {self.within('int', 'v', 'bool', d)})"
            ),
            lambda: f"m.{self.pick('all', 'exists')}(k, v, {self.within('string', 'k', 'bool', d)})",
            lambda: f"has(self.{self.pick('i', 'missing', 'o.k', 'o.z', 'missing.x')})",
            lambda: f"{self.pick('isIP', 'isCIDR', 'isURL', 'isQuantity', 'isSemver', 'ip.isCanonical')}({t()})",
            lambda: f"ip({t()}).{self.pick('isLoopback', 'isGlobalUnicast', 'isLinkLocalUnicast', 'isUnspecified')}()",
            lambda: f"cidr({t()}).{self.pick('containsIP', 'containsCIDR')}({t()})",
            lambda: f"quantity({t()}).{self.pick('isLessThan', 'isGreaterThan')}(quantity({t()}))",
            lambda: f"quantity({t()}).isInteger()",
            lambda: f"semver({t()}, true).{self.pick('isLessThan', 'isGreaterThan')}(semver({t()}))",
            lambda: f"format.{self.pick(*_FORMATS)}().validate({t()}).hasValue()",
            lambda: f"sets.{self.pick('contains', 'equivalent', 'intersects')}({self.lists(d)}, {self.lists(d)})",
            lambda: f"{self.pick(self.lists(d), self.words(d))}.isSorted()",
            lambda: f"bool({t()})",
            lambda: f"(type({self.any(d)}) == {self.pick('int', 'string', 'list', 'double', 'type', 'map')})",
            lambda: f"self.?{self.pick('i', 'missing')}.hasValue()",
        )

    def comparable(self, depth: int) -> str:
        kind = self.pick("int", "double", "string", "bool", "time", "span", "ints", "strings")
        sign = self.pick("==", "!=", "<", "<=", ">", ">=") if kind not in ("ints", "strings") else self.pick("==", "!=")
        return f"{self.make(kind, depth)} {sign} {self.make(kind, depth)}"

    def time(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(*_TIMES)
        return self.one(
            lambda: f"({self.time(depth - 1)} {self.pick('+', '-')} {self.span(depth - 1)})",
            lambda: f"timestamp({self.make(self.pick('string', 'int'), depth - 1)})",
        )

    def span(self, depth: int) -> str:
        if depth <= 0:
            return self.pick(
                "duration('1h')", "duration('-1.5s')", "duration('10ms')", "duration('24h1m3.5s')", "duration(s)"
            )
        return self.one(
            lambda: f"({self.span(depth - 1)} {self.pick('+', '-')} {self.span(depth - 1)})",
            lambda: f"({self.time(depth - 1)} - {self.time(depth - 1)})",
            lambda: f"duration({self.make('string', depth - 1)})",
        )

    def other(self, depth: int) -> str:
        d = depth - 1
        return self.one(
            lambda: self.pick(
                "null", "self", "self.o", "1u", "18446744073709551615u", "b'ab'", "{}", "[]", "m", "self.l"
            ),
            lambda: f"{{{self.make('string', d)}: {self.make('int', d)}}}",
            lambda: f"optional.of({self.make('int', d)})",
            lambda: f"self.?{self.pick('i', 'missing', 'o')}",
            lambda: f"uint({self.make(self.pick('int', 'double', 'string'), d)})",
            lambda: f"bytes({self.make('string', d)})",
            lambda: f"type({self.any(d)})",
            lambda: f"m.transformMap(k, v, {self.within('int', 'v', 'int', d)})",
            lambda: f"url({self.make('string', d)}).getQuery()",
            lambda: f"format.{self.pick(*_FORMATS)}().validate({self.make('string', d)})",
            lambda: self.time(d),
            lambda: self.span(d),
        )


_PARTS = (
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getMilliseconds",
)
_FORMATS = (
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
)
_TIMES = (
    "timestamp('2020-02-29T12:30:45.123Z')",
    "timestamp('1969-12-31T23:59:59Z')",
    "timestamp('9999-12-30T23:59:59Z')",
    "timestamp('0001-01-02T00:00:00Z')",
    "timestamp(n)",
)


def values(seed: int) -> dict[str, Any]:
    """For the variables, as JSON."""
    chosen = random.Random(seed)
    return {
        "self": {
            "i": chosen.choice([0, 3, -5, 2**53]),
            "d": chosen.choice([0.5, -2.25, 1e10]),
            "s": chosen.choice(["", "abc", "1Gi", "10.1.2.3"]),
            "b": chosen.choice([True, False]),
            "l": [3, 1, 2][: chosen.randrange(4)],
            "o": {"k": "v", "n": None},
        },
        "oldSelf": None,
        "n": chosen.choice([0, 1, 3, -7, 2**40]),
        "s": chosen.choice(["a", "", "b,c", "90m"]),
        "l": chosen.choice([[], [1, 2, 3], [5, 4, 4]]),
        "w": chosen.choice([[], ["a", "b"], ["z", "a", "a"]]),
        "m": chosen.choice([{}, {"a": 1, "b": 2}, {"abc": -1}]),
    }


def expressions(seed: int, count: int) -> list[tuple[str, dict[str, Any]]]:
    generator = Generator(seed)
    return [(generator.any(generator.random.randrange(1, 4)), values(seed + index)) for index in range(count)]
