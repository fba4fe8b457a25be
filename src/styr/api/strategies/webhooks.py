"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration, and the parts that other kinds have of them: rules,
clientConfig."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from styr.api.strategies.base import BuiltinStrategy, invalid, required
from styr.api.strategies.shapes import (
    LABEL_SELECTOR,
    TEXT,
    Shape,
    default,
    many,
    one_of,
    root,
    struct,
)
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VERSION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_QUALIFIED = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_URL_FORM = "; desired format: https://host[/path]"
_REVIEWS = ("v1", "v1beta1")
MAX_CONDITIONS = 64

CLIENT_CONFIG = struct(
    url=TEXT,
    service=struct(("name", "namespace"), name=TEXT, namespace=TEXT, path=TEXT, port=default({"type": "integer"}, 443)),
    caBundle=TEXT,
)
RULE = struct(
    apiGroups=many(TEXT),
    apiVersions=many(TEXT),
    resources=many(TEXT),
    operations=many(one_of("*", "CONNECT", "CREATE", "DELETE", "UPDATE")),
    scope=one_of("*", "Cluster", "Namespaced", default="*"),
)
MATCH_CONDITIONS = many(struct(("name", "expression"), name=TEXT, expression=TEXT))


def _webhook(**more: Shape) -> Shape:
    return struct(
        ("name", "clientConfig"),
        name=TEXT,
        clientConfig=CLIENT_CONFIG,
        rules=many(RULE),
        failurePolicy=one_of("Fail", "Ignore", default="Fail"),
        matchPolicy=one_of("Equivalent", "Exact", default="Equivalent"),
        namespaceSelector=default(LABEL_SELECTOR, {}),
        objectSelector=default(LABEL_SELECTOR, {}),
        sideEffects=one_of("None", "NoneOnDryRun"),
        timeoutSeconds=default({"type": "integer"}, 10),
        admissionReviewVersions=many(TEXT),
        matchConditions=MATCH_CONDITIONS,
        **more,
    )


class WebhookConfigurationStrategy(BuiltinStrategy):
    def validate(self, obj: Object) -> list[Cause]:
        return list(_faults(obj))

    def rule_faults(self, new: Object, old: Object | None, warnings: list[str]) -> list[Cause]:
        """New matchConditions must compile."""
        known = [hook.get("matchConditions") for hook in old.get("webhooks") or ()] if old else []
        return [
            fault
            for index, hook in enumerate(new.get("webhooks") or ())
            if hook.get("matchConditions") and hook["matchConditions"] not in known
            for fault in _uncompiled(hook["matchConditions"], f"webhooks[{index}].matchConditions")
        ]


class MutatingWebhookStrategy(WebhookConfigurationStrategy):
    shape = root(webhooks=many(_webhook(reinvocationPolicy=one_of("IfNeeded", "Never", default="Never"))))


class ValidatingWebhookStrategy(WebhookConfigurationStrategy):
    shape = root(webhooks=many(_webhook()))


def _faults(obj: Object) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        path = f"webhooks[{index}]"
        yield from _hook_faults(hook, path)
        if hook["name"] in seen:
            yield invalid(f"{path}.name", f'Duplicate value: "{hook["name"]}"', "FieldValueDuplicate")
        seen.add(hook["name"])


