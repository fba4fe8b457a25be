"""Objects of every kind, made up from the types that the server knows: most fields right, some words that mean something.

`target` plays one of them through its life: created, replaced by another, patched, shown as a Table, deleted.
"""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any

from styr.api.builtin import tables, types
from styr.api.builtin.types import Type
from tests.fuzz.server import Server

WORDS = (
    *(
        "",
        "a",
        "b",
        "A b",
        "a.b",
        "a.b/c",
        "x" * 300,
        "é",
        "\0",
        "0",
        "1",
        "-1",
        "10%",
        "1Gi",
        "1e99",
        "100m",
        "80",
        "http",
    ),
    *(
        "Always",
        "Never",
        "OnFailure",
        "RollingUpdate",
        "Recreate",
        "OnDelete",
        "TCP",
        "UDP",
        "ClusterIP",
        "NodePort",
        "None",
    ),
    *(
        "LoadBalancer",
        "ExternalName",
        "In",
        "NotIn",
        "Exists",
        "DoesNotExist",
        "Equal",
        "NoSchedule",
        "Resource",
        "Pods",
    ),
    *(
        "Utilization",
        "AverageValue",
        "Value",
        "Indexed",
        "NonIndexed",
        "Forbid",
        "Allow",
        "Replace",
        "* * * * *",
        "IPv4",
        "IPv6",
    ),
    *(
        "10.0.0.1",
        "fe80::1",
        "10.0.0.0/8",
        "2020-01-01T00:00:00Z",
        "Pod",
        "v1",
        "apps/v1",
        "Deployment",
        "*",
        "get",
        "User",
    ),
    *(
        "kubernetes.io/tls",
        "Exact",
        "Prefix",
        "ReadWriteOnce",
        "Retain",
        "Delete",
        "Immediate",
        "Namespaced",
        "Cluster",
        "Fail",
    ),
    *(
        "Filesystem",
        "Block",
        "FileOrCreate",
        "DirectoryOrCreate",
        "Local",
        "NoSideEffects",
        "NoneOnDryRun",
        "YQ==",
        "cpu",
    ),
)
NUMBERS = (0, 1, 2, 3, 5, 80, 443, 8080, 65535, 65536, 30000, -1, 1 << 31, 1 << 40, 1 << 63, 1e308, 0.5)
ODD: tuple[Any, ...] = (
    None,
    "",
    "a",
    0,
    -1,
    1e30,
    True,
    [],
    {},
    [None],
    {"": None},
    [[]],
    [{}],
    {"a": {}},
    "1",
    "é" * 500,
)
_ERRANT = 0.01
"""The share of values that are of any type."""


class Maker:
    def __init__(self, random: Random) -> None:
        self._random = random

    def obj(self, kind: tables.Kind) -> dict[str, Any]:
        resource, found = kind.resource, types.find(kind.resource.api_version, kind.resource.kind)
        made: dict[str, Any] = {} if found is None else self._struct(found, 0)
        metadata = made["metadata"] if isinstance(made.get("metadata"), dict) else {}
        if self._random.random() < 0.97:
            metadata["name"] = self._random.choice(("a", "b", "a.b.c"))
            for field in ("namespace", "resourceVersion", "uid", "managedFields", "generateName"):
                metadata.pop(field, None)
        return made | {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}

    def odd(self, obj: Any) -> Any:
        """The same with one part of it replaced by something odd."""
        if isinstance(obj, dict) and obj and self._random.random() < 0.9:
            key = self._random.choice(list(obj))
            return {**obj, key: self.odd(obj[key])}
        if isinstance(obj, list) and obj and self._random.random() < 0.9:
            index = self._random.randrange(len(obj))
            return [*obj[:index], self.odd(obj[index]), *obj[index + 1 :]]
        return self._random.choice(ODD)

    def _struct(self, found: Type, depth: int) -> dict[str, Any]:
        share = 0.5 / (1 + depth / 2)
        return {
            name: self._many(field, depth)
            for name, field in found.fields.items()
            if self._random.random() < (0.9 if depth == 0 or name in ("name", "type", "key", "operator") else share)
        }

    def _many(self, field: types.Field, depth: int) -> Any:
        if self._random.random() < _ERRANT:
            return self._random.choice(ODD)
        count = self._random.choice((0, 1, 1, 1, 2))
        if field.many == "[]":
            return [self._one(field, depth) for _ in range(count)]
        if field.many == "{}":
            return {self._random.choice(WORDS): self._one(field, depth) for _ in range(count)}
        return self._one(field, depth)

    def _one(self, field: types.Field, depth: int) -> Any:
        choose = self._random.choice
        if field.type is not None:
            return self._struct(field.type, depth + 1) if depth < 9 else {}
        if field.kind == "bool":
            return choose((True, False))
        if field.kind in ("int32", "int64", "double"):
            return choose(NUMBERS)
        if field.kind in ("intorstring", "quantity"):
            return choose((choose(NUMBERS), choose(WORDS)))
        if field.kind == "json":
            return choose(ODD)
        return choose(WORDS)


@cache
def _stored() -> tuple[tables.Kind, ...]:
    return tuple(kind for kind in tables.kinds() if "create" in kind.verbs)


@cache
def _server() -> Server:
    return Server()


def target(data: bytes) -> None:
    random = Random(data)
    maker, kind = Maker(random), random.choice(_stored())
    root = kind.resource.path("default" if kind.resource.namespaced else None)
    first, second = maker.obj(kind), maker.obj(kind)
    name = first["metadata"].get("name")
    path = f"{root}/{name if isinstance(name, str) and name else 'a'}"
    patch = maker.odd(second)
    steps = (
        ("POST", root, "application/json", first),
        ("PUT", path, "application/json", {**second, "metadata": {**first["metadata"], "labels": {"a": "b"}}}),
        ("PUT", f"{path}/status", "application/json", second),
        ("PATCH", path, "application/merge-patch+json", patch),
        ("PATCH", path, "application/strategic-merge-patch+json", maker.odd(patch)),
        ("PATCH", path, "application/apply-patch+yaml", first),
        ("GET", root, "application/json;as=Table;v=v1;g=meta.k8s.io", None),
        ("DELETE", path, "application/json", {"gracePeriodSeconds": 0}),
    )
    for method, where, form, body in steps:
        _server().ask(method, where, form, b"" if body is None else json.dumps(body).encode())
