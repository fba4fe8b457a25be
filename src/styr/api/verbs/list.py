"""GET of a collection: selectors, pages of one snapshot, stored bytes joined."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import msgspec

from styr.api.call import Call, respond
from styr.api.store.records import Record
from styr.api.store.view import Place, View
from styr.api.store.window import WindowPassed
from styr.api.verbs.revisions import check_not_future, parse_version
from styr.kinds import selectors
from styr.kinds.errors import BadRequest, Expired
from styr.kinds.selectors import Requirement, Selector
from styr.kinds.transport import Response


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list or watch is narrowed to. `name` is set when a field selector names one object, `whole_place` when it can
    be in one place only."""

    namespace: str
    labels: Selector
    fields: tuple[tuple[Requirement, Any], ...]
    name: str = ""
    whole_place: bool = False

    def matches(self, place: Place, record: Record) -> bool:
        if self.namespace and place[0] != self.namespace:
            return False
        if self.labels and not selectors.matches(self.labels, record.labels):
            return False
        return all(
            requirement.matches({requirement.key: record.field(requirement.key, getter)})
            for requirement, getter in self.fields
        )

    @property
    def selects(self) -> bool:
        return bool(self.labels or self.fields)

    def of_metadata(self) -> Filter:
        """What can be said before a conversion: fields of other versions are left out."""
        fields = tuple(each for each in self.fields if each[0].key.startswith("metadata."))
        return self if len(fields) == len(self.fields) else replace(self, fields=fields)


def before_conversion(call: Call, wanted: Filter) -> Filter:
    """The filter for stored records. Another one than `wanted` when a webhook must convert them first."""
    return wanted if call.served.conversion is None else wanted.of_metadata()


def read_filter(call: Call) -> Filter:
    """From the query. Raises BadRequest naming the term, and for fields those that there are."""
    try:
        labels = selectors.parse(call.request.param("labelSelector"))
        wanted = selectors.parse_fields(call.request.param("fieldSelector"))
    except selectors.SelectorError as error:
        raise BadRequest(str(error)) from error
    getters = call.served.getters
    for requirement in wanted:
        if requirement.key not in getters:
            raise BadRequest(
                f'field label not supported: "{requirement.key}"; {call.served.key} supports {", ".join(sorted(getters))}'
            )
    names = [r.values[0] for r in wanted if r.key == "metadata.name" and r.operator == "In"]
    fields = tuple((requirement, getters[requirement.key]) for requirement in wanted)
    whole = bool(call.namespace) or not call.served.resource.namespaced
    return Filter(call.namespace, labels, fields, names[0] if names else "", whole)


def select(view: View, wanted: Filter, after: Place | None = None) -> Iterator[tuple[Place, Record]]:
    """What of it matches, in order of namespace and name, beyond `after`."""
    if wanted.name and wanted.whole_place:
        place = (wanted.namespace, wanted.name)
        found = view.get(place)
        if found is not None and wanted.matches(place, found) and (after is None or place > after):
            yield place, found
        return
    items = view.items(wanted.namespace, after)
    yield from (item for item in items if wanted.matches(*item)) if wanted.selects else items


async def list_objects(call: Call) -> Response:
    """One page, or all."""
    wanted = read_filter(call)
    limit = max(0, call.number("limit", below_zero=True) or 0)
    revision, after = _where(call)
    view = _view(call, revision, after)
    matched = select(view, before_conversion(call, wanted), after)
    if before_conversion(call, wanted) is not wanted:
        matched = await _converted(call, list(matched), wanted)
    page = list(islice(matched, limit or None))
    head: dict[str, Any] = {"resourceVersion": str(revision)}
    if limit and next(matched, None) is not None:
        last = page[-1][0]
        head["continue"] = _token(revision, last)
        if not wanted.selects:
            head["remainingItemCount"] = view.count(wanted.namespace, last)
    return respond(call, _encode(call, head, await call.ready([record for _, record in page])))


async def _converted(call: Call, found: list[tuple[Place, Record]], wanted: Filter) -> Iterator[tuple[Place, Record]]:
    """What matches in the version that was asked for."""
    ready = await call.ready([record for _, record in found])
    pairs = [(place, record) for (place, _), record in zip(found, ready, strict=True)]
    return iter([pair for pair in pairs if wanted.matches(*pair)])


def _where(call: Call) -> tuple[int, Place | None]:
    """The revision to show, and the place after which to go on."""
    current = call.core.store.revision
    text = call.request.param("resourceVersion")
    revision = parse_version(text, "resourceVersion")
    match = call.request.param("resourceVersionMatch")
    if token := call.request.param("continue"):
        if revision:
            raise BadRequest("specifying resource version is not allowed when using continue")
        return _read_token(token, current)
    if match not in ("", "Exact", "NotOlderThan"):
        raise BadRequest(f'resourceVersionMatch: Unsupported value: "{match}": supported values: Exact, NotOlderThan')
    if match and not text:
        raise BadRequest(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    if match == "Exact" and not revision:
        raise BadRequest(
            'resourceVersionMatch: Forbidden: resourceVersionMatch "Exact" is forbidden for resourceVersion "0"'
        )
    check_not_future(call, revision)
    return (revision if match == "Exact" else current), None


def _view(call: Call, revision: int, after: Place | None) -> View:
    try:
        return call.core.store.view(call.served.store_key, revision)
    except WindowPassed:
        if after is None:
            raise Expired(f"The resourceVersion for the provided list is too old: {revision}") from None
        raise Expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
            "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
            "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
            "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            continue_token=_token(0, after),
        ) from None


def _token(revision: int, place: Place) -> str:
    """`revision` 0 means the newest when it is used: the inconsistent way on, for who was too slow."""
    text = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": revision, "start": list(place)})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_token(token: str, current: int) -> tuple[int, Place]:
    try:
        value = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, (namespace, name) = int(value["rv"]), value["start"]
        if not (isinstance(namespace, str) and isinstance(name, str) and 0 <= revision <= current):
            raise ValueError("not one of this server's")
    except (ValueError, TypeError, KeyError, RecursionError, msgspec.DecodeError, binascii.Error) as error:
        raise BadRequest(
            "invalid continue token: continue key is not valid: start the list again without it"
        ) from error
    return revision or current, (namespace, name)


def _encode(call: Call, head: dict[str, Any], records: Sequence[Record]) -> bytes:
    start = msgspec.json.encode(
        {"kind": call.served.list_kind, "apiVersion": call.served.resource.api_version, "metadata": head}
    )
    return start[:-1] + b',"items":[' + b",".join([call.outward(record) for record in records]) + b"]}"
