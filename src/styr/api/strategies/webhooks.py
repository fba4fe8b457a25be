"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration, and the parts that other kinds have of them: rules,
clientConfig."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from styr.api.faults import names
from styr.api.faults.causes import Faults, duplicate, each, invalid, one_of, required, too_many, unsupported
from styr.api.faults.selectors import selector
from styr.api.strategies.base import TypedStrategy
from styr.api.strategies.shapes import TEXT, default, struct
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_URL_FORM = "; desired format: https://host[/path]"
_REVIEWS = ("v1", "v1beta1")
MAX_CONDITIONS = 64

CLIENT_CONFIG = struct(
    url=TEXT,
    service=struct(("name", "namespace"), name=TEXT, namespace=TEXT, path=TEXT, port=default({"type": "integer"}, 443)),
    caBundle=TEXT,
)
_FAILURES = ("Fail", "Ignore")
_MATCHES = ("Equivalent", "Exact")
_EFFECTS = ("None", "NoneOnDryRun")
_ALL_EFFECTS = ("None", "NoneOnDryRun", "Some", "Unknown")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


class WebhookConfigurationStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        return self.hooks(obj.get("webhooks") or (), frozenset())

    def update_rules(self, new: Object, old: Object) -> Faults:
        return self.hooks(new.get("webhooks") or (), frozenset(_lax(old.get("webhooks") or ())))

    def rule_faults(self, new: Object, old: Object | None, warnings: list[str]) -> list[Cause]:
        """New matchConditions must compile."""
        known = [hook.get("matchConditions") for hook in old.get("webhooks") or ()] if old else []
        return [
            fault
            for index, hook in enumerate(new.get("webhooks") or ())
            if hook.get("matchConditions") and hook["matchConditions"] not in known
            for fault in _uncompiled(hook["matchConditions"], f"webhooks[{index}].matchConditions")
        ]

    def hooks(self, found: Sequence[Object], lax: frozenset[str]) -> Faults:
        """`lax`: what was let in before, and stays."""
        seen: set[str] = set()
        for index, hook in enumerate(found):
            path, name = f"webhooks[{index}]", hook.get("name", "")
            yield from self.hook(hook, path, lax)
            yield from _version_faults(
                hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions", "versions" not in lax
            )
            if name in seen and "names" not in lax:
                yield duplicate(f"{path}.name", name)
            seen.add(name)
            seen.discard("")

    def hook(self, hook: Object, path: str, lax: frozenset[str]) -> Faults:
        yield from name_faults(hook.get("name", ""), f"{path}.name")
        for number, rule in enumerate(hook.get("rules") or ()):
            yield from rule_faults(rule, f"{path}.rules[{number}]")
        yield from one_of(f"{path}.failurePolicy", hook.get("failurePolicy"), _FAILURES, needed=False)
        yield from one_of(f"{path}.matchPolicy", hook.get("matchPolicy"), _MATCHES, needed=False)
        effects = _ALL_EFFECTS if "effects" in lax else _EFFECTS
        if hook.get("sideEffects") is None:
            yield required(f"{path}.sideEffects", f"must specify one of {', '.join(effects)}")
        elif hook["sideEffects"] not in effects:
            yield unsupported(f"{path}.sideEffects", hook["sideEffects"], effects)
        if not 1 <= (seconds := hook.get("timeoutSeconds", 1)) <= 30:
            yield invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
        for field in ("namespaceSelector", "objectSelector"):
            yield from selector(hook.get(field), f"{path}.{field}", odd_values="selectors" in lax)
        yield from client_faults(hook.get("clientConfig") or {}, f"{path}.clientConfig")
        yield from condition_faults(hook.get("matchConditions") or (), f"{path}.matchConditions")


class MutatingWebhookStrategy(WebhookConfigurationStrategy):
    def hook(self, hook: Object, path: str, lax: frozenset[str]) -> Faults:
        yield from super().hook(hook, path, lax)
        yield from one_of(
            f"{path}.reinvocationPolicy", hook.get("reinvocationPolicy"), ("IfNeeded", "Never"), needed=False
        )


class ValidatingWebhookStrategy(WebhookConfigurationStrategy):
    pass


def _lax(hooks: Sequence[Object]) -> Iterator[str]:
    named = [hook.get("name", "") for hook in hooks]
    if len({*named}) < len(named):
        yield "names"
    if any(hook.get("sideEffects") not in _EFFECTS for hook in hooks):
        yield "effects"
    if not all({*(hook.get("admissionReviewVersions") or ())} & {*_REVIEWS} for hook in hooks):
        yield "versions"
    if any([*selector(hook.get(field), "")] for hook in hooks for field in ("namespaceSelector", "objectSelector")):
        yield "selectors"


def name_faults(name: str, path: str) -> Faults:
    """A webhook's name must be a domain with at least three parts."""
    if not name:
        yield required(path)
    elif wrong := names.dns_subdomain(name):
        yield from each(path, name, wrong)
    elif name.count(".") < 2:
        yield invalid(path, name, "should be a domain with at least three segments separated by dots")


