"""Registry and postings: against dictionaries and plain filters; slots are used again, references never."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.metrics.kernels.order import order_rows
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, get, make
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.headread import frame_of, label_ids, ranks
from styr.metrics.storage.postings import match
from styr.metrics.storage.series import Registry

NAMES = st.sampled_from(["__name__", "a", "b", "Z", "é"])
SETS = st.dictionaries(NAMES, st.sampled_from(["", "x", "y", "xy", "z1", "ü"]), max_size=4).map(make).filter(bool)
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["=", "!=", "=~", "!~"]),
    NAMES,
    st.sampled_from(["", "x", "y", "x|y", "x.*", ".+", ".*", "[xz].?"]),
)


def found(registry: Registry, matchers: list[Matcher]) -> list[Labels]:
    return sorted(registry.labels_of(slot) for slot in match(registry, matchers).tolist())


def takes(labels: Labels, matchers: list[Matcher]) -> bool:
    return all(matcher.matches(get(labels, matcher.name)) for matcher in matchers)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(SETS, max_size=12), min_size=1, max_size=4), st.lists(MATCHERS, max_size=3), st.randoms())
def test_what_is_registered_is_found(batches: list[list[Labels]], matchers: list[Matcher], chance: object) -> None:
    registry, known, refs_ever = Registry(), dict[Labels, int](), set[int]()
    for batch in batches:
        slots, new = registry.resolve(batch)
        fresh = {batch[i] for i in new.tolist()}
        assert fresh == set(batch) - set(known)
        for labels, slot in zip(batch, slots.tolist(), strict=True):
            assert registry.labels_of(slot) == labels
            ref = int(registry.refs[slot])
            assert known.setdefault(labels, ref) == ref
            assert int(registry.slots_of(np.array([ref]))[0]) == slot
        assert not refs_ever & {known[labels] for labels in fresh}
        refs_ever |= set(known.values())
        assert len(registry) == len(known)
        assert found(registry, matchers) == sorted(labels for labels in known if takes(labels, matchers))
        gone = [labels for labels in known if chance.random() < 0.3]  # type: ignore[attr-defined]
        registry.remove(registry.slots_of(np.array([known[labels] for labels in gone], np.int64)))
        assert (registry.slots_of(np.array([known.pop(labels) for labels in gone], np.int64)) == -1).all()
        assert found(registry, matchers) == sorted(labels for labels in known if takes(labels, matchers))
        while registry.sweep(most=3):
            pass
        used = {pair for labels in known for pair in labels}
        assert set(registry.pair_ids) == used
        assert registry.slots_of(np.array([0, -5, 1 << 39], np.int64)).tolist() == [-1, -1, -1]


@settings(max_examples=150, deadline=None)
@given(st.lists(SETS, max_size=30, unique=True))
def test_label_sets_sort_as_prometheus_sorts(sets: list[Labels]) -> None:
    registry = Registry()
    slots, _ = registry.resolve(sets)
    names, ids, symbols = label_ids(registry, slots)
    frame = frame_of(names, ids[order_rows(ids, ranks(symbols))], symbols)
    assert frame.all_labels() == sorted(sets)


def test_slots_are_used_again_and_references_are_not() -> None:
    registry = Registry()
    for turn in range(50):
        slots, _ = registry.resolve([make({"turn": str(turn), "i": str(i)}) for i in range(20)])
        assert registry.refs[slots].tolist() == list(range(turn * 20 + 1, turn * 20 + 21))
        registry.remove(slots)
        assert not registry.sweep()
    assert registry.slots == 20
    assert len(registry.pairs) <= 40
    assert len(registry._pages) <= 1


def test_a_series_may_have_several_references_in_a_log() -> None:
    registry = Registry()
    labels = make({"a": "b"})
    pair = np.array([registry.pair(*labels[0])] * 2, np.int32)
    slots, new = registry.resolve_pairs(pair, np.array([0, 1, 2]), np.array([900, 70_000]))
    assert slots.tolist() == [0, 0]
    assert new.tolist() == [0]
    assert registry.slots_of(np.array([900, 70_000, 5])).tolist() == [0, 0, -1]
    slots, _ = registry.resolve([make({"a": "c"})])
    assert int(registry.refs[slots[0]]) == 70_001


def test_an_expression_over_many_values_waits_for_other_matchers() -> None:
    registry = Registry()
    sets = [make({"__name__": f"m{i % 50}", "path": f"/p/{i}"}) for i in range(3000)]
    registry.resolve(sets)
    for matchers in (
        [Matcher("=~", "path", ".*7.*"), Matcher("=", "__name__", "m7")],
        [Matcher("!~", "path", ".*7.*"), Matcher("=", "__name__", "m7")],
        [Matcher("!~", "path", ".*7.*")],
        [Matcher("=~", "path", ".*77.*")],
        [Matcher("=~", "path", "/p/1.*"), Matcher("=~", "path", ".*9"), Matcher("!=", "__name__", "m9")],
    ):
        assert found(registry, matchers) == sorted(labels for labels in sets if takes(labels, matchers))


def test_a_series_without_labels_is_refused() -> None:
    with pytest.raises(BadData, match="without any label"):
        Registry().resolve([()])
