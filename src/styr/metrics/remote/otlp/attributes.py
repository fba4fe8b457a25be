"""Attributes of resources, scopes and points as label sets. Called by `points`; calls `names`. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from styr.metrics.model.labels import METRIC_NAME, Labels, make
from styr.metrics.remote.otlp.names import Settings, label_name
from styr.metrics.remote.proto import Message

NAMESPACE, NAME, INSTANCE = "service.namespace", "service.name", "service.instance.id"
IDENTIFYING = (NAMESPACE, NAME, INSTANCE)

_label = lru_cache(maxsize=10_000)(label_name)


def text(value: Message | None) -> str:
    """An attribute's value as a label value: as it stands, lists and maps as JSON, bytes in base 64."""
    if not value:
        return ""
    found: Any
    name, found = next(((name, each) for name, each in value.items() if name != "values"), ("", ""))
    if name == "string_value":
        return str(found)
    if name == "bool_value":
        return "true" if found else "false"
    if name == "double_value":
        return _number(found)
    if name == "bytes_value":
        return base64.b64encode(found).decode()
    if name in ("array_value", "kvlist_value"):
        return msgspec.json.encode(_plain(value)).decode()
    return str(found)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value).replace("e-0", "e-")


def _plain(value: Message) -> Any:
    if "array_value" in value:
        return [_plain(each) for each in value["array_value"]["values"]]
    if "kvlist_value" in value:
        return dict(
            sorted((each.get("key", ""), _plain(each.get("value", {}))) for each in value["kvlist_value"]["values"])
        )
    if "bytes_value" in value:
        return base64.b64encode(value["bytes_value"]).decode()
    return next(iter(value.values()), None)


def pairs(attributes: Sequence[Message]) -> dict[str, str]:
    """The last of a repeated key counts."""
    return {each.get("key", ""): text(each.get("value")) for each in attributes}


def translated(attributes: Mapping[str, str], settings: Settings, ignore: Collection[str] = ()) -> dict[str, str]:
    """Attributes as labels. Names that become the same one give one label: values joined by `;`, in the order of the
    attributes' names."""
    out: dict[str, str] = {}
    for key, value in sorted(attributes.items()):
        if key == METRIC_NAME or key in ignore:
            continue
        name = _label(key, settings) if settings.strategy.escape else key
        out[name] = f"{out[name]};{value}" if out.get(name) else value
    return out


class Source:
    """What all points of one resource and scope have in common."""

    def __init__(self, resource: Sequence[Message], settings: Settings) -> None:
        self.resource = pairs(resource)
        self._settings = settings
        self._promoted = {
            _label(key, settings): value for key, value in sorted(self.resource.items()) if settings.promoted(key)
        }
        self._scope: dict[str, str] = {}
        self._common: dict[str, str] = {}
        service, namespace = self.resource.get(NAME), self.resource.get(NAMESPACE)
        if service is not None:
            self._common["job"] = f"{namespace}/{service}" if namespace is not None else service
        if INSTANCE in self.resource:
            self._common["instance"] = self.resource[INSTANCE]

    def enter(self, scope: Message, schema_url: str) -> None:
        """The points that follow are of this instrumentation scope."""
        self._scope = {}
        if self._settings.promote_scope and scope.get("name"):
            attributes = pairs(scope.get("attributes", ()))
            self._scope = {_label("otel_scope_" + key, self._settings): value for key, value in attributes.items()}
            self._scope["otel_scope_name"] = scope["name"]
            self._scope["otel_scope_version"] = scope.get("version", "")
            self._scope["otel_scope_schema_url"] = schema_url

    def labels(self, attributes: Sequence[Message]) -> dict[str, str]:
        """Of one point, its name not yet among them. Raises BadData."""
        own = translated(pairs(attributes), self._settings)
        return {**self._promoted, **{k: v for k, v in own.items() if v}, **self._common, **self._scope}

    def target_info(self) -> Labels | None:
        """The resource as a series, None when there is nothing to say or nothing to say it of."""
        if not set(self.resource) - set(IDENTIFYING) or not self._common:
            return None
        ignore = () if self._settings.keep_identifying else IDENTIFYING
        own = translated(self.resource, self._settings, ignore)
        return make({**own, **self._common, METRIC_NAME: "target_info"})
