"""What is written down about which request. Pure but for `load`; called by `audit`. Format: Policy of audit.k8s.io/v1: the
first rule that matches decides, and what none matches is not written down.

    PolicyError    the file cannot be used. The text names every field that is wrong
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from styr.api import bodies
from styr.api.filters.asked import Asked
from styr.api.schema import Schema, compile_schema
from styr.api.strategies.shapes import FLAG, TEXT, default, many, struct
from styr.kinds.errors import ApiError
from styr.kinds.transport import User

NONE, METADATA, REQUEST, RESPONSE = LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
SECRET = frozenset({("", "secrets"), ("", "serviceaccounts/token"), ("authentication.k8s.io", "tokenreviews")})
"""Their bodies are written down only for a rule that names the resource: one for everything does not mean these."""


class PolicyError(Exception):
    """See the module."""


@dataclass(frozen=True, slots=True)
class Resources:
    group: str
    resources: frozenset[str]
    names: frozenset[str]

    def matches(self, asked: Asked, full: str) -> bool:
        if self.group != asked.group:
            return False
        if not self.resources:
            return True
        if self.names and asked.name not in self.names:
            return False
        known = self.resources
        return bool(
            "*" in known
            or full in known
            or (asked.subresource and f"*/{asked.subresource}" in known)
            or f"{asked.resource}/*" in known
        )

    def names_it(self, full: str) -> bool:
        return full in self.resources


@dataclass(frozen=True, slots=True)
class Rule:
    """Empty means any. `stages` are those to be written."""

    level: str
    stages: frozenset[str]
    bare: bool
    """Bodies without managedFields."""
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[Resources, ...] = ()
    paths: tuple[str, ...] = ()

    def matches(self, user: User, asked: Asked) -> bool:
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.users and user.name not in self.users:
            return False
        if self.groups and self.groups.isdisjoint(user.groups):
            return False
        if self.namespaces or self.resources:
            return bool(asked.resource) and self._covers(asked)
        if self.paths:
            return not asked.resource and any(_path(path, asked.path) for path in self.paths)
        return True

    def _covers(self, asked: Asked) -> bool:
        if self.namespaces and asked.namespace not in self.namespaces:
            return False
        full = _full(asked)
        return not self.resources or any(entry.matches(asked, full) for entry in self.resources)

    def for_request(self, asked: Asked) -> str:
        """The level: bodies that hold secrets need a rule that means them."""
        full = _full(asked)
        if self.level in (NONE, METADATA) or (asked.group, full) not in SECRET:
            return self.level
        named = any(entry.group == asked.group and entry.names_it(full) for entry in self.resources)
        return self.level if named else METADATA


def _full(asked: Asked) -> str:
    return f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource


def _path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


@dataclass(frozen=True, slots=True)
class Policy:
    """`refusals`: requests whose credential was no good are written down, whatever the rules say."""

    rules: tuple[Rule, ...]
    refusals: bool = False

    def rule(self, user: User, asked: Asked) -> Rule | None:
        """None when nothing is to be written."""
        for rule in self.rules:
            if rule.matches(user, asked):
                return None if rule.level == NONE else rule
        return None


_DONE = frozenset({"ResponseComplete", "Panic"})
DEFAULT = Policy(
    (
        Rule(NONE, _DONE, True, verbs=frozenset({"get", "list", "watch", "head"})),
        Rule(
            NONE,
            _DONE,
            True,
            users=frozenset({"system:styr"}),
            resources=(
                Resources("", frozenset({"events", "nodes/status", "pods/status"}), frozenset()),
                Resources("events.k8s.io", frozenset(), frozenset()),
                Resources("coordination.k8s.io", frozenset(), frozenset()),
            ),
        ),
        Rule(
            NONE,
            _DONE,
            True,
            resources=(
                Resources("authentication.k8s.io", frozenset(), frozenset()),
                Resources("authorization.k8s.io", frozenset(), frozenset()),
            ),
        ),
        Rule(METADATA, _DONE, True),
    ),
    refusals=True,
)
"""Who wrote what, and when, and whose credential was no good: without bodies, without reads, without what Styr's own
controllers tell every few seconds, and without questions (reviews)."""


def load(path: Path) -> Policy:
    """Raises PolicyError; a file that is not there means DEFAULT."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return DEFAULT
    except OSError as error:
        raise PolicyError(f"read {path}: {error.strerror}") from None
    try:
        return read(bodies.decode_config(raw))
    except ApiError as error:
        raise PolicyError(f"{path}: {error.message}") from None
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None


