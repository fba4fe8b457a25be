"""Characters to tokens, on demand. Called by `parser` only. Pure.

Tokens and messages are those of Prometheus (promql/parser/lex.go): what a word means depends on whether braces or brackets are
open, and inside brackets also on what came before, so the lexer has three states, one method each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from styr.metrics.model.errors import ParseError
from styr.metrics.model.labels import quote

AGGREGATORS = frozenset(
    {
        *("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk", "count_values"),
        *("quantile", "limitk", "limit_ratio"),
    }
)
WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
KEYWORDS = frozenset(
    {
        *("offset", "smoothed", "anchored", "by", "without", "on", "ignoring", "group_left", "group_right"),
        *("fill", "fill_left", "fill_right", "bool"),
    }
)
DURATION_WORDS = frozenset({"step", "range", "max_of", "min_of"})
PREPROCESSORS = DURATION_WORDS | {"start", "end"}
_WORDS = AGGREGATORS | WORD_OPERATORS | KEYWORDS | PREPROCESSORS
_OPERATORS = frozenset(["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "</", ">/", "=~", "!~", "@"])
_SPACE = " \t\n\r"
_ALPHA = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_ALNUM = _ALPHA | frozenset("0123456789")
_DIGITS = frozenset("0123456789")

_NAME = re.compile(r"[A-Za-z0-9_:]*")
_IDENTIFIER = re.compile(r"[A-Za-z0-9_]*")
_LETTERS = re.compile(r"[A-Za-z_]*")
_DURATION = re.compile(r"[smhdwy]s?(?:[0-9]+[smhdw]s?)*")
_LINE = re.compile(r"[^\r\n]*")
_ESCAPE = re.compile(
    r"\\(?:[abfnrtv\\]|[0-3][0-7]{2}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})",
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: identifier, metric identifier, number, duration, string, end of input, or, for all others, the (lower-case) token
    itself. `text` is what was written."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def describe(self) -> str:
        """As Prometheus names it in a message."""
        if self.kind == "end of input":
            return self.kind
        if self.kind in ("identifier", "metric identifier"):
            return f"{self.kind} {quote(self.text)}"
        if self.kind in ("number", "duration", "string"):
            shown = quote(self.text[:10]) + "..." if len(self.text) > 10 else quote(self.text)
            return f"{self.kind} {shown}"
        if self.kind in KEYWORDS:
            return f"<{self.text}>"
        if self.kind in _OPERATORS or self.kind in WORD_OPERATORS:
            return f"<op:{self.text}>"
        if self.kind in AGGREGATORS:
            return f"<aggr:{self.text}>"
        return quote(self.text)


def _rune(char: str) -> str:
    """Go's %q of a rune."""
    if not char:
        return "'\ufffd'"
    if char == "'":
        return "'\\''"
    inner = quote(char)[1:-1]
    return "'" + ('"' if char == '"' else inner) + "'"