def _hook_faults(hook: Object, path: str) -> Iterator[Cause]:
    yield from name_faults(hook["name"], f"{path}.name")
    for number, rule in enumerate(hook.get("rules") or ()):
        yield from rule_faults(rule, f"{path}.rules[{number}]")
    if "sideEffects" not in hook:
        yield required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
    if not 1 <= hook["timeoutSeconds"] <= 30:
        message = f"Invalid value: {hook['timeoutSeconds']}: the timeout value must be between 1 and 30 seconds"
        yield invalid(f"{path}.timeoutSeconds", message)
    yield from client_faults(hook["clientConfig"], f"{path}.clientConfig")
    yield from condition_faults(hook.get("matchConditions") or (), f"{path}.matchConditions")
    yield from _version_faults(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions")


def name_faults(name: str, path: str) -> Iterator[Cause]:
    """A webhook's name must be a domain with at least three parts."""
    if not name:
        yield required(path)
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        yield invalid(path, f'Invalid value: "{name[:300]}": a lowercase RFC 1123 subdomain is wanted')
    elif name.count(".") < 2:
        message = f'Invalid value: "{name}": should be a domain with at least three segments separated by dots'
        yield invalid(path, message)


def rule_faults(rule: Mapping[str, Any], path: str) -> Iterator[Cause]:
    operations = rule.get("operations") or []
    if not operations:
        yield required(f"{path}.operations")
    if "*" in operations and len(operations) > 1:
        yield _quoted(f"{path}.operations", operations, "if '*' is present, must not specify other operations")
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        items = rule.get(field) or []
        if not items:
            yield required(f"{path}.{field}")
        if "*" in items and len(items) > 1:
            yield _quoted(f"{path}.{field}", items, f"if '*' is present, must not specify other {what}")
    for index, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            yield required(f"{path}.apiVersions[{index}]")
    yield from _resource_faults(rule.get("resources") or [], f"{path}.resources")


def _resource_faults(resources: Sequence[str], path: str) -> Iterator[Cause]:
    if not resources:
        yield required(path)
    all_subs: set[str] = set()
    all_names: set[str] = set()
    for index, entry in enumerate(resources):
        if not entry:
            yield required(f"{path}[{index}]")
            continue
        name, slash, sub = entry.partition("/")
        if not slash:
            continue
        if name in all_subs:
            yield invalid(
                f"{path}[{index}]", f"Invalid value: \"{entry}\": if '{name}/*' is present, must not specify {entry}"
            )
        if sub in all_names:
            yield invalid(
                f"{path}[{index}]", f"Invalid value: \"{entry}\": if '*/{sub}' is present, must not specify {entry}"
            )
        if sub == "*":
            all_subs.add(name)
        if name == "*":
            all_names.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        yield _quoted(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and any(entry != "*" and "/" not in entry for entry in resources):
        message = "if '*' is present, must not specify other resources without subresources"
        yield _quoted(path, resources, message)


def client_faults(config: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """`clientConfig` of a webhook: exactly one of url and service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    elif url is not None:
        yield from _url_faults(str(url), f"{path}.url")
    else:
        yield from service_faults(service or {}, f"{path}.service")


def _url_faults(url: str, path: str) -> Iterator[Cause]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{_URL_FORM}")
        return
    if parts.scheme != "https":
        yield invalid(path, f"Invalid value: \"{parts.scheme}\": 'https' is the only allowed URL scheme{_URL_FORM}")
    if not host:
        yield invalid(path, f'Invalid value: "": host must be specified{_URL_FORM}')
    if parts.username is not None:
        yield invalid(path, f'Invalid value: "{parts.username}": user information is not permitted in the URL')
    if parts.fragment:
        yield invalid(path, f'Invalid value: "{parts.fragment}": fragments are not permitted in the URL')
    if parts.query:
        yield invalid(path, f'Invalid value: "{parts.query}": query parameters are not permitted in the URL')


def service_faults(service: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(f"{path}.{field}")
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        yield invalid(
            f"{path}.port", f"Invalid value: {port}: port is not valid: must be between 1 and 65535, inclusive"
        )
    target = service.get("path")
    if not target or target == "/":
        return
    if not target.startswith("/"):
        yield invalid(f"{path}.path", f"Invalid value: \"{target}\": must start with a '/'")
    for index, step in enumerate(target[1:].removesuffix("/").split("/")):
        if not step:
            yield invalid(f"{path}.path", f'Invalid value: "{target}": segment[{index}] may not be empty')
        elif len(step) > 253 or not _SUBDOMAIN.fullmatch(step):
            yield invalid(
                f"{path}.path", f'Invalid value: "{target}": segment[{index}]: a lowercase RFC 1123 subdomain is wanted'
            )


def condition_faults(conditions: Sequence[Mapping[str, Any]], path: str) -> Iterator[Cause]:
    """`matchConditions` but for what CEL says of them."""
    if len(conditions) > MAX_CONDITIONS:
        yield invalid(
            path, f"Too many: {len(conditions)}: must have at most {MAX_CONDITIONS} items", "FieldValueTooMany"
        )
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        name = condition["name"]
        if not condition["expression"].strip():
            yield required(f"{path}[{index}].expression")
        if not name:
            yield required(f"{path}[{index}].name")
        elif not _QUALIFIED.fullmatch(name):
            yield invalid(f"{path}[{index}].name", f'Invalid value: "{name[:300]}": must be a qualified name')
        elif name in seen:
            yield invalid(f"{path}[{index}].name", f'Duplicate value: "{name}"', "FieldValueDuplicate")
        seen.add(name)


def _uncompiled(conditions: Sequence[Mapping[str, Any]], path: str) -> Iterator[Cause]:
    from styr.api.expressions.compiler import Compiler
    from styr.cel.types import BOOL

    compiler = Compiler(params=False)
    for index, condition in enumerate(conditions):
        found = compiler.compile(condition["expression"].strip(), BOOL, variables=False)
        if found.program is None:
            text = f"Invalid value: {json.dumps(found.text, ensure_ascii=False)}: {found.fault}"
            yield invalid(f"{path}[{index}].expression", text)


def _version_faults(versions: Sequence[str], path: str) -> Iterator[Cause]:
    if not versions:
        yield required(path, f"must specify one of {', '.join(_REVIEWS)}")
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid(f"{path}[{index}]", f'Invalid value: "{version}": duplicate version')
        elif not _VERSION.fullmatch(version):
            yield invalid(f"{path}[{index}]", f'Invalid value: "{version[:100]}": a DNS-1035 label is wanted')
    if not set(versions) & set(_REVIEWS):
        yield _quoted(path, versions, f"must include at least one of {', '.join(_REVIEWS)}")


def _quoted(path: str, items: Sequence[str], message: str) -> Cause:
    shown = ",".join(f'"{item}"' for item in items)
    return invalid(path, f"Invalid value: [{shown}]: {message}")
