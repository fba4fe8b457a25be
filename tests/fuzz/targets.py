"""What is fuzzed: each target takes any bytes, and returns; a refusal in words of its own is as good as a result. Anything
that it raises is a find. `seeds` are inputs that reach deep, for mutation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from styr.api.bodies import decode_config
from styr.api.builtin import types
from styr.api.patches import json_patch, merge, strategic
from styr.api.protobuf.envelope import MAGIC, MEDIA_TYPE, decode
from styr.cel.environment import PER_CALL, Environment
from styr.cel.errors import CelError
from styr.cel.types import DYN
from styr.kinds.errors import ApiError
from styr.kinds.selectors import SelectorError, parse
from styr.serving.spdy.frames import BadFrame, Decoder
from tests.api.kit import JSON_PATCH, MERGE_PATCH, STRATEGIC
from tests.api.proto import envelope, f, pair
from tests.fuzz import objects, streams
from tests.fuzz.server import POD, Server


@dataclass(frozen=True)
class Target:
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def protobuf(data: bytes) -> None:
    with suppress(ApiError):
        json.dumps(decode(data), allow_nan=False)


def patches(data: bytes) -> None:
    """A patch of a pod, by each of the three ways."""
    with suppress(ValueError, RecursionError, ApiError):
        patch = json.loads(data)
        for apply in (
            json_patch.apply,
            merge.apply,
            lambda pod, patch: strategic.apply(pod, patch, types.find("v1", "Pod")),
        ):
            with suppress(ApiError):
                json.dumps(apply(POD, patch))


def config(data: bytes) -> None:
    with suppress(ApiError):
        json.dumps(decode_config(data))


def selectors(data: bytes) -> None:
    with suppress(SelectorError, UnicodeDecodeError):
        parse(data.decode())


def spdy(data: bytes) -> None:
    """In pieces as long as the first byte says."""
    decoder, size = Decoder(), (data[0] if data else 0) + 1
    with suppress(BadFrame):
        for start in range(1, len(data), size):
            list(decoder.feed(data[start : start + size]))


def cel(data: bytes) -> None:
    with suppress(CelError, UnicodeDecodeError):
        _environment().compile(data.decode()).run(PER_CALL, POD)


@cache
def _environment() -> Environment:
    return Environment({"self": DYN})


REQUESTS = (
    ("POST", "/api/v1/namespaces/default/pods", "application/json"),
    ("POST", "/api/v1/namespaces/default/pods", MEDIA_TYPE),
    ("PUT", "/api/v1/namespaces/default/configmaps/a", "application/json"),
    ("PATCH", "/api/v1/namespaces/default/pods/a", JSON_PATCH),
    ("PATCH", "/api/v1/namespaces/default/pods/a", MERGE_PATCH),
    ("PATCH", "/api/v1/namespaces/default/pods/a", STRATEGIC),
    ("PATCH", "/api/v1/namespaces/default/pods/a", "application/apply-patch+yaml"),
    ("POST", "/apis/apps/v1/namespaces/default/deployments", "application/json"),
    ("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "application/json"),
    ("POST", "/api/v1/namespaces/default/services", "application/json"),
    ("DELETE", "/api/v1/namespaces/default/pods/a", "application/json"),
    ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json"),
    ("POST", "/apis/batch/v1/namespaces/default/jobs", "application/json"),
    ("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", "application/json"),
    ("POST", "/apis/networking.k8s.io/v1/namespaces/default/ingresses", "application/json"),
    ("POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "application/json"),
)
"""Which one it is, the first byte says."""


@cache
def _server() -> Server:
    return Server()


def server(data: bytes) -> None:
    """The whole way of a request, from its body to the store: refused or done, never a 500."""
    method, path, kind = REQUESTS[(data[0] if data else 0) % len(REQUESTS)]
    _server().ask(method, path, kind, data[1:])


_META = f(1, f(1, "a") + f(3, "default") + pair(11, "a", "b"))
_MESSAGE = envelope("v1", "Pod", _META + f(2, f(2, f(1, "a") + f(2, "b"))))
_CRD = {
    "metadata": {"name": "as.b.c"},
    "spec": {
        "group": "b.c",
        "names": {"plural": "as", "kind": "A"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 1"}]}
                        },
                    }
                },
            }
        ],
    },
}
_WORKLOAD = {
    "metadata": {"name": "a"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]},
    },
}
_BODIES: dict[str, Any] = {
    "pods": POD,
    "configmaps": {"metadata": {"name": "a"}, "data": {"a": "b"}, "binaryData": {"c": "YQ=="}},
    "deployments": _WORKLOAD,
    "customresourcedefinitions": _CRD,
    "clusterroles": {"metadata": {"name": "a"}, "rules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}]},
    "services": {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 1, "targetPort": "a"}], "type": "NodePort"}},
    "selfsubjectaccessreviews": {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}},
    "jobs": {"metadata": {"name": "a"}, "spec": {"template": {"spec": {**POD["spec"], "restartPolicy": "Never"}}}},
    "horizontalpodautoscalers": {
        "metadata": {"name": "a"},
        "spec": {"scaleTargetRef": {"kind": "D", "name": "a"}, "maxReplicas": 2, "metrics": [{"type": "Resource"}]},
    },
    "ingresses": {
        "metadata": {"name": "a"},
        "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 1}}}},
    },
    "validatingwebhookconfigurations": {
        "metadata": {"name": "a"},
        "webhooks": [{"name": "a.b.c", "clientConfig": {"url": "https://a"}, "sideEffects": "None"}],
    },
}
_OPERATIONS = [{"op": "add", "path": "/metadata/labels/c", "value": "d"}, {"op": "test", "path": "/spec", "value": 1}]
_STRATEGIC = {
    "spec": {"containers": [{"name": "a", "$patch": "delete"}], "$setElementOrder/containers": [{"name": "a"}]}
}


def _requests() -> tuple[bytes, ...]:
    found = []
    for index, (_, url, kind) in enumerate(REQUESTS):
        body: Any = _BODIES.get(url.rsplit("/", 1)[-1], {"metadata": {"labels": None}})
        if kind == JSON_PATCH:
            body = _OPERATIONS
        elif kind == STRATEGIC:
            body = _STRATEGIC
        elif "apply" in kind:
            body = POD
        found.append(bytes([index]) + (_MESSAGE if kind == MEDIA_TYPE else json.dumps(body).encode()))
    return tuple(found)


TARGETS = {
    "protobuf": Target(protobuf, (_MESSAGE, MAGIC)),
    "patches": Target(patches, (json.dumps(_OPERATIONS).encode(), json.dumps(_STRATEGIC).encode(), b"{}", b"[]")),
    "config": Target(config, (b"a: [1, {b: c}]\nd: |\n  e\n", b"{}", json.dumps(POD).encode())),
    "selectors": Target(selectors, (b"a in (b,c),!d,e!=f,g", b"")),
    "spdy": Target(
        spdy, (bytes.fromhex("0a80030006000000040000000100000001"), b"\x01\x00\x00\x00\x01\x01\x00\x00\x02ab")
    ),
    "cel": Target(
        cel, (b"self.spec.containers.all(c, c.name.matches('a+') || size(c) > 2) ? 1 : 2u", b"[1, {'a': b'c'}]")
    ),
    "objects": Target(objects.target, tuple(b"%d" % number for number in range(50))),
    "server": Target(server, _requests()),
    "streams": Target(streams.streams, streams.seeds()),
    "relayed": Target(streams.relayed, streams.ANSWERS),
}
