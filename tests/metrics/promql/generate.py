"""Random PromQL, for differential tests: `Generator(random).expression()`, and `mutate`, which breaks texts a little."""

from __future__ import annotations

from random import Random

from styr.metrics.promql.signatures import FUNCTIONS, Function

NAMES = ("requests_total", "latency_bucket", "temperature", "up", "sum", "by", "start", "fill", "job:rate:5m")
LABELS = ("job", "instance", "code", "le", "zone", "by", "utf8.label")
VALUES = ("api", "web", "0", "1", "2", "200", "500", "", "+Inf", "0.5")
NUMBERS = ("0", "1", "2.5", "1e3", "0x1F", "1_000", "Inf", "NaN", ".5", "5m", "1h30m", "010")
DURATIONS = ("5m", "1m", "30s", "1h", "90", "1h30m", "2m")
ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")
FOLDS = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
TOKENS = (
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "=",
    "=~",
    "!=",
    "by",
    "on",
    "offset",
    "@",
    "bool",
    '"x"',
    "5m",
    ":",
    "+",
    "-",
    "^",
    "%",
)


class Generator:
    """`experimental`: also what Prometheus has behind flags. `names` and `labels` are what selectors ask for."""

    def __init__(
        self,
        random: Random,
        *,
        experimental: bool = False,
        names: tuple[str, ...] = NAMES,
        labels: tuple[str, ...] = LABELS,
        values: tuple[str, ...] = VALUES,
    ) -> None:
        self.random, self.experimental = random, experimental
        self.names, self.labels, self.values = names, labels, values

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def expression(self, depth: int = 4) -> str:
        return self.scalar(depth) if self.chance(0.1) else self.vector(depth)

    def vector(self, depth: int) -> str:
        if depth <= 0:
            return self.selector()
        kinds = (self.selector, self.unary, self.binary, self.aggregation, self.call, self.range_call, self.paren)
        make = self.random.choices(kinds, weights=(3, 1, 4, 4, 4, 5, 1))[0]
        return make() if make == self.selector else make(depth)  # type: ignore[call-arg]

    def scalar(self, depth: int) -> str:
        if depth <= 0 or self.chance(0.5):
            return self.pick(*NUMBERS)
        if self.chance(0.3):
            return f"scalar({self.vector(depth - 1)})"
        if self.chance(0.3):
            return self.pick("time()", "pi()", "-1", "(2)")
        return f"{self.scalar(depth - 1)} {self.pick(*ARITHMETIC)} {self.scalar(depth - 1)}"

    def name(self, label: str) -> str:
        return f'"{label}"' if "." in label else label

    def matchers(self) -> str:
        made = []
        for _ in range(self.random.randrange(3)):
            label, op = self.name(self.random.choice(self.labels)), self.pick("=", "!=", "=~", "!~")
            value = self.random.choice(self.values)
            if op in ("=~", "!~"):
                value = self.pick(value.replace("+", "."), ".*", ".+", f"{value.replace('+', '.')}|x")
            made.append(f'{label}{op}"{value}"')
        return "{" + ",".join(made) + "}" if made or self.chance(0.2) else ""

    def bare(self) -> str:
        if self.chance(0.05):
            return '{"' + self.random.choice(self.names) + '"}'
        return self.random.choice(self.names) + self.matchers()

    def modifiers(self) -> str:
        text = ""
        if self.chance(0.15):
            text += f" offset {self.pick('', '-')}{self.pick(*DURATIONS)}"
        if self.chance(0.1):
            text += f" @ {self.pick('1600000600', 'start()', 'end()', '1600000000.5')}"
        return text

    def selector(self) -> str:
        return self.bare() + self.modifiers()

    def matrix(self, depth: int) -> str:
        if depth > 1 and self.chance(0.2):
            step = self.pick("", *DURATIONS)
            return f"({self.vector(depth - 2)})[{self.pick(*DURATIONS)}:{step}]" + self.modifiers()
        return f"{self.bare()}[{self.pick(*DURATIONS)}]" + self.modifiers()

    def paren(self, depth: int) -> str:
        return f"({self.vector(depth - 1)})"

    def unary(self, depth: int) -> str:
        return f"{self.pick('-', '+')}{self.vector(depth - 1)}"

    def labels_list(self) -> str:
        chosen = self.random.sample(self.labels, self.random.randrange(3))
        return "(" + ", ".join(self.name(label) for label in chosen) + ")"

    def binary(self, depth: int) -> str:
        left, right = self.vector(depth - 1), self.vector(depth - 1)
        if self.chance(0.25):
            right = self.scalar(depth - 1)
        elif self.chance(0.1):
            left = self.scalar(depth - 1)
        sides = self.chance(0.6)
        op = self.pick(*ARITHMETIC, *COMPARISONS) if not sides or self.chance(0.6) else self.pick(*SETS)
        text = op + (" bool" if op in COMPARISONS and self.chance(0.3) else "")
        if sides and self.chance(0.5):
            text += f" {self.pick('on', 'ignoring')}{self.labels_list()}"
            if op not in SETS and self.chance(0.4):
                text += f" {self.pick('group_left', 'group_right')}{self.pick('', self.labels_list())}"
        return f"{left} {text} {right}"

    def aggregation(self, depth: int) -> str:
        grouping = self.pick("", f"{self.pick('by', 'without')} {self.labels_list()}")
        inner = self.vector(depth - 1)
        if self.chance(0.3):
            op = self.pick("topk", "bottomk", "quantile", "count_values")
            param = {"quantile": self.pick("0.5", "0.9", "1.5"), "count_values": '"value"'}.get(
                op, self.pick("1", "2", "3")
            )
            inner = f"{param}, {inner}"
        else:
            op = self.pick(*FOLDS)
        return f"{op} {grouping} ({inner})" if self.chance(0.5) else f"{op}({inner}) {grouping}"

    def allowed(self, function: Function) -> bool:
        return self.experimental or not function.experimental

    def range_call(self, depth: int) -> str:
        names = sorted(n for n, f in FUNCTIONS.items() if "matrix" in f.args and self.allowed(f))
        function = FUNCTIONS[self.random.choice(names)]
        args = [self.matrix(depth) if kind == "matrix" else self.pick("0.5", "0.1", "0.9") for kind in function.args]
        return f"{function.name}({', '.join(args)})"

    def call(self, depth: int) -> str:
        skipped = {"label_replace", "label_join", "info", "histogram_quantiles", "start_timestamp"}
        names = sorted(
            n
            for n, f in FUNCTIONS.items()
            if "vector" in f.args and f.returns == "vector" and self.allowed(f) and n not in skipped
        )
        if self.chance(0.1):
            return f'label_replace({self.vector(depth - 1)}, "zone", "$1-x", "job", "(.)(.*)")'
        if self.chance(0.05):
            return f'label_join({self.vector(depth - 1)}, "zone", "-", "job", "code")'
        function = FUNCTIONS[self.random.choice(names)]
        args = []
        for kind in function.args:
            if kind == "vector":
                args.append(self.vector(depth - 1))
            elif kind == "scalar":
                args.append(self.pick("0.5", "0.9", "2", "10"))
            else:
                args.append(f'"{self.random.choice(self.labels)}"')
        return f"{function.name}({', '.join(args)})"


def mutate(random: Random, text: str) -> str:
    """One to three small changes: characters gone, doubled or replaced, tokens put in."""
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(text) + 1)
        kind = random.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + random.randrange(1, 4) :]
        elif kind == 1:
            text = text[:at] + random.choice(TOKENS) + text[at:]
        elif kind == 2:
            text = text[:at] + " " + random.choice(TOKENS) + " " + text[at:]
        else:
            text = text[:at] + random.choice("(){}[]\"'`,:=!~+-*/%^@#xs0_. \\") + text[at + 1 :]
    return text