@cache
def _schema() -> Schema:
    words = default(many(TEXT), [])
    resources = struct(group=default(TEXT, ""), resources=words, resourceNames=words)
    rule = struct(
        level=default(TEXT, ""),
        users=words,
        userGroups=words,
        verbs=words,
        namespaces=words,
        resources=default(many(resources), []),
        nonResourceURLs=words,
        omitStages=words,
        omitManagedFields=FLAG,
    )
    return compile_schema(
        struct(
            apiVersion=TEXT,
            kind=TEXT,
            omitStages=words,
            omitManagedFields=default(FLAG, False),
            rules=default(many(rule), []),
        )
    )


def read(obj: dict[str, Any]) -> Policy:
    """Raises PolicyError."""
    obj.pop("metadata", None)
    if obj.get("apiVersion") != "audit.k8s.io/v1" or obj.get("kind") != "Policy":
        raise PolicyError("it must be of kind Policy in audit.k8s.io/v1")
    schema = _schema()
    faults = [f'unknown field "{name}"' for name in schema.unknown_fields(obj)]
    faults += [f"{cause['field']}: {cause['message']}" for cause in schema.validate(schema.default(obj))]
    if not faults:
        faults += _stage_faults(obj["omitStages"], "omitStages")
        faults += [fault for index, rule in enumerate(obj["rules"]) for fault in _faults(rule, f"rules[{index}]")]
    if faults:
        raise PolicyError("; ".join(faults[:16]))
    return Policy(tuple(_rule(rule, obj) for rule in obj["rules"]))


def _rule(rule: Mapping[str, Any], policy: Mapping[str, Any]) -> Rule:
    omitted = {*rule["omitStages"], *policy["omitStages"]}
    return Rule(
        rule["level"],
        frozenset(stage for stage in STAGES if stage not in omitted),
        bool(rule.get("omitManagedFields", policy["omitManagedFields"])),
        frozenset(rule["users"]),
        frozenset(rule["userGroups"]),
        frozenset(rule["verbs"]),
        frozenset(rule["namespaces"]),
        tuple(
            Resources(entry["group"], frozenset(entry["resources"]), frozenset(entry["resourceNames"]))
            for entry in rule["resources"]
        ),
        tuple(rule["nonResourceURLs"]),
    )


def _stage_faults(stages: list[str], path: str) -> Iterator[str]:
    for index, stage in enumerate(stages):
        if stage not in STAGES:
            yield f'{path}[{index}]: Invalid value: "{stage}": allowed stages are {",".join(STAGES)}'


def _faults(rule: Mapping[str, Any], path: str) -> Iterator[str]:
    if not rule["level"]:
        yield f"{path}.level: Required value"
    elif rule["level"] not in LEVELS:
        known = ", ".join(f'"{level}"' for level in LEVELS)
        yield f'{path}.level: Unsupported value: "{rule["level"]}": supported values: {known}'
    yield from _stage_faults(rule["omitStages"], f"{path}.omitStages")
    for index, url in enumerate(rule["nonResourceURLs"]):
        if url != "*" and not url.startswith("/"):
            yield f"{path}.nonResourceURLs[{index}]: non-resource URL rules must begin with a '/' character"
        elif "*" in url[:-1]:
            yield f"{path}.nonResourceURLs[{index}]: wildcards '*' must be the final character of the rule"
    if rule["nonResourceURLs"] and (rule["resources"] or rule["namespaces"]):
        yield f"{path}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs"
    for index, entry in enumerate(rule["resources"]):
        if entry["resourceNames"] and not entry["resources"]:
            yield f"{path}.resources[{index}].resourceNames: using resourceNames requires at least one resource"
        if "/" in entry["group"]:
            yield f"{path}.resources[{index}].group: it is a group and its version: leave the version out"
