"""OpenMetrics 1.0 text, as strict and as lenient as Prometheus' own parser.

Called by `parse`. The usual line is one regular expression; what it does not match goes token by token, by the rules of
Prometheus' lexer (model/textparse/openmetricslex.l): single spaces where the format wants them and nowhere else, commas
between labels, seconds as timestamps, exemplars behind `# {`, and `# EOF` as the very last line.

`_created` series stay series, as in Prometheus without its experimental flag; a sample's `created` is filled from them besides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from styr.metrics.exposition.entry import NO_TIME, Exposition, ExpositionError, Family, Sample
from styr.metrics.exposition.numbers import milliseconds, openmetrics_float, parse_float
from styr.metrics.exposition.text import unescape
from styr.metrics.model.labels import METRIC_NAME, Labels
from styr.metrics.model.samples import Exemplar

# Possessive on single characters only: on groups they are wrong in Python before 3.11.5, and not needed, since what follows a
# group can never match inside of it.
_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*"'
_QUOTED = rb'"[^"\\]*+(?:\\[^\n][^"\\]*+)*"'
_LABEL = rb"[a-zA-Z_][a-zA-Z0-9_]*+"
_METRIC = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_PAIRS = rb"(?:" + _LABEL + rb"=" + _STRING + rb"(?:,|(?=\})))*"

_LINE = re.compile(
    rb"(?P<name>" + _METRIC + rb")(?:\{(?P<labels>" + _PAIRS + rb")\})? (?P<value>[^ \n]++)"
    rb"(?: (?P<time>(?!#)[^ \n]++))?"
    rb"(?: # \{(?P<exemplar>" + _PAIRS + rb")\} (?P<number>[^ \n]++)(?: (?P<when>[^ \n]++))?)?\n"
)
_PAIR = re.compile(rb"(" + _LABEL + rb')="([^"\\]*+(?:\\[^\n][^"\\]*+)*)"')
_META = re.compile(rb"# (HELP|TYPE|UNIT) (?:(" + _METRIC + rb"|" + _QUOTED + rb")( [^\n]*+\n)?)?")
_END = re.compile(rb"# EOF\n?")
_NAME = re.compile(_METRIC)
_KEY = re.compile(rb"(" + _LABEL + rb")|(" + _QUOTED + rb")")
_EXEMPLAR_KEY = re.compile(rb"(" + _LABEL + rb")|(" + _STRING + rb")")
_LABEL_VALUE = re.compile(_STRING)
_NUMBER = re.compile(rb" [^ \n]++")

_TYPES = ("counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown")
_CREATED = "_created"
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("_count", "_sum"),
}


def parse(body: bytes) -> Exposition:
    """A whole body. Raises ExpositionError with the number of the line."""
    return _Parser(body).run()


class _Parser:
    """One body. `kind` is what the last TYPE line said, of whatever family."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.kind = "unknown"
        self.result = Exposition()
        self._texts: dict[bytes, str] = {}
        self._created: dict[Labels, int] = {}

    def run(self) -> Exposition:
        body, at, end, samples = self.body, 0, len(self.body), self.result.samples
        match = _LINE.match
        while True:
            found = match(body, at)
            if found is not None:
                samples.append(self._sample(found))
                at = found.end()
                continue
            if (last := _END.match(body, at)) is not None:
                if last.end() != end:
                    raise self.error("unexpected data after # EOF", at)
                break
            if at >= end:
                raise ExpositionError("data does not end with # EOF")
            at = self._odd_line(at)
        self._match_created()
        return self.result

    def error(self, message: str, at: int) -> ExpositionError:
        line = self.body.count(b"\n", 0, at) + 1
        stop = self.body.find(b"\n", at)
        stop = len(self.body) if stop < 0 else stop
        return ExpositionError(f"line {line}: {message} while parsing {self.body[at : min(stop, at + 100)]!r}")

    def _sample(self, found: re.Match[bytes]) -> Sample:
        """A line of the usual shape."""
        name, section, value, time, exemplar, number, when = found.groups()
        start = found.start()
        pairs = [(self._text(key), self._text(text)) for key, text in _PAIR.findall(section)] if section else []
        exemplars: tuple[Exemplar, ...] = ()
        if number is not None:
            labels = [(_raw(key), _raw(text)) for key, text in _PAIR.findall(exemplar)]
            exemplars = (self._exemplar(labels, number, when, start),)
        return Sample(
            self._labels(self._text(name), pairs),
            self._value(value, start),
            None if time is None else self._time(time, start),
            exemplars=exemplars,
            start=start,
            value_at=found.start("value"),
            stop=found.end() - 1,
        )

    def _labels(self, name: str, pairs: list[tuple[str, str]]) -> Labels:
        wanted = {"histogram": "le", "summary": "quantile"}.get(self.kind)
        if wanted is not None:
            for place, (key, value) in enumerate(pairs):
                if key == wanted:
                    pairs[place] = (key, _normal(value))
        pairs.append((METRIC_NAME, name))
        pairs.sort()
        return tuple(pair for pair in pairs if pair[1])

    def _text(self, raw: bytes) -> str:
        text = self._texts.get(raw)
        if text is None:
            try:
                text = self._texts[raw] = unescape(raw.decode())
            except UnicodeDecodeError:
                raise ExpositionError(f"invalid UTF-8 label value: {raw[:100]!r}") from None
        return text

    def _value(self, raw: bytes, start: int) -> float:
        try:
            return parse_float(raw)
        except ValueError as error:
            raise self.error(f"value {raw[:50]!r}: {error}", start) from None

    def _time(self, raw: bytes, start: int) -> int:
        seconds = self._value(raw, start)
        if not math.isfinite(seconds):
            raise self.error(f"invalid timestamp {raw[:50]!r}", start)
        return milliseconds(seconds)

    def _exemplar(self, pairs: list[tuple[str, str]], number: bytes, when: bytes | None, start: int) -> Exemplar:
        labels = tuple(sorted(pairs))
        return Exemplar(labels, self._value(number, start), NO_TIME if when is None else self._time(when, start))

    # What is rare.

    def _odd_line(self, at: int) -> int:
        """Metadata, or a sample that the regular expression did not match. Where the next line begins."""
        byte = self.body[at : at + 1]
        if byte == b"#":
            return self._metadata(at)
        found = _NAME.match(self.body, at)
        if found is None and byte != b"{":
            raise self.error("expected a valid start token", at)
        name, behind = (found[0], found.end()) if found else (b"", at)
        pairs: list[tuple[str, str]] = []
        if self.body[behind : behind + 1] == b"{":
            name, behind = self._braces(at, behind + 1, name, pairs, _KEY)
        if not name:
            raise self.error("metric name not set", at)
        return self._rest(at, behind, self._labels(self._text(name), pairs))

    def _metadata(self, at: int) -> int:
        found = _META.match(self.body, at)
        if found is None:
            raise self.error("expected a valid start token", at)
        word, raw, rest = found[1].decode(), found[2], found[3]
        if raw is None:
            raise self.error(f"expected metric name after {word}", at)
        if rest is None:
            raise self.error(f"expected text in {word}", at)
        raw = raw[1:-1] if raw.startswith(b'"') else raw
        self.result.by_line &= b"\n" not in raw
        try:
            name, text = raw.decode(), rest[1:-1].decode()
        except UnicodeDecodeError:
            raise self.error(f"{word} is not valid UTF-8", at) from None
        family = self.result.families.setdefault(name, Family())
        if word == "TYPE":
            if text not in _TYPES:
                raise self.error(f"invalid metric type {text[:50]!r}", at)
            family.type = self.kind = text
            self.result.marks.append((len(self.result.samples), name, text))
        elif word == "HELP":
            family.help = unescape(text)
        else:
            if text and not name.endswith("_" + text):
                raise self.error(f"unit {text[:50]!r} not a suffix of metric {name[:50]!r}", at)
            family.unit = text
        return found.end()

    def _braces(
        self, start: int, at: int, name: bytes, pairs: list[tuple[str, str]], key: re.Pattern[bytes]
    ) -> tuple[bytes, int]:
        """Labels, and a quoted name if there may be one: (name, behind the closing brace)."""
        body = self.body
        while body[at : at + 1] != b"}":
            found = key.match(body, at)
            if found is None:
                raise self.error("expected label name", start)
            at = found.end()
            if found[2] and body[at : at + 1] in (b",", b"}"):
                if key is _EXEMPLAR_KEY:
                    raise self.error("expected label name", start)
                if name:
                    raise self.error("metric name already set", start)
                name = found[2][1:-1]
            else:
                if body[at : at + 1] != b"=":
                    raise self.error("expected equal", start)
                value = _LABEL_VALUE.match(body, at + 1)
                if value is None:
                    raise self.error("expected label value", start)
                text = _raw if key is _EXEMPLAR_KEY else self._text
                pairs.append((text(found[1] or found[2][1:-1]), text(value[0][1:-1])))
                at = value.end()
            if body[at : at + 1] == b",":
                at += 1
            elif body[at : at + 1] != b"}":
                raise self.error("expected comma or brace close", start)
        return name, at + 1

    def _rest(self, start: int, at: int, labels: Labels) -> int:
        """From the value on."""
        body = self.body
        found = _NUMBER.match(body, at)
        if found is None:
            raise self.error("expected value after metric", start)
        sample = Sample(labels, self._value(found[0][1:], start), start=start, value_at=at + 1)
        at = found.end()
        time = None if body.startswith(b" # {", at) else _NUMBER.match(body, at)
        if time is not None:
            sample.t, at = self._time(time[0][1:], start), time.end()
        if body.startswith(b" # {", at):
            pairs: list[tuple[str, str]] = []
            _, at = self._braces(start, at + 4, b"", pairs, _EXEMPLAR_KEY)
            number = _NUMBER.match(body, at)
            if number is None:
                raise self.error("expected value after exemplar labels", start)
            when = _NUMBER.match(body, number.end())
            at = when.end() if when else number.end()
            sample.exemplars = (self._exemplar(pairs, number[0][1:], when[0][1:] if when else None, start),)
        if body[at : at + 1] != b"\n":
            raise self.error("data does not end with # EOF" if at >= len(body) else "expected next entry", start)
        sample.stop = at
        self.result.by_line &= b"\n" not in body[start:at]
        self.result.samples.append(sample)
        return at + 1

    def _match_created(self) -> None:
        """Fills `Sample.created` from the `_created` series of the same labels."""
        kinds = {name: family.type for name, family in self.result.families.items() if family.type in _SUFFIXES}
        created: dict[tuple[str, Labels], int] = {}
        for sample in self.result.samples:
            name, rest = _split(sample.labels)
            if name.endswith(_CREATED) and name.removesuffix(_CREATED) in kinds:
                created[name.removesuffix(_CREATED), rest] = (
                    milliseconds(sample.value) if sample.value == sample.value else 0
                )
        if not created:
            return
        for sample in self.result.samples:
            name, rest = _split(sample.labels)
            for suffix in ("", "_total", "_bucket", "_count", "_sum"):
                family = name.removesuffix(suffix)
                if name.endswith(suffix) and suffix in ("", *_SUFFIXES.get(kinds.get(family) or "", ())):
                    sample.created = created.get((family, rest), sample.created)


def _raw(text: bytes) -> str:
    """Of an exemplar's labels, which Prometheus does not unescape."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ExpositionError(f"invalid UTF-8 label value: {text[:100]!r}") from None


def _split(labels: Labels) -> tuple[str, Labels]:
    """(name, what tells the members of a family apart, without the bucket)."""
    name = next((value for key, value in labels if key == METRIC_NAME), "")
    return name, tuple(pair for pair in labels if pair[0] not in (METRIC_NAME, "le", "quantile"))


def _normal(value: str) -> str:
    try:
        return openmetrics_float(parse_float(value.encode()))
    except ValueError:
        return value
