"""One API call, parsed: what the verbs are handed by the server. Holds; decides nothing but query syntax and errors'
words."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from styr.api import metadata, options
from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Chain
from styr.api.authn.accounts import ServiceAccounts
from styr.api.conversion import Converter
from styr.api.metrics import ApiMetrics
from styr.api.registry import Registry, ServedResource
from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey, Record
from styr.api.table import Form, render
from styr.kinds.errors import AlreadyExists, BadRequest, Cause, Conflict, Invalid, NotFound
from styr.kinds.resources import Object, Resource
from styr.kinds.seams import PodLogs, PodStreams
from styr.kinds.transport import ANONYMOUS, Request, Response, User
from styr.kit.clock import Clock, rfc3339

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Core:
    """What every verb may use."""

    store: Store
    registry: Registry
    clock: Clock
    random: random.Random
    logs: PodLogs | None = None
    metrics: ApiMetrics | None = None
    guard: Callable[[User, Object, Object | None], None] | None = None
    """Asked before a role or binding is written: may this user hand out these rights? Raises Forbidden."""
    authorize: Callable[[User, str, str, str, str, str, str, str], None] | None = None
    """For what a request turns out to do beside what its path says: user, verb, group, resource, subresource, namespace,
    name, path. Raises Forbidden."""
    chain: Chain = field(default_factory=Chain)
    accounts: ServiceAccounts | None = None
    streams: PodStreams | None = None
    converter: Converter = field(kw_only=True)

    def now(self) -> str:
        return rfc3339(self.clock.time())


_SCALE = Resource("autoscaling", "v1", "Scale", "scale")


@dataclass(slots=True)
class Call:
    core: Core
    served: ServedResource
    request: Request
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    tracked: str = ""
    """The subresource that its managedFields name, when the object itself is written for it (scale)."""
    form: Form = Form.OBJECT
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    """For the audit log."""
    waits: bool = False
    """May admission have to ask somebody outside? Then the write function may run several times."""
    replies: dict[bytes, Any] = field(default_factory=dict)
    born: tuple[str, str] = ("", "")

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.served.store_key, self.namespace, self.name)

    @property
    def body(self) -> bytes:
        body = self.request.body
        if not isinstance(body, bytes):
            raise BadRequest("the body of an API call must be whole")
        return body

    def fresh(self, value: T) -> T:
        """`value`, for a write function to take over: a copy where the function may run again."""
        return copy.deepcopy(value) if self.waits else value

    def birth(self) -> tuple[str, str]:
        """uid and creationTimestamp of what this call creates: the same however often its write function runs."""
        if not self.born[0]:
            self.born = (metadata.new_uid(self.core.random), self.core.now())
        return self.born

    def attributes(
        self, operation: Operation, obj: Object | None, old: Object | None = None, **more: Any
    ) -> Attributes:
        """This call, as admission sees it."""
        return Attributes(
            operation,
            self.served,
            self.request,
            self.namespace,
            self.name,
            obj,
            old,
            subresource=self.subresource,
            warnings=self.warnings,
            annotations=self.annotations,
            replies=self.replies,
            waits=self.waits,
            **more,
        )

    def check_rights(self, obj: Object, old: Object | None = None) -> None:
        """Nobody may hand out rights that they do not hold. Raises Forbidden."""
        if self.core.guard is not None and self.served.strategy.name_is_path_segment:
            self.core.guard(self.request.user or ANONYMOUS, obj, old)

    @property
    def content_type(self) -> str:
        return self.request.headers.get("content-type", "")

    def flag(self, name: str) -> bool:
        """A boolean query parameter, as Kubernetes reads it."""
        return self.request.flag(name)

    def number(self, name: str, *, below_zero: bool = False) -> int | None:
        """A query parameter that counts something. Raises BadRequest."""
        text = self.request.param(name)
        if not text:
            return None
        try:
            value = int(text)
        except ValueError:
            raise BadRequest(f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax') from None
        if not -(1 << 63) <= value < 1 << 63:
            raise BadRequest(f'strconv.ParseInt: parsing "{text[:40]}": value out of range')
        if value < 0 and not below_zero:
            raise BadRequest(f"query parameter {name}: {value} is not a number of at least 0")
        return value

    @property
    def dry_run(self) -> bool:
        return options.dry_run(self.request)

    def outward(self, record: Record) -> bytes:
        """The bytes of a stored object in the version that was asked for."""
        served = self.served
        if served.stored_as == served.resource.api_version and record.revision >= served.since:
            return record.data
        return msgspec.json.encode(self.present(record))

    def present(self, record: Record) -> Object:
        """A stored object, decoded, in the version that was asked for, as the definition of today has it. Of a kind with a
        conversion webhook the record must be `ready`; in the write path it need not be (raises Pending)."""
        obj, served = record.decode(), self.served
        if served.form is not None:
            obj = served.form.show(obj)
            served.strategy.prune(obj)
            return obj
        wanted = served.resource.api_version
        if obj["apiVersion"] != wanted:
            if served.conversion is None:
                obj["apiVersion"] = wanted
            else:
                obj = self.core.converter.stored(record, obj, served, wanted, self.replies)
        if (record.revision < served.since or served.conversion is not None) and (schema := served.schema):
            schema.default(schema.prune(obj))
        return obj

    async def ready(self, records: Sequence[Record]) -> Sequence[Record]:
        """The same, converted by their webhook where the kind has one and stores another version. Raises ApiError."""
        served = self.served
        if served.conversion is None:
            return records
        return await self.core.converter.records(records, served, served.resource.api_version)

    def to_store(self, obj: Object) -> Object:
        """An object of the version that was asked for, in the version that is stored. Raises Pending, ApiError."""
        stored = self.served.stored_as
        if self.served.form is not None:
            return self.served.form.store(obj)
        if self.served.conversion is not None:
            return self.core.converter.convert(obj, self.served, stored, self.replies)
        obj["apiVersion"] = stored
        return obj

    def show(self, obj: Object, *, headers: bool = True) -> Object:
        """An object or a list in the form that was asked for. Raises BadRequest."""
        return render(
            obj,
            self.form,
            _SCALE if self.subresource == "scale" else self.served.resource,
            now=self.core.clock.time(),
            printer_columns=None if self.subresource == "scale" else self.served.columns_list(),
            include_object=self.request.param("includeObject"),
            headers=headers,
        )

    # Errors in the API's own words

    def _details(self) -> dict[str, Any]:
        resource = self.served.resource
        details = {"name": self.name, "group": resource.group, "kind": resource.plural}
        return {key: value for key, value in details.items() if value}

    def not_found(self) -> NotFound:
        return NotFound(f'{self.served.key} "{self.name}" not found', details=self._details())

    def exists(self) -> AlreadyExists:
        return AlreadyExists(f'{self.served.key} "{self.name}" already exists', details=self._details())

    def conflict(self, message: str = "") -> Conflict:
        text = message or "the object has been modified; please apply your changes to the latest version and try again"
        return Conflict(
            f'Operation cannot be fulfilled on {self.served.key} "{self.name}": {text}', details=self._details()
        )

    def invalid(self, causes: Sequence[Cause]) -> Invalid:
        resource = self.served.resource
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        short = [_short(cause) for cause in causes]
        parts = [f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in short]
        text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
        details = self._details() | {"kind": resource.kind, "causes": short}
        return Invalid(f'{kind} "{self.name}" is invalid: {text}', details=details)


MAX_CAUSE = 4096
"""Characters of a cause's field or message: a key of a megabyte would come back four times."""


