"""The Prometheus text format, 0.0.4 and 1.0 (which adds quoted names), as lenient as Prometheus' own parser.

Called by `negotiate.parse`. One regular expression reads the lines that exporters write; what it does not match goes
token by token, by the rules of Prometheus' lexer (model/textparse/promlex.l): white space where it likes, commas that
may be missing, label values over several lines, a NUL byte at the start of a line as the end of the body."""

from __future__ import annotations

import re
from collections.abc import Mapping

from styr.metrics.exposition.entry import Exposition, ExpositionError, Family, Sample
from styr.metrics.exposition.numbers import openmetrics_float, parse_float
from styr.metrics.model.labels import METRIC_NAME, Labels

# Possessive throughout: a hostile line costs its length, not its square.
# Possessive on single characters only: on groups they are wrong in Python before 3.11.5, and not needed, since what follows a
# group can never match inside of it.
_QUOTED = rb'"[^"\\]*+(?:\\[^\n][^"\\]*+)*"'
_PLAIN_QUOTED = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*"'
_LABEL = rb"[a-zA-Z_][a-zA-Z0-9_]*+"
_METRIC = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"

_LINE = re.compile(
    rb"(?P<name>" + _METRIC + rb")"
    rb"(?:[ \t]*+\{(?P<labels>(?:[ \t]*+" + _LABEL + rb"[ \t]*+=[ \t]*+" + _PLAIN_QUOTED + rb"[ \t]*+,?+)*)[ \t]*+\})?"
    rb"[ \t]*+(?P<value>[^{ \t\n]++)[ \t]*+(?P<time>[0-9]++)?[ \t]*+\n"
)
_PAIR = re.compile(rb"(" + _LABEL + rb')[ \t]*+=[ \t]*+"([^"\\]*+(?:\\[^\n][^"\\]*+)*)"')
_BLANK = re.compile(rb"[ \t]*+\n?")
_COMMENT = re.compile(rb"#[^\n]*+\n?")
_META = re.compile(rb"#[ \t]++(HELP|TYPE)[ \t]++(" + _METRIC + rb"|" + _QUOTED + rb")?")
_REST = re.compile(rb"[^\n]*+")
_SPACE = re.compile(rb"[ \t]*+")
_TOKENS = {
    "name": re.compile(_METRIC),
    "label": re.compile(rb"(" + _LABEL + rb")|(" + _QUOTED + rb")"),
    "value": re.compile(rb"[^{ \t\n]++"),
    "string": re.compile(_QUOTED),
    "time": re.compile(rb"[0-9]++"),
}
_ESCAPE = re.compile(r'\\([\\n"])')
_HELP_ESCAPE = re.compile(r"\\([\\n])")
_TYPES: Mapping[bytes, str] = {
    b"counter": "counter",
    b"gauge": "gauge",
    b"histogram": "histogram",
    b"summary": "summary",
    b"untyped": "unknown",
}


def parse(body: bytes) -> Exposition:
    """A whole body. Raises ExpositionError with the number of the line."""
    return TextParser(body).run()


def unescape(text: str, escape: re.Pattern[str] = _ESCAPE) -> str:
    return escape.sub(lambda m: "\n" if m[1] == "n" else m[1], text) if "\\" in text else text


