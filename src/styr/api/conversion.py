"""Objects of one resource in its other versions. Called by the verbs and by admission's webhooks.

Strategy `None` of a CustomResourceDefinition: only apiVersion differs, and so it is for built-in kinds. Strategy `Webhook`: the
definition's webhook is sent a ConversionReview. Reads ask it before they answer, in one review for many objects, and remember
what it said of a stored object; writes ask in between two runs (`pending`). Of the metadata a webhook may change labels and
annotations.

    errors are ApiErrors of status 500 with Kubernetes' texts: `conversion webhook for GV, Kind=K failed: ...`
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from styr.api.callout import CalloutFailed, Callouts
from styr.api.metadata import new_uid
from styr.api.pending import Pending
from styr.api.registry import ServedResource
from styr.api.store.records import Record
from styr.kinds.errors import ApiError
from styr.kinds.resources import Object

GROUP = "apiextensions.k8s.io"
TIMEOUT = 30.0
"""Seconds for one review."""
BATCH = 200
"""Objects in one review."""
REMEMBERED = 8 << 20
"""Bytes of converted objects that are kept."""

_Key = tuple[str, str, int, str]
"""Webhook, uid, revision and wanted version of a stored object."""


class Converter:
    def __init__(self, callouts: Callouts, source: random.Random) -> None:
        self._callouts = callouts
        self._random = source
        self._known: OrderedDict[_Key, bytes] = OrderedDict()
        self._size = 0
        self._asked: dict[_Key, asyncio.Task[list[Object]]] = {}

    def convert(self, obj: Object, served: ServedResource, wanted: str, replies: dict[bytes, Any]) -> Object:
        """`obj` in the apiVersion `wanted`; `obj` itself is not changed. In the write path: raises Pending while the webhook
        has not been asked, ApiError when it failed."""
        if obj.get("apiVersion") == wanted:
            return obj
        if served.conversion is None:
            return {**obj, "apiVersion": wanted}
        kept, bare = _without_owners(obj)
        asked = msgspec.json.encode([served.webhook, wanted, bare])
        key = hashlib.blake2b(asked, digest_size=24).digest()
        if key not in replies:

            async def ask() -> None:
                try:
                    replies[key] = (await self._review(served, [bare], wanted))[0]
                except ApiError as error:
                    replies[key] = error

            raise Pending(ask)
        reply = replies[key]
        if isinstance(reply, ApiError):
            raise reply
        found: Object = msgspec.json.decode(msgspec.json.encode(reply))
        return _with_owners(found, kept)

    def stored(
        self, record: Record, obj: Object, served: ServedResource, wanted: str, replies: dict[bytes, Any]
    ) -> Object:
        """The same for a stored object, `obj` being its contents: a read may have asked already."""
        known = self._known.get(_key(record, obj, served, wanted)) if served.conversion is not None else None
        return msgspec.json.decode(known) if known is not None else self.convert(obj, served, wanted, replies)

    async def records(self, records: Sequence[Record], served: ServedResource, wanted: str) -> list[Record]:
        """Stored objects as records in the wanted version. Raises ApiError."""
        objects = [record.decode() for record in records]
        keys = [_key(record, obj, served, wanted) for record, obj in zip(records, objects, strict=True)]
        found: list[Record] = []
        missing = [
            (key, obj)
            for key, obj in zip(keys, objects, strict=True)
            if obj["apiVersion"] != wanted and key not in self._known and key not in self._asked
        ]
        for start in range(0, len(missing), BATCH):
            self._begin(missing[start : start + BATCH], served, wanted)
        for record, key, obj in zip(records, keys, objects, strict=True):
            if obj["apiVersion"] == wanted:
                found.append(record)
            else:
                found.append(Record(record.revision, await self._answer(key, obj, served, wanted)))
        return found

    def _begin(self, batch: list[tuple[_Key, Object]], served: ServedResource, wanted: str) -> None:
        """A task of its own: many watchers may wait for it, and the first of them may go away."""
        task = asyncio.get_running_loop().create_task(
            self._review(served, [obj for _, obj in batch], wanted), name="conversion webhook"
        )
        keys = [key for key, _ in batch]
        self._asked |= dict.fromkeys(keys, task)
        task.add_done_callback(lambda done: self._answered(keys, done))

    def _answered(self, keys: list[_Key], task: asyncio.Task[list[Object]]) -> None:
        for key in keys:
            self._asked.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            for key, obj in zip(keys, task.result(), strict=True):
                self._remember(key, msgspec.json.encode(obj))

    async def _answer(self, key: _Key, obj: Object, served: ServedResource, wanted: str) -> bytes:
        if (task := self._asked.get(key)) is not None:
            await asyncio.shield(task)
        known = self._known.get(key)
        if known is None:  # forgotten already: more was asked at once than is remembered
            known = msgspec.json.encode((await self._review(served, [obj], wanted))[0])
        return known

    def _remember(self, key: _Key, data: bytes) -> None:
        self._known[key] = data
        self._size += len(data)
        while self._size > REMEMBERED:
            self._size -= len(self._known.popitem(last=False)[1])

    async def _review(self, served: ServedResource, objects: list[Object], wanted: str) -> list[Object]:
        """Asks the webhook. Raises ApiError."""
        webhook = served.conversion or {}
        name = f"conversion webhook for {objects[0]['apiVersion']}, Kind={objects[0]['kind']}"
        version = next((v for v in webhook.get("conversionReviewVersions") or () if v in ("v1", "v1beta1")), "")
        if not version:
            raise _failed("no supported conversion review versions")
        uid = new_uid(self._random)
        request = {"uid": uid, "desiredAPIVersion": wanted, "objects": objects}
        review = {"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}", "request": request}
        try:
            config = webhook.get("clientConfig") or {}
            data = await self._callouts.post(config, msgspec.json.encode(review), TIMEOUT)
            found = _read(data, version, uid)
        except (CalloutFailed, _Unusable) as error:
            raise _failed(f"{name} failed: {error}") from None
        if len(found) != len(objects):
            raise _failed(f"{name} returned {len(found)} objects, expected {len(objects)}")
        return [
            _checked(name, index, old, new, wanted) for index, (old, new) in enumerate(zip(objects, found, strict=True))
        ]


class _Unusable(ValueError):
    """An answer that is none."""


def _read(data: bytes, version: str, uid: str) -> list[Any]:
    try:
        review = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _Unusable(f"not valid JSON: {error}") from None
    response = review.get("response") if isinstance(review, dict) else None
    if version == "v1" and isinstance(review, dict):
        found = f"{review.get('apiVersion', '')}, Kind={review.get('kind', '')}"
        if found != f"{GROUP}/v1, Kind=ConversionReview":
            raise _Unusable(f"expected webhook response of {GROUP}/v1, Kind=ConversionReview, got {found}")
    if not isinstance(response, dict):
        raise _Unusable("no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise _Unusable(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        message = result.get("message")
        raise _Unusable(message or f"response.result.status was '{result.get('status', '')}', not 'Success'")
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


def _checked(name: str, index: int, old: Object, new: Any, wanted: str) -> Object:
    """The converted object with the metadata of the old one, but for labels and annotations. Raises ApiError."""
    where = f"{name} returned invalid converted object at index {index}"
    if not isinstance(new, dict):
        raise _failed(f"{where}: it is no object")
    if new.get("apiVersion") != wanted:
        raise _failed(f"{where}: invalid groupVersion (expected {wanted}, received {new.get('apiVersion', '')})")
    if new.get("kind") != old["kind"]:
        raise _failed(f"{where}: invalid kind (expected {old['kind']}, received {new.get('kind', '')})")
    given = new.get("metadata")
    if not isinstance(given, dict):
        raise _failed(
            f"{name} returned invalid metadata in object at index {index}: missing metadata in converted object"
        )
    meta: dict[str, Any] = dict(old["metadata"])
    for field, word in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if (given.get(field) or "") != (meta.get(field) or ""):
            raise _failed(f"{where}: must have the same {word}: {meta.get(field, '')} != {given.get(field, '')}")
    for field in ("labels", "annotations"):
        table = given.get(field)
        meta.pop(field, None)
        if table is None:
            continue
        if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
            what = f"invalid metadata.{field} in converted object"
            raise _failed(f"{name} returned invalid metadata in object at index {index}: {what}")
        meta[field] = table
    return {**new, "metadata": meta}


def _failed(message: str) -> ApiError:
    error = ApiError(message)
    error.reason = ""
    return error


def _key(record: Record, obj: Object, served: ServedResource, wanted: str) -> _Key:
    return served.webhook, str(obj["metadata"].get("uid")), record.revision, wanted


def _without_owners(obj: Object) -> tuple[Any, Object]:
    """managedFields tell times: with them no question would be asked twice."""
    meta: Mapping[str, Any] = obj["metadata"]
    if "managedFields" not in meta:
        return None, obj
    rest = {key: value for key, value in meta.items() if key != "managedFields"}
    return meta["managedFields"], {**obj, "metadata": rest}


def _with_owners(obj: Object, kept: Any) -> Object:
    if kept is not None:
        obj["metadata"]["managedFields"] = kept
    return obj
