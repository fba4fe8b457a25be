"""The two kinds that Styr invents, as CustomResourceDefinitions, and an App's rollout settings as values.

`App` is what is pushed; `Release` one immutable build of it. Installed at start by `rollout.install`; on a cluster, the
same objects can be applied by `kubectl`. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styr.delivery.guards import Guard, read_guards
from styr.delivery.meanings import KINDS, described
from styr.delivery.ramp import STEPS, Plan
from styr.kinds.resources import APP, RELEASE, Object, Resource

APP_LABEL = "styr.dev/app"
RELEASE_LABEL = "styr.dev/release"
ROLLBACK_ANNOTATION = "styr.dev/rollback"
"""On a Release: take it back. As a candidate it is aborted; as the stable one, traffic returns to the one before. The
value is the reason, shown in the verdict. `styr rollback APP` sets it."""
PROMOTE_ANNOTATION = "styr.dev/promote"
"""On a Release whose evidence is inconclusive: give it all traffic on the user's own judgement."""

OPEN = ("", "Pending", "Starting", "Smoke", "Canary")
"""Phases of a release about which nothing is decided yet."""

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}


def _object(properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), **more}


def _integer(low: int, high: int, default: int | None = None) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, **({} if default is None else {"default": default})}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


_ENV = _list(
    _object({"name": {"type": "string", "minLength": 1, "maxLength": 256}, "value": {"type": "string"}}, ("name",)),
    maxItems=500,
)
_CONDITIONS = _list(
    _object(
        {
            "type": _STRING,
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "observedGeneration": {"type": "integer"},
            "lastTransitionTime": _TIME,
            "reason": _STRING,
            "message": _STRING,
        },
        ("type", "status", "lastTransitionTime", "reason", "message"),
    ),
    **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
)
_COUNTS = _object({"canary": _integer(0, 2**53), "stable": _integer(0, 2**53)})
_SMOKE: Schema = {"type": "string", "pattern": "^/[!-~]*$", "maxLength": 2000, "default": "/"}

_ROLLOUT = _object(
    {
        "alpha": {
            "type": "number",
            "minimum": 0.0001,
            "maximum": 0.2,
            "default": 0.01,
        },
        "harmBudget": {"type": "number", "minimum": 0.0001, "maximum": 1},
        "steps": _list(_integer(1, 100), minItems=1, maxItems=50, default=list(STEPS)),
        "minStepSeconds": _integer(1, 86_400, 5),
        "startWeight": _integer(1, 99),
        "warmupRequests": _integer(0, 1_000, 50),
        "warmupSeconds": _integer(0, 3_600, 45),
        "keepWarmSeconds": _integer(0, 86_400, 600),
        "timeLimitSeconds": _integer(10, 604_800, 1_800),
        "latency": {"type": "boolean", "default": True},
        "marginOdds": {"type": "number", "minimum": 1, "maximum": 100, "default": 1.2},
    },
    default={},
)

_GUARDS = _list(
    _object(
        {
            "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
            "query": {"type": "string", "minLength": 1, "maxLength": 2_000},
            "max": {"type": "number"},
            "min": {"type": "number"},
            "intervalSeconds": _integer(1, 3_600, 10),
            "failureLimit": _integer(0, 1_000, 0),
            "noData": {"type": "string", "enum": ["Hold", "Continue"], "default": "Hold"},
        },
        ("name", "query"),
        anyOf=[{"required": ["max"]}, {"required": ["min"]}],
    ),
    maxItems=20,
    **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
)

_APP_SPEC = _object(
    {
        "branch": {"type": "string", "minLength": 1, "maxLength": 200, "default": "main"},
        "replicas": _integer(0, 100, 1),
        "env": _ENV,
        "command": {"type": "string", "maxLength": 10_000},
        "tests": _object(
            {
                "command": {"type": "string", "maxLength": 10_000},
                "timeoutSeconds": _integer(1, 86_400, 600),
                "skip": {"type": "boolean", "default": False},
            },
            default={},
        ),
        "build": _object({"timeoutSeconds": _integer(1, 86_400, 900)}, default={}),
        "smoke": _object({"path": _SMOKE}, default={}),
        "rollout": _ROLLOUT,
        "guards": _GUARDS,
    },
    default={},
)

_APP_STATUS = _object(
    {
        "url": _STRING,
        "stable": _STRING,
        "candidate": _STRING,
        "weight": _integer(0, 100),
        "verdict": _STRING,
        "nextNumber": _integer(1, 2**31),
        "remembered": _list(_object({"commit": _STRING, "release": _STRING, "verdict": _STRING, "time": _TIME})),
        "running": _list(_STRING),
        "warm": _list(_object({"release": _STRING, "until": _TIME}, ("release", "until"))),
        "conditions": _CONDITIONS,
        "observedGeneration": {"type": "integer"},
    }
)

