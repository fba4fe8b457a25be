"""One promise, two ways to keep it: the store with its writer thread, and inline as the simulation runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from styr.api.store.commit import Store, Txn
from styr.api.store.records import Change, ObjectKey
from styr.kit.clock import SystemClock

Open = Callable[[], Store]
A, B = ObjectKey("things", "", "a"), ObjectKey("things", "", "b")


@pytest.fixture(params=["inline", "threaded"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Store] = []

    def open_it() -> Store:
        opened.append(Store.open(tmp_path / "store.db", SystemClock(), inline=request.param == "inline"))
        return opened[-1]

    yield open_it
    for store in opened:
        await store.close()


def thing(value: int) -> dict[str, object]:
    return {"metadata": {}, "value": value}


async def test_nobody_sees_a_write_before_it_is_durable(reopen: Open) -> None:
    store = reopen()
    seen: list[int] = []

    def committed(changes: object) -> None:
        seen.append(store.revision)

    store.on_commit(committed)
    writing = asyncio.ensure_future(store.write(lambda txn: txn.put(A, thing(1))))
    assert store.get(A) is None
    await writing
    assert store.get(A).decode()["value"] == 1
    assert seen == [1]


async def test_several_objects_in_one_write_or_none(reopen: Open) -> None:
    store = reopen()

    def both(txn: Txn) -> None:
        txn.put(A, thing(1))
        txn.put(B, thing(2))

    await store.write(both)

    def half(txn: Txn) -> None:
        txn.delete(A)
        txn.delete(ObjectKey("things", "", "none"))

    with pytest.raises(KeyError):
        await store.write(half)
    await store.close()
    store = reopen()
    assert {place[1] for place in store.state("things")} == {"a", "b"}
    assert store.revision == 2


async def test_a_transaction_lists_what_it_did_itself(reopen: Open) -> None:
    store = reopen()
    await store.write(lambda txn: txn.put(A, thing(1)))

    def change(txn: Txn) -> list[str]:
        txn.put(B, thing(2))
        txn.delete(A)
        return [key.name for key, _ in txn.list("things")]

    assert await store.write(change) == ["b"]


async def test_a_cancelled_writer_disturbs_nobody(reopen: Open) -> None:
    store = reopen()
    writers = [
        asyncio.ensure_future(store.write(lambda txn, n=n: txn.put(ObjectKey("things", "", f"n{n}"), thing(n))))
        for n in range(20)
    ]
    await asyncio.sleep(0)
    for writer in writers[::2]:
        writer.cancel()
    results = await asyncio.gather(*writers, return_exceptions=True)
    for number, result in enumerate(results):
        if not isinstance(result, BaseException):
            assert store.get(ObjectKey("things", "", f"n{number}")).revision == result.revision
    assert sum(not isinstance(result, BaseException) for result in results) == 10
    assert (await store.write(lambda txn: txn.put(A, thing(1)))).revision == store.revision


async def test_close_finishes_what_was_queued(reopen: Open) -> None:
    store = reopen()
    writers = [
        asyncio.ensure_future(store.write(lambda txn, n=n: txn.put(ObjectKey("things", "", f"n{n}"), thing(n))))
        for n in range(50)
    ]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writers)
    assert len(reopen().state("things")) == 50


async def test_changes_come_in_order_of_their_revisions(reopen: Open) -> None:
    store = reopen()
    changes: list[Change] = []
    store.on_commit(changes.extend)
    await asyncio.gather(*(store.write(lambda txn, n=n: txn.put(A, thing(n))) for n in range(100)))
    assert [change.revision for change in changes] == list(range(1, 101))
    assert [change.old.revision if change.old else 0 for change in changes] == list(range(100))
