"""The same histograms stored by Prometheus and by us: the same chunks, byte for byte; each reads the other's."""

from __future__ import annotations

from pathlib import Path

import pytest

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.storage.block import catalog
from styr.metrics.storage.block.verify import verify
from styr.metrics.storage.histograms import encode
from tests.metrics.storage.block.support import Value, content, dump, make_block
from tests.metrics.storage.histograms.support import BASE, Sequence_, series_of, stored

pytestmark = [pytest.mark.needs("prometheus"), pytest.mark.needs("promtool")]


@pytest.fixture(scope="module")
def series() -> dict[Labels, Sequence_]:
    made: dict[Labels, Sequence_] = {}
    for integer in (True, False):
        for irregular in (0, 1, 2):
            for name, samples in series_of(integer, irregular).items():
                made[make({"__name__": "h", "name": name, "integer": str(integer), "steps": str(irregular)})] = samples
    return made


@pytest.fixture(scope="module")
def theirs(series: dict[Labels, Sequence_], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("prometheus"), series)


def chunks(root: Path) -> dict[Labels, list[tuple[int, str]]]:
    """Encoding and bytes of all chunks."""
    found: dict[Labels, list[tuple[int, str]]] = {}
    for block in catalog.load(root).blocks:
        verify(block)
        each = block.chunks([])
        for row, labels in enumerate(each.frame.all_labels()):
            for c in range(int(each.offsets[row]), int(each.offsets[row + 1])):
                at = int(each.position[c])
                data = each.segments[int(each.segment[c])][at : at + int(each.length[c])]
                found.setdefault(labels, []).append((int(each.encoding[c]), data.tobytes().hex()))
    return found


def test_the_same_chunks(series: dict[Labels, Sequence_], theirs: Path) -> None:
    found = chunks(theirs)
    assert set(found) == set(series)
    for labels, samples in series.items():
        ours = encode([t for t, _ in samples], [h for _, h in samples])
        assert [(each.encoding, each.data().hex()) for each in ours[:-1]] == found[labels][:-1], labels
        assert len(found[labels]) == len(ours)


def test_promtool_reads_the_same_of_ours(series: dict[Labels, Sequence_], theirs: Path, tmp_path: Path) -> None:
    data: dict[Labels, list[tuple[int, Value]]] = {labels: [*samples] for labels, samples in series.items()}
    make_block(tmp_path, data, mint=BASE, maxt=BASE + 7_200_000)
    assert dump(tmp_path) == dump(theirs)


def test_we_read_what_was_sent(series: dict[Labels, Sequence_], theirs: Path) -> None:
    (block,) = catalog.load(theirs).blocks
    for labels, samples in content(block).items():
        sent = series[labels]  # type: ignore[index]
        assert [t for t, _ in samples] == [t for t, _ in sent]
        for (_, got), (_, want) in zip(samples, sent, strict=True):
            assert isinstance(got, Histogram)
            assert (got.schema, got.count, got.integer) == (want.schema, want.count, want.integer)
            assert counts(got) == counts(want)


def counts(h: Histogram) -> dict[tuple[str, int], float]:
    """Counts by bucket, without the empty ones."""
    found: dict[tuple[str, int], float] = {}
    for side, spans, buckets in (
        ("+", h.positive_spans, h.positive_buckets),
        ("-", h.negative_spans, h.negative_buckets),
    ):
        index, rest = 0, iter(buckets)
        for offset, length in spans:
            index += offset
            for _ in range(length):
                if count := next(rest):
                    found[side, index] = count
                index += 1
    return found
