"""What a monitor becomes: a job in the words of a `prometheus.yml`, and where its targets are found. Pure.

Made by `monitors`, `probes`, `scrapeconfigs` and `annotations`; `watcher` hands it to `scrape.config`. The parts that the kinds
have in common stand here: relabellings, limits, selectors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from styr.metrics.model.errors import BadData
from styr.metrics.scrape.kubernetes.metalabels import PREFIX, sanitized

RoleName = Literal["pod", "service", "endpointslice", "endpoints", "node"]
Rule = dict[str, Any]
"""One `relabel_config`."""


@dataclass(frozen=True, slots=True)
class Role:
    """`namespaces` empty: all. `node`: with the labels of the node that a pod or endpoint is on."""

    name: RoleName
    namespaces: tuple[str, ...] = ()
    node: bool = False

    def document(self) -> dict[str, Any]:
        """As a `kubernetes_sd_config`."""
        found: dict[str, Any] = {"role": self.name}
        if self.namespaces:
            found["namespaces"] = {"names": list(self.namespaces)}
        return {**found, "attach_metadata": {"node": True}} if self.node else found


def read_role(text: str, own_namespace: str = "default") -> Role:
    """A `kubernetes_sd_config` as JSON. What would lead elsewhere than to this platform's API is refused. Raises BadData."""
    given = json.loads(text)
    where, attach = given.pop("namespaces", None) or {}, given.pop("attach_metadata", None) or {}
    name = str(given.pop("role", "")).lower()
    if name not in ("pod", "service", "endpointslice", "endpoints", "node"):
        raise BadData(f"kubernetes_sd_configs.role: {name!r} is none of pod, service, endpointslice, endpoints, node")
    if given:
        raise BadData(f"kubernetes_sd_configs.{min(given)}: not honoured; targets come from this platform's own API")
    if other := {word for word, wanted in attach.items() if wanted} - {"node"}:
        raise BadData(f"kubernetes_sd_configs.attach_metadata.{min(other)}: not honoured")
    names = [*(where.get("names") or ()), *([own_namespace] if where.get("own_namespace") else ())]
    return Role(cast("RoleName", name), tuple(dict.fromkeys(map(str, names))), bool(attach.get("node")))


@dataclass(frozen=True, slots=True)
class Job:
    """`config` is a `scrape_config` without Kubernetes discovery, of plain JSON values; its `job_name` is unique."""

    config: Mapping[str, Any]
    roles: tuple[Role, ...] = ()

    @property
    def name(self) -> str:
        return str(self.config["job_name"])

    def document(self) -> dict[str, Any]:
        """As a `scrape_config`."""
        return {**self.config, "kubernetes_sd_configs": [role.document() for role in self.roles]}


LIMITS = {
    "sampleLimit": "sample_limit",
    "targetLimit": "target_limit",
    "labelLimit": "label_limit",
    "labelNameLengthLimit": "label_name_length_limit",
    "labelValueLengthLimit": "label_value_length_limit",
    "keepDroppedTargets": "keep_dropped_targets",
    "bodySizeLimit": "body_size_limit",
    "scrapeProtocols": "scrape_protocols",
    "fallbackScrapeProtocol": "fallback_scrape_protocol",
    "scrapeClassicHistograms": "always_scrape_classic_histograms",
    "convertClassicHistogramsToNHCB": "convert_classic_histograms_to_nhcb",
    "nativeHistogramBucketLimit": "native_histogram_bucket_limit",
}
ENDPOINT = {
    "path": "metrics_path",
    "params": "params",
    "interval": "scrape_interval",
    "scrapeTimeout": "scrape_timeout",
    "honorLabels": "honor_labels",
    "honorTimestamps": "honor_timestamps",
    "trackTimestampsStaleness": "track_timestamps_staleness",
    "followRedirects": "follow_redirects",
}
"""Fields and what a `prometheus.yml` calls them."""

KEEP_JOB: Rule = {"source_labels": ["job"], "target_label": "__tmp_prometheus_job_name"}
NOT_OVER: Rule = {"source_labels": [f"{PREFIX}pod_phase"], "regex": "(Failed|Succeeded)", "action": "drop"}


def renamed(spec: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields that are set, under their names in a `prometheus.yml`."""
    return {new: spec[old] for old, new in names.items() if spec.get(old) not in (None, "", [])}


def common(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Limits and protocols of a monitor."""
    found = renamed(spec, LIMITS)
    if factor := spec.get("nativeHistogramMinBucketFactor"):
        found["native_histogram_min_bucket_factor"] = quantity(factor)
    return found


def quantity(value: Any) -> float:
    """A Kubernetes quantity without a unit, or in thousandths: `1.1`, `1100m`. Raises ValueError."""
    text = str(value)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def scheme(spec: Mapping[str, Any]) -> dict[str, str]:
    return {"scheme": str(spec["scheme"]).lower()} if spec.get("scheme") else {}


def relabelings(listed: Iterable[Mapping[str, Any]] | None) -> list[Rule]:
    """A user's own rules."""
    names = {
        "sourceLabels": "source_labels",
        "separator": "separator",
        "targetLabel": "target_label",
        "regex": "regex",
        "modulus": "modulus",
        "replacement": "replacement",
    }
    return [
        {
            **{new: rule[old] for old, new in names.items() if rule.get(old) is not None},
            "action": str(rule.get("action") or "replace").lower(),
        }
        for rule in listed or ()
    ]


def copied(label: str, target: str, *, if_set: bool = False) -> Rule:
    """The value of a label into another; with `if_set`, only when it has one."""
    found: Rule = {"source_labels": [label], "target_label": target}
    return {**found, "regex": "(.+)"} if if_set else found


def constant(target: str, value: str) -> Rule:
    """A fixed value: `$` stands for itself."""
    return {"target_label": target, "replacement": value.replace("$", "$$")}


def kept(label: str, regex: str) -> Rule:
    return {"source_labels": [label], "regex": regex, "action": "keep"}


def selected(selector: Mapping[str, Any], kind: str) -> Iterator[Rule]:
    """A LabelSelector over the labels of the Service or the pod, term by term, as prometheus-operator writes it."""
    for name, value in sorted((selector.get("matchLabels") or {}).items()):
        yield _matched(kind, name, [value], "keep")
    for term in selector.get("matchExpressions") or ():
        name, operator = str(term.get("key", "")), term.get("operator")
        if operator in ("In", "NotIn"):
            yield _matched(kind, name, term.get("values") or [], "keep" if operator == "In" else "drop")
        else:
            present = f"{PREFIX}{kind}_labelpresent_{sanitized(name)}"
            action = "keep" if operator == "Exists" else "drop"
            yield {"source_labels": [present], "regex": "true", "action": action}


def _matched(kind: str, name: str, values: Iterable[str], action: str) -> Rule:
    ending = sanitized(name)
    wanted = "|".join(
        str(value).replace(".", "\\.") for value in values
    )  # of what labels may hold, only the dot is special
    return {
        "source_labels": [f"{PREFIX}{kind}_label_{ending}", f"{PREFIX}{kind}_labelpresent_{ending}"],
        "regex": f"({wanted});true",
        "action": action,
    }


def namespaces(selector: Mapping[str, Any] | None, own: str) -> tuple[str, ...]:
    """Of a `namespaceSelector`; () is all."""
    if (selector or {}).get("any"):
        return ()
    return tuple((selector or {}).get("matchNames") or (own,))