def rule_faults(rule: Mapping[str, Any], path: str, *, operations: bool = True) -> Faults:
    """`operations`: a rule of a webhook, which says them."""
    asked = rule.get("operations") or []
    if operations:
        if not asked:
            yield required(f"{path}.operations")
        if "*" in asked and len(asked) > 1:
            yield invalid(f"{path}.operations", asked, "if '*' is present, must not specify other operations")
        for index, operation in enumerate(asked):
            if operation not in _OPERATIONS:
                yield unsupported(f"{path}.operations[{index}]", operation, _OPERATIONS)
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        items = rule.get(field) or []
        if not items:
            yield required(f"{path}.{field}")
        if "*" in items and len(items) > 1:
            yield invalid(f"{path}.{field}", items, f"if '*' is present, must not specify other {what}")
    for index, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            yield required(f"{path}.apiVersions[{index}]")
    yield from _resource_faults(rule.get("resources") or [], f"{path}.resources")
    if "scope" in rule and rule["scope"] not in _SCOPES:
        yield unsupported(f"{path}.scope", rule["scope"], _SCOPES)


def _resource_faults(resources: Sequence[str], path: str) -> Faults:
    if not resources:
        yield required(path)
    all_subs: set[str] = set()
    all_names: set[str] = set()
    plain = False
    for index, entry in enumerate(resources):
        if not entry:
            yield required(f"{path}[{index}]")
            continue
        name, slash, sub = entry.partition("/")
        if not slash:
            plain = entry != "*"
            continue
        if name in all_subs:
            yield invalid(f"{path}[{index}]", entry, f"if '{name}/*' is present, must not specify {entry}")
        if sub in all_names:
            yield invalid(f"{path}[{index}]", entry, f"if '*/{sub}' is present, must not specify {entry}")
        if sub == "*":
            all_subs.add(name)
        if name == "*":
            all_names.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        yield invalid(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and plain:
        yield invalid(path, resources, "if '*' is present, must not specify other resources without subresources")


def client_faults(config: Mapping[str, Any], path: str) -> Faults:
    """`clientConfig` of a webhook: exactly one of url and service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    elif url is not None:
        yield from _url_faults(str(url), f"{path}.url")
    else:
        yield from service_faults(service or {}, f"{path}.service")


def _url_faults(url: str, path: str) -> Faults:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{_URL_FORM}")
        return
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_URL_FORM}")
    if not host:
        yield invalid(path, "", f"host must be specified{_URL_FORM}")
    if parts.username is not None:
        yield invalid(path, parts.username, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(path, parts.query, "query parameters are not permitted in the URL")


def service_faults(service: Mapping[str, Any], path: str) -> Faults:
    for field, said in (("namespace", "name"), ("name", "namespace")):  # as Kubernetes has it, the wrong way round
        if not service.get(field):
            yield required(f"{path}.{said}")
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        yield invalid(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    target = service.get("path")
    if target is None or target in ("", "/"):
        return
    if not target.startswith("/"):
        yield invalid(f"{path}.path", target, "must start with a '/'")
    steps = target[1:].removesuffix("/")
    if not steps and target == "//":
        yield invalid(f"{path}.path", target, "segment[0] may not be empty")
        return
    for index, step in enumerate(steps.split("/")):
        if not step:
            yield invalid(f"{path}.path", target, f"segment[{index}] may not be empty")
        else:
            for wrong in names.dns_subdomain(step):
                yield invalid(f"{path}.path", target, f"segment[{index}]: {wrong}")


def condition_faults(conditions: Sequence[Mapping[str, Any]], path: str) -> Faults:
    """`matchConditions` but for what CEL says of them."""
    if len(conditions) > MAX_CONDITIONS:
        yield too_many(path, len(conditions), MAX_CONDITIONS)
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        name = condition.get("name", "")
        if not condition.get("expression", "").strip():
            yield required(f"{path}[{index}].expression")
        if not name:
            yield required(f"{path}[{index}].name")
            continue
        yield from each(f"{path}[{index}].name", name, names.qualified(name))
        if name in seen:
            yield duplicate(f"{path}[{index}].name", name)
        seen.add(name)


def _version_faults(versions: Sequence[str], path: str, known: bool) -> Faults:
    if not versions:
        yield required(path, f"must specify one of {', '.join(_REVIEWS)}")
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid(f"{path}[{index}]", version, "duplicate version")
        else:
            yield from each(f"{path}[{index}]", version, names.dns_label_1035(version))
    if known and not set(versions) & set(_REVIEWS):
        yield invalid(path, versions, f"must include at least one of {', '.join(_REVIEWS)}")


def _uncompiled(conditions: Sequence[Mapping[str, Any]], path: str) -> Faults:
    from styr.api.expressions.compiler import Compiler
    from styr.cel.types import BOOL

    compiler = Compiler(params=False)
    for index, condition in enumerate(conditions):
        found = compiler.compile(condition["expression"].strip(), BOOL, variables=False)
        if found.program is None:
            yield invalid(f"{path}[{index}].expression", found.text, str(found.fault))
