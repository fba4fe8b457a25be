"""Views of the store: pages in order, of now and of the past, against a plain dictionary; the order stays right over writes."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from styr.api.store.commit import Store, Txn
from styr.api.store.records import ObjectKey
from styr.api.store.view import Place
from styr.kit.clock import SystemClock

names = st.sampled_from(["", "a", "a\0", "a-b", "b", "ab", "~", "é"])
places = st.tuples(st.sampled_from(["a", "a-b", "ab", "b"]), names.filter(bool))
writes = st.lists(st.tuples(places, st.booleans()), max_size=30)


def write(place: Place, remove: bool, value: int) -> Any:
    def run(txn: Txn) -> None:
        key = ObjectKey("things", *place)
        if not remove:
            txn.put(key, {"metadata": {}, "value": value})
        elif txn.get(key) is not None:
            txn.delete(key)

    return run


@given(writes, st.data())
@settings(max_examples=200, deadline=None)
async def test_pages_of_now_and_of_the_past(steps: list[tuple[Place, bool]], data: st.DataObject) -> None:
    store = Store.open(":memory:", SystemClock(), inline=True)
    history: list[dict[Place, int]] = [{}]
    asked_early = data.draw(st.booleans())
    for place, remove in steps:
        if asked_early:
            store.view("things")
        await store.write(write(place, remove, len(history)))
        now = dict(history[-1])
        if not remove:
            now[place] = len(history)
        elif now.pop(place, None) is None:
            continue
        history.append(now)
    assert store.revision == len(history) - 1
    revision = data.draw(st.integers(0, store.revision))
    namespace = data.draw(st.sampled_from(["", "a", "ab", "none"]))
    after = data.draw(st.none() | places)
    view = store.view("things", revision)
    wanted = [
        (place, value)
        for place, value in sorted(history[revision].items())
        if namespace in ("", place[0]) and (after is None or place > after)
    ]
    assert [(place, record.decode()["value"]) for place, record in view.items(namespace, after)] == wanted
    assert view.count(namespace, after) == len(wanted)
    for place, value in history[revision].items():
        record = view.get(place)
        assert record is not None
        assert record.decode()["value"] == value
    await store.close()
