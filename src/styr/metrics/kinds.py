"""The kinds of monitoring.coreos.com that the metrics engine honours, as CustomResourceDefinitions. Pure, light: no numpy.

Called by `plane`, which applies them before the controllers start, by `docs.generate`, and by `scrape.kubernetes` and
`rules.kubernetes` (`ignored`). On a cluster that has prometheus-operator's own definitions those are used, and these are not
needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from styr.kinds.resources import (
    CRD,
    POD_MONITOR,
    PROBE,
    PROMETHEUS_RULE,
    SCRAPE_CONFIG,
    SERVICE_MONITOR,
    Object,
    Resource,
)
from styr.metrics import schemas, specs

HONOURED: Mapping[Resource, tuple[dict[str, Any], str]] = {
    SERVICE_MONITOR: (specs.SERVICE_MONITOR, "Which Services' pods are scraped, and how."),
    POD_MONITOR: (specs.POD_MONITOR, "Which pods are scraped, and how, with no Service in between."),
    PROBE: (specs.PROBE, "What a prober, such as a blackbox exporter, is asked to look at."),
    SCRAPE_CONFIG: (specs.SCRAPE_CONFIG, "Any other targets: named here, or found by role."),
    PROMETHEUS_RULE: (specs.PROMETHEUS_RULE, "Recording and alerting rules."),
}
"""By kind: the schema of its spec, and what the kind is for."""


def crds() -> list[Object]:
    """In the order in which to apply them."""
    return [_definition(resource, spec, meaning) for resource, (spec, meaning) in HONOURED.items()]


def _definition(resource: Resource, spec: dict[str, Any], meaning: str) -> Object:
    header = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    schema = {
        "type": "object",
        "description": meaning,
        "properties": {**header, "spec": spec, "status": schemas.STATUS},
        "required": ["spec"],
    }
    accepted = {
        "name": "Accepted",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Accepted")].status',
    }
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular_name,
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {"name": resource.group_resource},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": names,
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        accepted,
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                }
            ],
        },
    }


def ignored(resource: Resource, obj: Mapping[str, Any]) -> list[str]:
    """Fields of the spec that are there and not honoured, as `spec.endpoints[0].enableHttp2`. Never raises on a wrong shape."""
    spec, _ = HONOURED[resource]
    return list(_unknown(spec, obj.get("spec"), "spec"))


def _unknown(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list) and "items" in schema:
        for position, item in enumerate(value):
            yield from _unknown(schema["items"], item, f"{path}[{position}]")
    elif isinstance(value, dict) and "properties" in schema:
        for name, inner in value.items():
            known = schema["properties"].get(name)
            if known is not None:
                yield from _unknown(known, inner, f"{path}.{name}")
            elif inner not in (None, "", [], {}):
                yield f"{path}.{name}"
