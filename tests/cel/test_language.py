"""Expressions, their values and their errors: one row a behaviour. What Kubernetes' documentation gives as examples is here."""

from __future__ import annotations

from typing import Any

import pytest

from styr.cel import types
from styr.cel.environment import PER_CALL, Environment, kubernetes
from styr.cel.errors import CompileError, CostExceeded, EvaluationError
from styr.cel.library.authorizer import AUTHORIZER, Authorizer, Check, Decision
from styr.cel.values import ListMap, ListSet
from styr.kinds.transport import User

SELF = {
    "a": {"b": 1, "none": None},
    "items": [{"name": "x", "n": 1}, {"name": "y", "n": 2}],
    "on": True,
    "text": "héllo",
}
ENVIRONMENT = Environment({"self": types.DYN, "n": types.INT}, functions=kubernetes(patches=True))


def evaluate(text: str, value: Any = SELF, n: int = 7) -> Any:
    return ENVIRONMENT.compile(text).run(PER_CALL, value, n)[0]


TRUE = """
self.a.b == 1 && self.a.b == 1.0 && self.a.b == 1u
self.items.all(i, i.n > 0) && self.items.exists(i, i.name == 'y') && self.items.exists_one(i, i.n == 2)
self.items.map(i, i.n) == [1, 2] && self.items.filter(i, i.n > 1).size() == 1
self.items.map(i, i.n > 1, i.name) == ['y']
has(self.a.b) && !has(self.a.c) && has(self.a.none) && self.a.none == null
self.missing == 1 || true
true || self.missing == 1
!(self.missing == 1 && false)
n > 3 ? self.on : self.missing
self['a']['b'] == 1 && self.text.size() == 5
'b' in self.a && !('c' in self.a) && 3 in [1, 2, 3] && n in [7]
{'a': 1, 'b': 2}.all(k, v, v > 0 && k != '') && [5, 6].all(i, v, v == i + 5)
{'a': 1}.transformMap(k, v, v + 1) == {'a': 2} && [1, 2].transformList(i, v, v * i) == [0, 2]
{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}
self.?a.b.orValue(5) == 1 && self.?z.b.orValue(5) == 5 && self.?a.?b.hasValue() && !self.?z.hasValue()
optional.of(3).optMap(x, x + 1).value() == 4 && optional.none().or(optional.of(1)).value() == 1
optional.of([1]).optFlatMap(l, l.first()).value() == 1 && !optional.ofNonZeroValue('').hasValue()
[1, ?optional.none(), ?optional.of(2)] == [1, 2] && {?'a': optional.none(), 'b': 1} == {'b': 1}
{'a': 1}[?'a'].value() == 1 && !{'a': 1}[?'b'].hasValue() && [1][?0].value() == 1 && [1][?9] == optional.none()
[1, 2, 3].isSorted() && ![2, 1].isSorted() && [1, 3].sum() == 4 && [1.5, 2.5].sum() == 4.0
[3, 1, 2].min() == 1 && ['a', 'c'].max() == 'c' && [1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2
[1, 2, 3].slice(1, 3) == [2, 3] && [[1], [2, 3]].flatten() == [1, 2, 3] && [[[1]], [[2]]].flatten(2) == [1, 2]
[3, 1, 2].sort() == [1, 2, 3] && self.items.sortBy(i, -i.n)[0].name == 'y' && [1, 1, 2].distinct() == [1, 2]
[1, 2].reverse() == [2, 1] && lists.range(3) == [0, 1, 2] && [1].first().value() == 1 && [1, 2].last().value() == 2
sets.contains([1, 2], [2]) && sets.equivalent([1, 2, 1], [2, 1]) && sets.intersects([1], [1, 2]) && !sets.intersects([1], [3])
'a'.startsWith('a') && 'ab'.endsWith('b') && 'abc'.contains('b') && 'abc'.matches('^a.c$') && matches('abc', 'b')
'hello'.charAt(1) == 'e' && 'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'hello'.indexOf('l', 3) == 3
'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b'
'hello'.substring(1, 3) == 'el' && 'hello'.substring(3) == 'lo' && ' x '.trim() == 'x' && 'aXa'.replace('a', 'b') == 'bXb'
'TacoCat'.lowerAscii() == 'tacocat' && 'aæ'.upperAscii() == 'Aæ' && 'aaa'.replace('a', 'b', 2) == 'bba'
'%s is %d, %.2f, %x, %b, %o'.format(['a', 5, 1.5, 255, 5, 8]) == 'a is 5, 1.50, ff, 101, 10'
'%s'.format([[1, 2]]) == '[1, 2]' && '%s'.format([{'k': true}]) == '{"k":true}' && '100%%'.format([]) == '100%'
strings.quote('a"b\\n') == '"a\\\\"b\\\\n"'
'abc 123'.find('[0-9]+') == '123' && 'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]+', 1) == ['1']
url('https://h.io:80/p a?k=v&k=w').getHost() == 'h.io:80' && url('https://[::1]:80/').getHostname() == '::1'
url('https://h.io:80/p a?k=v&k=w').getEscapedPath() == '/p%20a' && url('https://h/?k=v&k=w').getQuery() == {'k': ['v', 'w']}
url('/path').getScheme() == '' && isURL('https://a') && !isURL('a b') && url('https://h:1').getPort() == '1'
quantity('1Gi').isGreaterThan(quantity('500Mi')) && quantity('50k').add(20) == quantity('50020')
quantity('200M').compareTo(quantity('0.2G')) == 0 && !isQuantity('1x')
quantity('50k').sub(quantity('20k')) == quantity('30k')
quantity('9').asInteger() == 9 && !quantity('1500m').isInteger() && quantity('1500m').asApproximateFloat() == 1.5
sign(quantity('-1')) == -1
ip('127.0.0.1').family() == 4 && ip('::1').isLoopback() && isIP('1.2.3.4') && !isIP('01.2.3.4') && !isIP('fe80::1%en0')
!ip.isCanonical('2001:DB8::ABCD') && ip('2001:DB8::ABCD') == ip('2001:db8::abcd') && string(ip('::1')) == '::1'
cidr('10.0.0.0/8').containsIP('10.1.1.1') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && isCIDR('10.0.0.1/8')
string(cidr('10.0.0.1/8').masked()) == '10.0.0.0/8' && cidr('10.0.0.1/8').prefixLength() == 8 && cidr('::/0').ip().family() == 6
format.dns1123Label().validate('a-b') == optional.none() && format.dns1123Label().validate('A').hasValue()
format.named('uuid').value().validate('x').value() == ['does not match the UUID format']
semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && isSemver('v1.2', true)
semver('1.2.3').major() == 1 && semver('v01.01', true).minor() == 1 && semver('1.0.0+a') == semver('1.0.0+b')
timestamp('2020-02-29T00:00:00Z') + duration('24h') == timestamp('2020-03-01T00:00:00Z')
timestamp('2020-02-29T23:00:00Z').getDate('+02:00') == 1 && timestamp('2020-01-05T00:00:00Z').getDayOfWeek() == 0
duration('90m').getHours() == 1 && duration('1h') > duration('59m') && string(duration('90s')) == '90s'
int('42') == 42 && double('1.5') == 1.5 && string(1.0) == '1' && string(1e10) == '1e+10' && bool('True') && uint(3) == 3u
bytes('é').size() == 2 && string(b'\\xc3\\xa9') == 'é' && b'a' < b'b' && type(1u) == uint && type([]) == list
0x1F == 31 && 1e3 == 1000.0 && -0x10 == -16
-7 / 2 == -3 && -7 % 2 == -1 && 7.0 / 0.0 > 1e300 && [1, 2] + [3] == [1, 2, 3] && 1 - -1 == 2
1 in {1: 'a'} && !(true in [false]) && {true: 1}[true] == 1 && {1: 'a', 2: 'b'}.size() == 2
[[1], [2]].all(x, x.all(y, [y].exists(z, z == y)))
jsonpatch.escapeKey('k8s.io/a~b') == 'k8s.io~1a~0b'
"""


