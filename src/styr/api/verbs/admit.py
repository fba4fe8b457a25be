"""Admission, as the verbs go through it: writes that may have to wait for an answer from outside, what subresources are sent,
connections. `change.revise`, `create.insert` and `delete.perform` ask for the objects themselves. Calls `admission.chain`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from styr.api.admission.attributes import Operation
from styr.api.call import Call
from styr.api.pending import Pending
from styr.api.store.commit import Txn
from styr.kinds.errors import Timeout
from styr.kinds.resources import Object

T = TypeVar("T")

MAX_SECONDS = 60.0
"""A request with all its questions; Kubernetes' own limit."""
MAX_ROUNDS = 200
"""Questions in one request, those that had to be asked again included."""


async def write(call: Call, function: Callable[[Txn], T]) -> T:
    """`store.write`, with what plugins have to ask outside asked in between. With `call.waits`, `function` is run several
    times and must leave alone what it was handed (`Call.fresh`). Raises what the store raises, and Timeout."""
    store = call.core.store
    if not call.waits:
        return await store.write(function)
    told = list(call.warnings)
    try:
        async with asyncio.timeout(MAX_SECONDS):
            for _ in range(MAX_ROUNDS):
                try:
                    return await store.write(function)
                except Pending as pending:
                    await pending.ask()
                call.warnings[:] = told
                call.annotations.clear()
    except TimeoutError:
        raise Timeout(f"Timeout: request did not complete within requested timeout {MAX_SECONDS:.0f}s") from None
    raise Timeout(
        f'{call.served.key} "{call.name}": the object changed {MAX_ROUNDS} times while admission was asked about it; try again'
    )


async def connect(call: Call, options: Object) -> None:
    """Asks about a connection (exec, attach, port-forward, proxy). `options` is the object that Kubernetes shows plugins
    for it, such as v1 PodExecOptions. Raises what a plugin raises."""
    stage = call.core.chain.stage("CONNECT", call.served, call.subresource)
    if stage is None:
        return

    def ask(txn: Txn) -> None:
        attributes = call.attributes("CONNECT", call.fresh(options))
        stage.mutate(attributes, txn)
        stage.validate(attributes, txn)

    await write(call, ask)


def admit(
    call: Call, txn: Txn, operation: Operation, obj: Object, old: Object | None, *, dry_run: bool = False
) -> None:
    """Asks admission about what a subresource is sent. Plugins may change `obj`."""
    stage = call.core.chain.stage(operation, call.served, call.subresource)
    if stage is not None:
        attributes = call.attributes(operation, obj, old, dry_run=dry_run)
        stage.mutate(attributes, txn)
        stage.validate(attributes, txn)