class TextParser:
    """One body; `run` once. `kind` is the type that the last TYPE line named, whatever family it spoke of: Prometheus
    normalises `le` and `quantile` by that."""

    def __init__(self, body: bytes, kind: str = "unknown") -> None:
        self.body = body if body.endswith(b"\n") else body + b"\n"
        self.kind = kind
        self.result = Exposition()
        self._texts: dict[bytes, str] = {}

    def run(self) -> Exposition:
        body, at, end, samples = self.body, 0, len(self.body), self.result.samples
        match = _LINE.match
        while at < end:
            found = match(body, at)
            if found is not None:
                samples.append(self._sample(found))
                at = found.end()
            else:
                at = self._odd_line(at)
                if at < 0:
                    break
        return self.result

    def _sample(self, found: re.Match[bytes]) -> Sample:
        """A line of the usual shape."""
        name, section, value, time = found.groups()
        pairs = [(METRIC_NAME, self._text(name))]
        if section:
            for key, text in _PAIR.findall(section):
                pairs.append((self._text(key), self._text(text)))
            self._normalise(pairs)
        if len(pairs) > 1:
            pairs.sort()
        start = found.start()
        empty = section and b'""' in section
        labels = tuple(pair for pair in pairs if pair[1]) if empty else tuple(pairs)
        return Sample(
            labels,
            self._value(value, start),
            None if time is None else self._time(time, start),
            start=start,
            value_at=found.start("value"),
            stop=found.end() - 1,
        )

    def _text(self, raw: bytes) -> str:
        """Decoded, unescaped, and one string for all that are equal."""
        text = self._texts.get(raw)
        if text is None:
            try:
                text = self._texts[raw] = unescape(raw.decode())
            except UnicodeDecodeError:
                raise ExpositionError(f"invalid UTF-8 label value: {raw[:100]!r}") from None
        return text

    def _normalise(self, pairs: list[tuple[str, str]]) -> None:
        wanted = {"histogram": "le", "summary": "quantile"}.get(self.kind)
        if wanted is None:
            return
        for place, (name, value) in enumerate(pairs):
            if name == wanted:
                try:
                    pairs[place] = (name, openmetrics_float(parse_float(value.encode())))
                except ValueError:
                    return

    def _value(self, raw: bytes, start: int) -> float:
        try:
            return parse_float(raw)
        except ValueError as error:
            raise self.error(f"value {raw[:50]!r}: {error}", start) from None

    def _time(self, raw: bytes, start: int) -> int:
        time = int(raw) if len(raw) < 20 else 1 << 63
        if time >= 1 << 63:
            raise self.error(f"timestamp {raw[:50]!r}: value out of range", start)
        return time

    def error(self, message: str, at: int) -> ExpositionError:
        line = self.body.count(b"\n", 0, at) + 1
        stop = self.body.find(b"\n", at)
        return ExpositionError(f"line {line}: {message} while parsing {self.body[at : min(stop, at + 100)]!r}")

    # What is rare.

    def _odd_line(self, at: int) -> int:
        """A comment, an empty line, or a sample that the regular expression did not match: where the next line
        begins, -1 at the end."""
        body = self.body
        start = _space(body, at)
        byte = body[start : start + 1]
        if byte in (b"", b"\0"):
            self.result.by_line &= not byte
            return -1
        if byte == b"\n":
            return start + 1
        if byte == b"#":
            return self._comment(start)
        return self._tokens(at, start)

    def _comment(self, at: int) -> int:
        found = _META.match(self.body, at)
        if found is None:
            end = _COMMENT.match(self.body, at)
            assert end is not None
            return -1 if b"\0" in end[0] and not end[0].endswith(b"\n") else end.end()
        word, name = found[1], found[2]
        if name is None:
            raise self.error(f"expected metric name after {word.decode()}", at)
        rest = _REST.match(self.body, found.end())
        assert rest is not None
        self._metadata(word, name.strip(b'"') if name.startswith(b'"') else name, rest[0][1:], at)
        return rest.end() + 1

    def _metadata(self, word: bytes, name: bytes, text: bytes, at: int) -> None:
        if b"\n" in name:
            self.result.by_line = False
        try:
            family = self.result.families.setdefault(name.decode(), Family())
        except UnicodeDecodeError:
            raise self.error(f"metric name {name[:50]!r} is not valid UTF-8", at) from None
        if word == b"TYPE":
            if text not in _TYPES:
                raise self.error(f"invalid metric type {text[:50]!r}", at)
            family.type = self.kind = _TYPES[text]
            self.result.marks.append((len(self.result.samples), name.decode(), self.kind))
            return
        try:
            family.help = unescape(text.decode(), _HELP_ESCAPE)
        except UnicodeDecodeError:
            raise self.error(f"help text {text[:50]!r} is not valid UTF-8", at) from None

    def _tokens(self, start: int, at: int) -> int:
        """One sample, token by token."""
        body = self.body
        name = b""
        pairs: list[tuple[str, str]] = []
        found = _TOKENS["name"].match(body, at)
        if found is not None:
            # Prometheus takes the white space in front of a name for part of it.
            name, at = body[start : found.end()], _space(body, found.end())
        elif body[at : at + 1] != b"{":
            raise self.error("expected a valid start token", at)
        if body[at : at + 1] == b"{":
            name, at = self._braces(start, at + 1, name, pairs)
        if not name:
            raise self.error("metric name not set", start)
        return self._suffix(start, at, name, pairs)

    def _braces(self, start: int, at: int, name: bytes, pairs: list[tuple[str, str]]) -> tuple[bytes, int]:
        """Labels, and a quoted name if there is none yet: (name, behind the closing brace)."""
        body = self.body
        at = _space(body, at)
        while body[at : at + 1] != b"}":
            found = _TOKENS["label"].match(body, at)
            if found is None:
                raise self.error("expected label name", start)
            at = _space(body, found.end())
            if found[2] and body[at : at + 1] in (b",", b"}"):
                if name:
                    raise self.error("metric name already set", start)
                name = found[2][1:-1]
            else:
                if body[at : at + 1] != b"=":
                    raise self.error("expected equal", start)
                value = _TOKENS["string"].match(body, _space(body, at + 1))
                if value is None:
                    raise self.error("expected label value", start)
                pairs.append((self._text(found[1] or found[2][1:-1]), self._text(value[0][1:-1])))
                at = _space(body, value.end())
            if body[at : at + 1] == b",":
                at = _space(body, at + 1)
        return name, at + 1

    def _suffix(self, start: int, at: int, name: bytes, pairs: list[tuple[str, str]]) -> int:
        body = self.body
        value_at = _space(body, at)
        value = _TOKENS["value"].match(body, value_at)
        if value is None:
            raise self.error("expected value after metric", start)
        number, time, at = self._value(value[0], start), None, _space(body, value.end())
        stamp = _TOKENS["time"].match(body, at)
        if stamp is not None:
            time, at = self._time(stamp[0], start), _space(body, stamp.end())
        if body[at : at + 1] != b"\n":
            raise self.error("expected timestamp or new record", start)
        pairs.insert(0, (METRIC_NAME, self._text(name)))
        self._normalise(pairs)
        pairs.sort()
        labels: Labels = tuple(pair for pair in pairs if pair[1])
        self.result.samples.append(Sample(labels, number, time, start=start, value_at=value_at, stop=at))
        if b"\n" in body[start:at]:
            self.result.by_line = False
        return at + 1


def _space(body: bytes, at: int) -> int:
    found = _SPACE.match(body, at)
    assert found is not None
    return found.end()