@pytest.mark.parametrize("text", TRUE.strip().split("\n"))
def test_holds(text: str) -> None:
    assert evaluate(text) is True


def test_raw_and_triple_quoted_strings() -> None:
    assert evaluate("r'\\d' == '\\\\d' && '''a\nb''' == 'a\\nb' && \"\\u00e9\" == 'é' && '\\x41\\101' == 'AA'") is True
    assert evaluate("// a comment\ntrue // another") is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("self.z", "no such key: z"),
        ("self.text.z", "no such overload"),
        ("self.a.none.z", "no such overload"),
        ("1 / (n - 7)", "division by zero"),
        ("1 % (n - 7)", "modulus by zero"),
        ("9223372036854775807 + n", "integer overflow"),
        ("-9223372036854775808 - n", "integer overflow"),
        ("uint(n) - 8u", "unsigned integer overflow"),
        ("self.items[n]", "index out of bounds: 7"),
        ("{'a': 1}[string(n)]", "no such key: 7"),
        ("int(self.text)", "type conversion error from 'string' to 'int'"),
        ("int(1e300 * double(n))", "integer overflow"),
        ("timestamp(self.text)", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        ("duration(self.text)", "type conversion error from 'string' to 'google.protobuf.Duration'"),
        ("self.text + self.a", "no such overload"),
        ("self.text < self.a.b", "no such overload"),
        ("self.on && self.text", "no such overload"),
        ("self.a.b.all(x, x)", "no such overload"),
        ("[].max()", "max called on empty list"),
        ("'abc'.substring(n)", "index out of range: 7"),
        ("optional.none().value()", "optional.none() dereference"),
        ("'a'.find(self.text + '[')", "error parsing regexp: missing"),
        ("{self.text: 1, self.text: 2}", "repeated key"),
        ("quantity(self.text)", "quantities must match the regular expression"),
        ("ip(self.text)", "parse error during conversion from string"),
        ("self.items.map(i, i.z)", "no such key: z"),
    ],
)
def test_has_no_value(text: str, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        evaluate(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ERROR: <input>:1:1: Syntax error: mismatched input '<EOF>' expecting"),
        ("1 +", "ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>' expecting"),
        ("(1", "ERROR: <input>:1:3: Syntax error: missing ')' at '<EOF>'\n | (1\n | ..^"),
        ("nope > 1", "ERROR: <input>:1:1: undeclared reference to 'nope' (in container '')\n | nope > 1\n | ^"),
        ("nope(1)", "ERROR: <input>:1:5: undeclared reference to 'nope' (in container '')"),
        (
            "n + 'a'",
            "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | n + 'a'\n | ..^",
        ),
        ("n.startsWith('a')", "found no matching overload for 'startsWith' applied to 'int.(string)'"),
        ("n.field", "type 'int' does not support field selection"),
        ("n && true", "expected type 'bool' but found 'int'"),
        ("n ? 1 : 2", "found no matching overload for '_?_:_' applied to '(int, int, int)'"),
        ("[1, 'a']", "expected type 'int' but found 'string'"),
        (
            "n.all(x, true)",
            "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("[1].all(1, true)", "argument must be a simple name"),
        ("has(n)", "invalid argument to has() macro"),
        ("duration('1')", "invalid duration argument"),
        ("'a'.matches('[')", "invalid matches argument"),
        (
            "'%d'.format(['a'])",
            "error during formatting: decimal clause can only be used on integers, was given string",
        ),
        ("as", "reserved identifier: as"),
        ("n\n  + 'é'\n  + 1", "ERROR: <input>:2:3: found no matching overload"),
        ("9223372036854775808", "invalid int literal"),
        ("'\\q'", "token recognition error"),
        ("Foo{a: 1}", "undeclared reference to 'Foo'"),
        ("(" * 200 + "1" + ")" * 200, "expression recursion limit exceeded"),
        ("1" + "+1" * 500, "expression recursion limit exceeded"),
        ("1 " * 60_000, "expression code point size exceeds limit"),
    ],
)
def test_is_refused(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        ENVIRONMENT.compile(text)
    assert message in str(caught.value) or "unable to unescape" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "lists.range(2000).all(a, lists.range(2000).all(b, a + b >= 0))",
        "lists.range(1000000)",
        "lists.range(300000).map(x, self.text + 'x').size() > 0",
        "optional.of('xxxxxxxxxx' + self.text)"
        + "".join(f".optMap(v{i}, v{i} + v{i})" for i in range(40))
        + ".hasValue()",
        "optional.of(self.items)" + "".join(f".optMap(v{i}, v{i} + v{i})" for i in range(40)) + ".hasValue()",
        "'%s'.format([self.text]).replace('', 'y').replace('', self.text)"
        + ".replace('', 'yyyyyyyyyyyyyyyyyyyyyyy')" * 12,
    ],
)
def test_the_budget_ends_what_would_take_too_long_or_too_much(text: str) -> None:
    with pytest.raises(CostExceeded, match="actual cost limit exceeded"):
        evaluate(text)


