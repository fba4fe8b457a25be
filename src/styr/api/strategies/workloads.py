"""Deployment and ReplicaSet: defaults, selector against template, what never changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from styr.api.strategies.base import BuiltinStrategy, forbidden, immutable, invalid, required
from styr.api.strategies.pod import POD_SPEC, default_pod_spec, pod_spec_faults
from styr.api.strategies.shapes import (
    BAG,
    COUNT,
    FLAG,
    INT_OR_TEXT,
    LABEL_SELECTOR,
    TEMPLATE_METADATA,
    default,
    one_of,
    root,
    struct,
)
from styr.kinds import selectors
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_TEMPLATE = struct(("spec",), metadata=TEMPLATE_METADATA, spec=POD_SPEC)
_PERCENT = re.compile(r"[0-9]{1,9}%")


class ReplicaSetStrategy(BuiltinStrategy):
    shape = root(
        spec=struct(
            ("selector", "template"),
            replicas=default(COUNT, 1),
            minReadySeconds=COUNT,
            selector=LABEL_SELECTOR,
            template=_TEMPLATE,
        ),
        status=BAG,
    )
    counts_generation = True

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"replicas": 0}

    def default(self, obj: Object) -> None:
        default_pod_spec(obj["spec"]["template"]["spec"])

    def validate(self, obj: Object) -> list[Cause]:
        return list(_workload_faults(obj))

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        return [immutable("spec.selector")] if new["spec"]["selector"] != old["spec"]["selector"] else []


class DeploymentStrategy(ReplicaSetStrategy):
    shape = root(
        spec=struct(
            ("selector", "template"),
            replicas=default(COUNT, 1),
            minReadySeconds=COUNT,
            selector=LABEL_SELECTOR,
            template=_TEMPLATE,
            strategy=default(
                struct(
                    type=one_of("RollingUpdate", "Recreate", default="RollingUpdate"),
                    rollingUpdate=struct(maxSurge=INT_OR_TEXT, maxUnavailable=INT_OR_TEXT),
                ),
                {},
            ),
            revisionHistoryLimit=default(COUNT, 10),
            progressDeadlineSeconds=default(COUNT, 600),
            paused=FLAG,
        ),
        status=BAG,
    )

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}

    def default(self, obj: Object) -> None:
        super().default(obj)
        strategy = obj["spec"]["strategy"]
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxSurge", "25%")
            rolling.setdefault("maxUnavailable", "25%")

    def validate(self, obj: Object) -> list[Cause]:
        return [*super().validate(obj), *_rolling_faults(obj)]


def _workload_faults(obj: Object) -> Iterator[Cause]:
    if "spec" not in obj:
        yield required("spec")
        return
    spec = obj["spec"]
    template = spec["template"]
    labels = template.get("metadata", {}).get("labels", {})
    selector = spec["selector"]
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", "Invalid value: empty selector is invalid for deployment")
    elif not selectors.matches(selectors.from_object(selector), labels):
        yield invalid(
            "spec.template.metadata.labels", f"Invalid value: {labels}: `selector` does not match template `labels`"
        )
    yield from pod_spec_faults(template["spec"], "spec.template.spec")
    if template["spec"]["restartPolicy"] != "Always":
        yield invalid(
            "spec.template.spec.restartPolicy",
            f'Unsupported value: "{template["spec"]["restartPolicy"]}": supported values: "Always"',
            "FieldValueNotSupported",
        )


def _rolling_faults(obj: Object) -> Iterator[Cause]:
    if "spec" not in obj:
        return
    strategy = obj["spec"]["strategy"]
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate":
        if rolling:
            yield forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
        return
    for name in ("maxSurge", "maxUnavailable"):
        if not _is_share(rolling[name]):
            yield invalid(
                f"spec.strategy.rollingUpdate.{name}",
                f"Invalid value: {rolling[name]!r}: must be an integer of at least 0 or a percentage (e.g '5%')",
            )
    if rolling["maxSurge"] in (0, "0%") and rolling["maxUnavailable"] in (0, "0%"):
        yield invalid(
            "spec.strategy.rollingUpdate.maxUnavailable", "Invalid value: 0: may not be 0 when `maxSurge` is 0"
        )


def _is_share(value: Any) -> bool:
    return bool(_PERCENT.fullmatch(value)) if isinstance(value, str) else value >= 0