class Lexer:
    """`next()` gives one token at a time; after the last, `end of input` for ever. Raises ParseError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._start = 0
        self._parens = 0
        self._bracket = False
        self._colon = False
        self._duration = False
        self._state: Callable[[], Token | None] = self._statement

    def next(self) -> Token:
        while True:
            token = self._state()
            if token is not None:
                return token

    def _fail(self, message: str) -> ParseError:
        return ParseError(message, self.text, self._start, len(self.text))

    def _peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.text[at] if at < len(self.text) else ""

    def _emit(self, kind: str) -> Token:
        token = Token(kind, self.text[self._start : self.at], self._start)
        self._start = self.at
        return token

    def _symbol(self, kind: str) -> Token:
        self.at += len(kind)
        return self._emit(kind)

    def _skip(self) -> bool:
        """Spaces and comments; true when there were some."""
        begin = self.at
        while self.at < len(self.text):
            if self.text[self.at] in _SPACE:
                self.at += 1
            elif self.text[self.at] == "#":
                found = _LINE.match(self.text, self.at)
                self.at = found.end() if found else self.at + 1
            else:
                break
        self._start = self.at
        return self.at > begin

    def _statement(self) -> Token | None:
        self._skip()
        char = self._peek()
        if not char:
            if self._parens:
                raise self._fail("unclosed left parenthesis")
            if self._bracket:
                raise self._fail("unclosed left bracket")
            return self._emit("end of input")
        if char in ",*/%+-^@":
            return self._symbol(char)
        if char in "=!<>":
            return self._comparison(char)
        if char in _DIGITS or (char == "." and self._peek(1) in _DIGITS and self._peek(1)):
            return self._number()
        if char in "\"'`":
            return self._string(char)
        if char in _ALPHA or char == ":":
            return self._word_in_bracket(char) if self._bracket else self._word()
        if char in "()[]{}":
            return self._bracketing(char)
        self.at += 1
        raise self._fail(f"unexpected character: {_rune(char)}")

    def _comparison(self, char: str) -> Token:
        after = self._peek(1)
        if char == "=":
            if after == "~":
                raise self._fail("unexpected character after '=': '~'")
            return self._symbol("==" if after == "=" else "=")
        if char == "!":
            if after != "=":
                raise self._fail(f"unexpected character after '!': {_rune(after)}")
            return self._symbol("!=")
        return self._symbol(char + after if after and after in "=/" else char)

    def _bracketing(self, char: str) -> Token:
        if char == "(":
            self._parens += 1
        elif char == ")":
            self._parens -= 1
            if self._parens < 0:
                self.at += 1
                self._start = self.at
                raise self._fail("unexpected right parenthesis ')'")
        elif char == "{":
            self._state = self._braces
        elif char == "}":
            self.at += 1
            raise self._fail("unexpected character: '}'")
        elif char == "[":
            if self._bracket:
                raise self._fail("unexpected left bracket '['")
            self._bracket, self._colon, self._duration = True, False, False
            self._state = self._in_bracket
        else:
            if not self._bracket:
                raise self._fail("unexpected right bracket ']'")
            self._bracket = False
        return self._symbol(char)

    def _word(self) -> Token:
        found = _NAME.match(self.text, self.at)
        self.at = found.end() if found else self.at
        word = self.text[self._start : self.at]
        lower = word.lower()
        if lower in _WORDS:
            if lower.startswith("fill") and not self.text[self.at :].lstrip(_SPACE).startswith("("):
                return self._emit("identifier")  # `fill` may be a metric
            return self._emit(lower)
        if lower in ("inf", "nan"):
            return self._emit("number")
        return self._emit("metric identifier" if ":" in word else "identifier")

    def _word_in_bracket(self, char: str) -> Token:
        """After a number inside brackets: a colon, or the words of duration expressions."""
        if char == ":":
            if self._colon:
                raise self._fail("unexpected colon ':'")
            self._colon = True
            return self._symbol(":")
        token = self._duration_word()
        if token is None:
            raise self._fail(f"unexpected character: {_rune(char)}, expected ':'")
        return token

    def _duration_word(self) -> Token | None:
        found = _LETTERS.match(self.text, self.at)
        end = found.end() if found else self.at
        word = self.text[self._start : end].lower()
        if word not in DURATION_WORDS:
            return None
        self.at = end
        return self._emit(word)

    def _in_bracket(self) -> Token | None:
        while self._peek() and self._peek() in _SPACE:
            self.at += 1
        self._start = self.at
        char = self._peek()
        if not char:
            raise self._fail("unexpected end of input in duration expression")
        if char == "]":
            self._bracket, self._colon = False, False
            self._state = self._statement
            return self._symbol("]")
        if char == ":":
            if not self._duration:
                self.at += 1
                self._start = self.at
                raise self._fail("unexpected colon before duration in duration expression")
            if self._colon:
                raise self._fail("unexpected repeated colon in duration expression")
            self._colon = True
            return self._symbol(":")
        if char in "()":
            return self._bracketing(char)
        if char in "+-*/%^,":
            return self._symbol(char)
        if char in _DIGITS or (char == "." and self._peek(1) in _DIGITS and self._peek(1)):
            self._duration = True
            self._state = self._statement
            return self._number()
        token = self._duration_word() if char in _ALPHA else None
        if token is None:
            raise self._fail(f"unexpected character in duration expression: {_rune(char)}")
        return token

    def _braces(self) -> Token | None:
        self._skip()
        char = self._peek()
        if not char:
            raise self._fail("unexpected end of input inside braces")
        if char in _ALPHA:
            found = _IDENTIFIER.match(self.text, self.at)
            self.at = found.end() if found else self.at
            return self._emit("identifier")
        if char == ",":
            return self._symbol(",")
        if char in "\"'`":
            return self._string(char)
        if char == "=":
            return self._symbol("=~" if self._peek(1) == "~" else "=")
        if char == "!":
            after = self._peek(1)
            if after and after in "~=":
                return self._symbol("!" + after)
            raise self._fail(f"unexpected character after '!' inside braces: {_rune(after)}")
        if char == "{":
            raise self._fail("unexpected left brace '{'")
        if char == "}":
            self._state = self._statement
            return self._symbol("}")
        raise self._fail(f"unexpected character inside braces: {_rune(char)}")

    def _string(self, opening: str) -> Token:
        """Checks escapes; `unquote` resolves them."""
        at, text = self.at + 1, self.text
        while True:
            char = text[at] if at < len(text) else ""
            if not char or (char == "\n" and opening != "`"):
                raise self._fail("unterminated raw string" if opening == "`" else "unterminated quoted string")
            if char == opening:
                break
            if char == "\\" and opening != "`":
                at = self._escape(at, opening)
            else:
                at += 1
        self.at = at + 1
        return self._emit("string")

    def _escape(self, at: int, opening: str) -> int:
        after = self.text[at + 1 : at + 2]
        if after == opening:
            return at + 2
        found = _ESCAPE.match(self.text, at)
        if found is None:
            raise self._fail(self._bad_escape(at, after))
        digits = found.group()[2:]
        if after in "uU":
            code = int(digits, 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise self._fail("escape sequence is an invalid Unicode code point")
        return found.end()

    def _bad_escape(self, at: int, after: str) -> str:
        if not after:
            return "escape sequence not terminated"
        if after in "01234567":
            base, at, most = 8, at + 1, 3
        elif after in "xuU":
            base, at, most = 16, at + 2, {"x": 2, "u": 4, "U": 8}[after]
        else:
            return f"unknown escape sequence {_unicode(after)}"
        for char in self.text[at : at + most]:
            if char not in "01234567" and (base == 8 or char not in "89abcdefABCDEF"):
                return f"illegal character {_unicode(char)} in escape sequence"
        if at + most > len(self.text):
            return "escape sequence not terminated"
        return "escape sequence is an invalid Unicode code point"

    def _number(self) -> Token:
        if self._scan_number():
            return self._emit("number")
        found = _DURATION.match(self.text, self.at)
        if found:
            self.at = found.end()
            if self._peek() not in _ALNUM:
                return self._emit("duration")
            self.at += 1
            while self.text[self.at - 1] in _DIGITS and self._peek() in _DIGITS:
                self.at += 1
        raise self._fail(f"bad number or duration syntax: {quote(self.text[self._start : self.at])}")

    def _scan_number(self) -> bool:  # noqa: C901  # one automaton, as in the grammar
        """Moves behind a number; false when what stands there is none (perhaps a duration)."""
        digits = _DIGITS
        if self._peek() == "0" and self._peek(1) in ("x", "X"):
            self.at += 2
            digits = frozenset("0123456789abcdefABCDEF")
            if self._peek() == "_":
                self.at += 1
        elif self._peek() == "0":
            self.at += 1
        if self._peek() == ".":
            self.at += 1
        dot, exponent = False, False
        if self._peek() in digits and self._peek():
            self.at += 1
        while (char := self._peek()) and (char in digits or char in "._eE"):
            self.at += 1
            if char in digits:
                continue
            if char == ".":
                if dot or len(digits) > 10 or self._take("_."):
                    return False
                dot = True
            elif char in "eE":
                if exponent:
                    return False
                exponent = True
                self._take("+-")
                if self._take("._eE") or not self._peek():
                    return False
            elif self._take("._eE") or not self._peek():
                return False
        return self._peek() not in _ALNUM

    def _take(self, chars: str) -> bool:
        if self._peek() and self._peek() in chars:
            self.at += 1
            return True
        return False


def _unicode(char: str) -> str:
    """Go's %#U."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"


_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BYTES = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-3][0-7]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)


def unquote(literal: str) -> str:
    r"""The string that a literal means. `\x` and octal escapes are bytes; what is no UTF-8 in the end is kept as surrogates,
    which `valid` makes U+FFFD."""
    body = literal[1:-1]
    if literal[0] == "`" or "\\" not in body:
        return body

    def resolve(found: re.Match[bytes]) -> bytes:
        what = found.group(1).decode("utf-8", "surrogateescape")
        if what[0] in "uU" and len(what) > 1:
            return chr(int(what[1:], 16)).encode()
        if what[0] == "x" and len(what) > 1:
            return bytes([int(what[1:], 16)])
        if len(what) == 3:
            return bytes([int(what, 8)])
        return _SIMPLE.get(what, what).encode("utf-8", "surrogateescape")

    return _BYTES.sub(resolve, body.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def valid(text: str) -> str:
    """With U+FFFD for every byte that is no UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_utf8(text: str) -> bool:
    return valid(text) == text