def test_lists_of_schemas_compare_and_join_by_their_type() -> None:
    both = Environment({"a": types.list_of(types.DYN), "b": types.list_of(types.DYN)})

    def ask(text: str, a: list[Any], b: list[Any]) -> Any:
        return both.compile(text).run(PER_CALL, a, b)[0]

    assert ask("a == b", ListSet([1, 2]), ListSet([2, 1])) is True
    assert ask("a + b", ListSet([1, 2]), ListSet([2, 3])) == [1, 2, 3]
    first, second = ListMap([{"k": 1, "v": 1}, {"k": 2}]), ListMap([{"k": 2}, {"k": 1, "v": 1}])
    first.keys = second.keys = ("k",)
    assert ask("a == b", first, second) is True
    assert ask("a + [{'k': 1}]", first, second) == [{"k": 1}, {"k": 2}]


def test_an_authorizer_is_asked_and_its_answers_are_values() -> None:
    asked: list[tuple[User, Check]] = []

    def decide(user: User, check: Check) -> Decision:
        asked.append((user, check))
        return Decision(check.verb == "get", "because")

    environment = Environment({"authorizer": AUTHORIZER})
    authorizer = Authorizer(User("alice"), decide)
    text = (
        "authorizer.group('apps').resource('deployments').subresource('status').namespace('ns').name('x').check('get')"
    )
    assert environment.compile(f"{text}.allowed() && {text}.reason() == 'because'").run(PER_CALL, authorizer)[0] is True
    assert asked[0] == (User("alice"), Check("get", "", "apps", "deployments", "status", "ns", "x"))
    text = "!authorizer.serviceAccount('ns', 'sa').path('/healthz').check('post').allowed()"
    assert environment.compile(text).run(PER_CALL, authorizer)[0] is True
    assert asked[-1][0].name == "system:serviceaccount:ns:sa"
    assert asked[-1][1].path == "/healthz"
    with pytest.raises(CostExceeded):
        environment.compile(" || ".join([text.replace("!", "!!")] * 3)).run(PER_CALL, authorizer)