def _short(cause: Cause) -> Cause:
    field, message = cause.get("field", ""), cause.get("message", "")
    if len(field) <= MAX_CAUSE and len(message) <= MAX_CAUSE:
        return cause
    return {**cause, "field": _cut(field), "message": _cut(message)}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CAUSE else f"{text[: MAX_CAUSE // 2]} ... {text[-MAX_CAUSE // 2 :]}"


def respond(call: Call, data: bytes, status: int = 200) -> Response:
    """JSON, in the form that was asked for."""
    if call.form is not Form.OBJECT:
        data = msgspec.json.encode(call.show(msgspec.json.decode(data)))
    return warn(Response(status, data, {"content-type": "application/json"}), call.warnings)


async def answer(call: Call, record: Record, status: int = 200) -> Response:
    """A stored object as the response, in the version that was asked for."""
    (found,) = await call.ready([record])
    return respond(call, call.outward(found), status)


def warn(response: Response, warnings: Sequence[str]) -> Response:
    """The same response, with the warnings as its headers."""
    if warnings:
        told = _bounded(list(dict.fromkeys(warnings)))
        response.headers["warning"] = ", ".join(f'299 - "{_quote(text)}"' for text in told)
    return response


_WARNINGS, _WARNING = 4096, 256
"""Characters of all warnings, and of each where all would be more: the real server's."""


def _bounded(texts: list[str]) -> list[str]:
    if sum(map(len, texts)) <= _WARNINGS:
        return texts
    found: list[str] = []
    left = _WARNINGS
    for text in texts:
        if left <= 0:
            break
        found.append(text[:_WARNING])
        left -= len(found[-1])
    return found


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "replace").decode()
