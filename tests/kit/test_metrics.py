"""The page of a registry: whole, in both formats, and with turns for others in between."""

from __future__ import annotations

import asyncio

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from styr.kit.metrics import Counter, Histogram, Read, Value, exposition, fresh

OPEN = "application/openmetrics-text;version=1.0.0"


def registry():
    made = fresh()
    Counter("a_total", "A.", ("x",), registry=made).labels("1").inc(2)
    Histogram("b_seconds", "B.", registry=made, buckets=(1.0,)).observe(0.5)
    Read(made, Value("c", "C.", lambda: [(("z",), 3.0)], ("y",)), Value("d", "D.", lambda: [((), 4.0)], kind="counter"))
    return made


async def test_both_formats_parse_to_the_same():
    text, kind = await exposition(registry(), "")
    assert kind.startswith("text/plain; version=")
    opened, kind = await exposition(registry(), OPEN)
    assert kind.startswith("application/openmetrics-text; version=")

    def values(families):
        return {(s.name, tuple(s.labels.items())): s.value for family in families for s in family.samples}

    found = values(text_families(text.decode()))
    assert found["a_total", (("x", "1"),)] == 2
    assert found["b_seconds_bucket", (("le", "1.0"),)] == 1
    assert found["c", (("y", "z"),)] == 3
    assert found["d_total", ()] == 4
    assert values(open_families(opened.decode())) == found
    assert opened.count(b"# EOF") == 1


async def test_others_have_their_turn_in_between():
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    await exposition(registry(), "")
    task.cancel()
    assert turns >= 3


async def test_who_is_given_no_registry_counts_for_nobody():
    assert fresh() is not fresh()
    mine = registry()
    assert fresh(mine) is mine
