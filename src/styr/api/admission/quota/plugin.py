"""ResourceQuota: an object that would use more than a quota of its namespace allows is refused; one that may come is charged to
`status.used` in the same transaction, so that no two can share the last of it.

What objects give back when they go, and what a new or changed quota begins with, is counted anew, in a transaction too, soon
after such a change is committed (`Recount`). So `status.used` is exact once the store rests, and never less than what is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from fractions import Fraction

from styr.api.admission import amounts
from styr.api.admission.amounts import Amount, Amounts
from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.admission.quota import usage
from styr.api.admission.quota.scopes import selects
from styr.api.registry import ServedResource
from styr.api.store.commit import Store, Txn
from styr.api.store.records import Change, ObjectKey, Record
from styr.kinds.errors import Unavailable
from styr.kinds.resources import RESOURCE_QUOTA, Object
from styr.kit.clock import Clock

KEY = RESOURCE_QUOTA.group_resource
_CHANGING = ("services", "persistentvolumeclaims")
"""Kinds whose updates may use more, or give back."""


class Quotas(Base):
    name = "ResourceQuota"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._recount = Recount(store, clock)

    def start(self, changed: Callable[[], None]) -> None:
        """`changed` runs when the first quota comes or the last one goes."""
        self._recount.start(changed)

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        if not self._recount.namespaces or not served.resource.namespaced:
            return False
        if operation == "CREATE":
            return not subresource
        if operation != "UPDATE":
            return False
        if served.key == "pods":
            return subresource in ("", "resize")
        return served.key in _CHANGING and subresource in ("", "status")

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        if attributes.namespace not in self._recount.namespaces or attributes.object is None:
            return
        charged = [
            (key, quota)
            for key, record in sorted(txn.list(KEY, attributes.namespace), key=lambda entry: entry[0].name)
            if self._holds(attributes, quota := self._known(record, txn, key))
        ]
        if not charged:
            return
        wanted = self._wanted(attributes)
        for key, quota in charged:
            self._charge(attributes, txn, key, quota, wanted)

    def _known(self, record: Record, txn: Txn, key: ObjectKey) -> Object:
        """The quota; one that nobody has counted yet is counted now."""
        quota = record.decode()
        status = quota.get("status") or {}
        hard = (quota.get("spec") or {}).get("hard") or {}
        if status.get("hard") != hard or hard.keys() - (status.get("used") or {}).keys():
            quota["status"] = count(quota, key.namespace, txn, self._clock.time())
        return quota

    def _holds(self, attributes: Attributes, quota: Object) -> bool:
        """Does this quota count what the object uses? Raises Forbidden for a pod that does not say what it uses."""
        assert attributes.object is not None
        names = usage.named(attributes.key, quota["status"]["hard"])
        if not names or not selects(quota, attributes.key, attributes.object):
            return False
        if attributes.key == "pods" and (missing := usage.unsaid(attributes.object, names)):
            raise attributes.forbidden(f"failed quota: {quota['metadata']['name']}: must specify {missing}")
        return True

    def _wanted(self, attributes: Attributes) -> Amounts:
        """What the write adds to what is used."""
        assert attributes.object is not None
        now = self._clock.time()
        found = usage.of(attributes.key, attributes.object, now)
        if attributes.operation == "UPDATE" and attributes.old is not None:
            before = usage.of(attributes.key, attributes.old, now)
            found = {
                name: Amount(amount.value - before.get(name, amounts.ZERO).value, amount.binary)
                for name, amount in found.items()
            }
        return {name: amount for name, amount in found.items() if amount.value > 0}

    def _charge(self, attributes: Attributes, txn: Txn, key: ObjectKey, quota: Object, wanted: Amounts) -> None:
        hard, used = (amounts.parse_all(quota["status"][field]) for field in ("hard", "used"))
        wanted = {name: amount for name, amount in wanted.items() if name in hard}
        if not wanted:
            return
        after = amounts.add(used, wanted)
        beyond = [name for name in wanted if after[name].value > hard[name].value]
        if beyond:
            told = [amounts.tell({name: table[name] for name in beyond}) for table in (wanted, used, hard)]
            raise attributes.forbidden(
                f"exceeded quota: {key.name}, requested: {told[0]}, used: {told[1]}, limited: {told[2]}"
            )
        if not attributes.dry_run:
            txn.put(key, {**quota, "status": {**quota["status"], "used": amounts.show_all(after)}})


def count(quota: Object, namespace: str, txn: Txn, now: float) -> Object:
    """The status: every object of the namespace that the quota counts."""
    hard = (quota.get("spec") or {}).get("hard") or {}
    used: Amounts = {name: Amount(Fraction(0)) for name in hard}
    for resource in usage.resources_of(hard):
        for _, record in txn.list(resource, namespace):
            obj = record.decode()
            if selects(quota, resource, obj):
                found = usage.of(resource, obj, now)
                used = amounts.add(used, {name: found[name] for name in found.keys() & hard.keys()})
    return {"hard": hard, "used": amounts.show_all(used)}


class Recount:
    """Follows the store, and counts the quotas of a namespace anew after what may have lowered their usage."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.namespaces: set[str] = set()
        """Those that have quotas."""
        self._dirty: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._changed: Callable[[], None] = lambda: None

    def start(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.namespaces = {namespace for namespace, _ in self._store.state(KEY)}
        self._store.on_commit(self._see)
        self._mark(self.namespaces)

    def _see(self, changes: Iterable[Change]) -> None:
        found: set[str] = set()
        for change in changes:
            if change.key.resource == KEY:
                self._see_quota(change)
            if change.key.namespace in self.namespaces and _may_give_back(change):
                found.add(change.key.namespace)
        self._mark(found)

    def _see_quota(self, change: Change) -> None:
        had = bool(self.namespaces)
        namespace = change.key.namespace
        if any(place == namespace for place, _ in self._store.state(KEY)):
            self.namespaces.add(namespace)
        else:
            self.namespaces.discard(namespace)
        if had != bool(self.namespaces):
            self._changed()

    def _mark(self, namespaces: set[str]) -> None:
        self._dirty |= namespaces
        if self._dirty and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run(), name="resource quotas: recount")

    async def _run(self) -> None:
        while self._dirty:
            namespace = self._dirty.pop()
            try:
                began = self._clock.monotonic()
                await self._store.write(lambda txn, namespace=namespace: self._count(namespace, txn))  # type: ignore[misc]
                # Large namespaces are not counted after every single deletion: no more than a tenth of the time goes here.
                await self._clock.sleep(10 * (self._clock.monotonic() - began))
            except Unavailable:
                return

    def _count(self, namespace: str, txn: Txn) -> None:
        for key, record in list(txn.list(KEY, namespace)):
            quota = record.decode()
            status = count(quota, namespace, txn, self._clock.time())
            if status != quota.get("status"):
                txn.put(key, {**quota, "status": status})


def _may_give_back(change: Change) -> bool:
    if change.new is None:
        return True
    if change.old is None:
        return change.key.resource == KEY
    if change.key.resource in _CHANGING:
        return True
    if change.key.resource == KEY:
        old, new = change.old.decode(), change.new.decode()
        return bool(old.get("spec") != new.get("spec") or new.get("status", {}).get("hard") != new["spec"].get("hard"))
    if change.key.resource == "pods":
        old, new = change.old.decode(), change.new.decode()
        return bool(old["spec"] != new["spec"] or _phase(old) != _phase(new))
    return False


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase"))