_RELEASE_SPEC = _object(
    {
        "app": {"type": "string", "minLength": 1, "maxLength": 253},
        "number": _integer(1, 2**31),
        "commit": {"type": "string", "maxLength": 64},
        "subject": {"type": "string", "maxLength": 1_000},
        "image": {"type": "string", "minLength": 1, "maxLength": 1_000},
        "command": {"type": "string", "maxLength": 10_000},
        "env": _ENV,
        "replicas": _integer(0, 100),
        "tests": _object(
            {
                "command": _STRING,
                "passed": {"type": "boolean"},
                "seconds": {"type": "number"},
                "summary": {"type": "string", "maxLength": 2_000},
            }
        ),
        "retry": {"type": "boolean"},
        "skipCanary": {"type": "boolean"},
        "rollbackOf": _STRING,
        "pushedBy": _STRING,
    },
    ("app", "number", "image"),
    **{"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "a release is immutable: push again"}]},
)

_RELEASE_STATUS = _object(
    {
        "phase": {
            "type": "string",
            "enum": ["Pending", "Starting", "Smoke", "Canary", "Promoted", "RolledBack", "Superseded", "Failed"],
        },
        "outcome": {"type": "string", "enum": ["", "Waiting", "Held", "Promoted", "RolledBack"]},
        "weight": _integer(0, 100),
        "verdict": _STRING,
        "stable": _STRING,
        "requests": _COUNTS,
        "failures": _COUNTS,
        "evidence": {"type": "number"},
        "waiting": _object({"requests": _integer(0, 2**53), "seconds": {"type": "number"}}),
        "guards": _list(
            _object(
                {
                    "name": _STRING,
                    "result": {"type": "string", "enum": ["Met", "Breached", "Missing"]},
                    "breaches": _integer(0, 2**31),
                    "value": _STRING,
                    "message": _STRING,
                },
                ("name", "result"),
            )
        ),
        "times": _object({"started": _TIME, "canary": _TIME, "decided": _TIME}),
        "conditions": _CONDITIONS,
    }
)


def _column(name: str, path: str, type: str = "string", **more: Any) -> Schema:
    return {"name": name, "type": type, "jsonPath": path, **more}


_AGE = _column("Age", ".metadata.creationTimestamp", "date")


def _definition(resource: Resource, spec: Schema, status: Schema, columns: list[Schema]) -> Object:
    names = {
        "kind": resource.kind,
        "plural": resource.plural,
        "singular": resource.singular_name,
        "listKind": f"{resource.kind}List",
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    header = {"apiVersion": _STRING, "kind": _STRING, "metadata": {"type": "object"}}
    fields = described(resource.kind, _object({"spec": spec, "status": status}))["properties"]
    schema = _object({**header, **fields}, description=KINDS[resource.kind])
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.group_resource},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {key: value for key, value in names.items() if value},
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


CRDS: tuple[Object, ...] = (
    _definition(
        APP,
        _APP_SPEC,
        _APP_STATUS,
        [
            _column("URL", ".status.url"),
            _column("Stable", ".status.stable"),
            _column("Candidate", ".status.candidate"),
            _column("Weight", ".status.weight", "integer"),
            _AGE,
        ],
    ),
    _definition(
        RELEASE,
        _RELEASE_SPEC,
        _RELEASE_STATUS,
        [
            _column("App", ".spec.app"),
            _column("Commit", ".spec.commit"),
            _column("Phase", ".status.phase"),
            _column("Weight", ".status.weight", "integer"),
            _column("Verdict", ".status.verdict"),
            _AGE,
        ],
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """`App.spec` as the rollout needs it, with the defaults of the schema where an object has passed none. Seconds."""

    replicas: int
    smoke_path: str
    alpha: float
    margin_odds: float
    latency: bool
    start_weight: int | None
    warmup_requests: int
    warmup_seconds: int
    keep_warm_seconds: int
    plan: Plan
    guards: tuple[Guard, ...] = ()


def settings(app: Mapping[str, Any]) -> Settings:
    """Read an App. Values have passed the schema; steps need not rise, so they are sorted here."""
    spec = app.get("spec") or {}
    rollout = spec.get("rollout") or {}
    latency = bool(rollout.get("latency", True))
    budget = rollout.get("harmBudget")
    return Settings(
        replicas=int(spec.get("replicas", 1)),
        smoke_path=str((spec.get("smoke") or {}).get("path", "/")),
        alpha=float(rollout.get("alpha", 0.01)),
        margin_odds=float(rollout.get("marginOdds", 1.2)),
        latency=latency,
        start_weight=rollout.get("startWeight"),
        warmup_requests=int(rollout.get("warmupRequests", 50)),
        warmup_seconds=int(rollout.get("warmupSeconds", 45)),
        keep_warm_seconds=int(rollout.get("keepWarmSeconds", 600)),
        plan=Plan(
            steps=tuple(sorted(set(rollout.get("steps") or STEPS))),
            min_step=1000 * int(rollout.get("minStepSeconds", 5)),
            time_limit=1000 * int(rollout.get("timeLimitSeconds", 1_800)),
            harm_budget=None if budget is None else float(budget),
            latency=latency,
        ),
        guards=read_guards(spec),
    )


def phase(release: Mapping[str, Any]) -> str:
    """The phase of a release; "" when it has none yet."""
    return str((release.get("status") or {}).get("phase", ""))
