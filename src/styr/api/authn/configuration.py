"""`DIR/authentication.yaml`: which issuers' tokens are believed and whom they stand for. Pure but for `load`; called by `oidc`.

Format: AuthenticationConfiguration of apiserver.config.k8s.io (v1, v1beta1). A claim is taken as it is, with a prefix; CEL
expressions go through `Compile`, which whoever loads the file hands in.

    ConfigurationError    the file cannot be used. The text names every field that is wrong
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from styr.api import bodies
from styr.api.authn.accounts import ISSUER, LEGACY_ISSUER
from styr.api.schema import Schema, compile_schema
from styr.api.strategies.shapes import FLAG, TEXT, default, many, struct
from styr.kinds.errors import ApiError

VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
KIND = "AuthenticationConfiguration"
MAX_ISSUERS = 64

Evaluate = Callable[[Mapping[str, Any]], Any]
"""An expression with its variable given; plain Python values come out. Raises ValueError."""


class Expression(NamedTuple):
    """`kind` is the type that it has in any case (`bool`, `string`, ...), "" when only its run tells; `claims` those that it
    looks at by name."""

    evaluate: Evaluate
    kind: str = ""
    claims: frozenset[str] = frozenset()


Compile = Callable[[str, str], Expression]
"""(expression, the name of its one variable) -> what evaluates it. Raises ValueError."""


class ConfigurationError(Exception):
    """See the module."""


def no_expressions(expression: str, variable: str) -> Expression:
    raise ValueError("CEL expressions are not supported here: name a claim")


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where one thing about a user comes from: a claim with a prefix, or an expression; neither for none."""

    claim: str = ""
    prefix: str = ""
    expression: Evaluate | None = None

    def __bool__(self) -> bool:
        return bool(self.claim or self.expression)


@dataclass(frozen=True, slots=True)
class Rule:
    """A claim that must be `value`, or (without `claim`) an expression that must be true, else `message`."""

    claim: str = ""
    value: str = ""
    expression: Evaluate | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One `jwt` entry. `authority` is PEM, "" for the machine's own trust."""

    url: str
    audiences: frozenset[str]
    username: Mapped
    discovery: str = ""
    authority: str = ""
    groups: Mapped = Mapped()
    uid: Mapped = Mapped()
    extra: tuple[tuple[str, Evaluate], ...] = ()
    claim_rules: tuple[Rule, ...] = ()
    user_rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """`anonymous_paths` None: everywhere; empty: nowhere."""

    issuers: tuple[Issuer, ...] = ()
    anonymous_paths: frozenset[str] | None = None

    def allows_anonymous(self, path: str) -> bool:
        return self.anonymous_paths is None or path in self.anonymous_paths


def load(path: Path, compile: Compile) -> Configuration:
    """Raises ConfigurationError; a file that is not there is an empty configuration."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Configuration()
    except OSError as error:
        raise ConfigurationError(f"read {path}: {error.strerror}") from None
    try:
        return read(bodies.decode_config(raw), compile)
    except ApiError as error:
        raise ConfigurationError(f"{path}: {error.message}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def read(obj: dict[str, Any], compile: Compile) -> Configuration:
    """Raises ConfigurationError."""
    obj.pop("metadata", None)
    if obj.get("apiVersion") not in VERSIONS or obj.get("kind") != KIND:
        raise ConfigurationError(f"it must be of kind {KIND} in {VERSIONS[0]}")
    schema = _schema()
    faults = [f'unknown field "{name}"' for name in schema.unknown_fields(obj)]
    faults += [f"{cause['field']}: {cause['message']}" for cause in schema.validate(schema.default(obj))]
    if faults:
        raise ConfigurationError("; ".join(faults[:16]))
    reader = _Reader(compile)
    found = reader.configuration(obj)
    if reader.faults:
        raise ConfigurationError("; ".join(reader.faults[:16]))
    return found


@cache
def _schema() -> Schema:
    word, words = default(TEXT, ""), default(many(TEXT), [])
    mapped = default(struct(claim=word, prefix=TEXT, expression=word), {})
    issuer = struct(
        url=word, discoveryURL=word, certificateAuthority=word, audiences=words, audienceMatchPolicy=word,
        egressSelectorType=word,
    )  # fmt: skip
    extra = struct(key=word, valueExpression=word)
    mappings = struct(
        username=mapped,
        groups=mapped,
        uid=default(struct(claim=word, expression=word), {}),
        extra=default(many(extra), []),
    )
    jwt = struct(
        issuer=default(issuer, {}),
        claimMappings=default(mappings, {}),
        claimValidationRules=default(many(struct(claim=word, requiredValue=word, expression=word, message=word)), []),
        userValidationRules=default(many(struct(expression=word, message=word)), []),
    )
    anonymous = struct(enabled=default(FLAG, False), conditions=default(many(struct(path=word)), []))
    return compile_schema(struct(apiVersion=TEXT, kind=TEXT, jwt=default(many(jwt), []), anonymous=anonymous))


class _Reader:
    """Collects what is wrong instead of stopping at the first."""

    def __init__(self, compile: Compile) -> None:
        self.faults: list[str] = []
        self._compile = compile
        self._named: set[str] = set()
        self._checked: set[str] = set()
        """Claims that the expressions of one issuer look at: for the name, and elsewhere."""

    def configuration(self, obj: dict[str, Any]) -> Configuration:
        if len(obj["jwt"]) > MAX_ISSUERS:
            self.faults.append(f"jwt: Too many: {len(obj['jwt'])}: must have at most {MAX_ISSUERS} items")
            return Configuration()
        issuers = tuple(self._issuer(entry, f"jwt[{index}]") for index, entry in enumerate(obj["jwt"]))
        seen: set[str] = set()
        for index, issuer in enumerate(issuers):
            for url in filter(None, (issuer.url, issuer.discovery)):
                if url in seen:
                    self.faults.append(f'jwt[{index}].issuer: Duplicate value: "{url}"')
                seen.add(url)
        return Configuration(issuers, self._anonymous(obj.get("anonymous")))

    def _anonymous(self, found: dict[str, Any] | None) -> frozenset[str] | None:
        if found is None:
            return None
        paths = frozenset(condition["path"] for condition in found["conditions"])
        if not found["enabled"] and paths:
            self.faults.append("anonymous.conditions: enabled should be set to true when conditions are defined")
        return (paths or None) if found["enabled"] else frozenset()

    def _issuer(self, entry: dict[str, Any], path: str) -> Issuer:
        found, maps = entry["issuer"], entry["claimMappings"]
        self.faults += _issuer_faults(found, f"{path}.issuer")
        self._named, self._checked = set(), set()
        made = Issuer(
            found["url"],
            frozenset(found["audiences"]),
            self._mapped(maps["username"], f"{path}.claimMappings.username", needed=True),
            found["discoveryURL"],
            found["certificateAuthority"],
            self._mapped(maps["groups"], f"{path}.claimMappings.groups"),
            self._mapped({**maps["uid"], "prefix": ""}, f"{path}.claimMappings.uid"),
            tuple(self._extra(maps["extra"], f"{path}.claimMappings.extra")),
            tuple(self._claim_rules(entry["claimValidationRules"], f"{path}.claimValidationRules")),
            tuple(self._user_rules(entry["userValidationRules"], f"{path}.userValidationRules")),
        )
        self._check_email(path)
        return made

    def _mapped(self, found: dict[str, Any], path: str, *, needed: bool = False) -> Mapped:
        claim, expression, prefix = found["claim"], found["expression"], found.get("prefix")
        if claim and expression:
            self.faults.append(f"{path}: claim and expression can't both be set")
        elif expression:
            if prefix:
                self.faults.append(f"{path}.prefix: prefix can't be set when expression is set")
            return Mapped(expression=self._expression(expression, "claims", f"{path}.expression"))
        elif claim and prefix is None:
            self.faults.append(
                f"{path}.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to "
                "disable prefixing"
            )
        elif not claim and needed:
            self.faults.append(f"{path}: Required value: claim or expression is required")
        elif not claim and prefix:
            self.faults.append(f"{path}.prefix: non-empty prefix can't be set when claim is not set")
        return Mapped(claim, prefix or "")

    def _expression(self, expression: str, variable: str, path: str, *, rule: bool = False) -> Evaluate | None:
        try:
            found = self._compile(expression, variable)
        except ValueError as error:
            self.faults.append(f"{path}: {error}")
            return None
        if rule and found.kind not in ("bool", ""):
            self.faults.append(f"{path}: must evaluate to bool")
        if variable == "claims":
            (self._named if path.endswith("username.expression") else self._checked).update(found.claims)
        return found.evaluate

    def _check_email(self, path: str) -> None:
        """Whoever takes a user's name from an address must look whether it is his."""
        if "email" in self._named and "email_verified" not in self._named | self._checked:
            self.faults.append(
                f"{path}.claimMappings.username.expression: claims.email_verified must be used in "
                "claimMappings.username.expression or claimMappings.extra[*].valueExpression or "
                "claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"
            )

    def _extra(self, found: list[dict[str, Any]], path: str) -> Iterator[tuple[str, Evaluate]]:
        seen: set[str] = set()
        for index, entry in enumerate(found):
            key, where = entry["key"], f"{path}[{index}]"
            domain, slash, rest = key.partition("/")
            if not (slash and domain and rest) or key != key.lower():
                self.faults.append(f'{where}.key: must be a lowercase domain-prefixed path (such as "acme.io/foo")')
            elif f".{domain}".endswith((".kubernetes.io", ".k8s.io")):
                reserved = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"
                self.faults.append(f"{where}.key: {reserved}")
            elif key in seen:
                self.faults.append(f'{where}.key: Duplicate value: "{key}"')
            seen.add(key)
            evaluate = self._expression(entry["valueExpression"], "claims", f"{where}.valueExpression")
            if evaluate is not None:
                yield key, evaluate

    def _claim_rules(self, found: list[dict[str, Any]], path: str) -> Iterator[Rule]:
        for index, entry in enumerate(found):
            claim, expression, where = entry["claim"], entry["expression"], f"{path}[{index}]"
            if bool(claim) == bool(expression):
                known = "claim and expression can't both be set" if claim else "claim or expression is required"
                self.faults.append(f"{where}: {known}")
            elif claim:
                if entry["message"]:
                    self.faults.append(f"{where}.message: may not be specified when claim is set")
                yield Rule(claim, entry["requiredValue"])
            else:
                if entry["requiredValue"]:
                    self.faults.append(f"{where}.requiredValue: may not be specified when expression is set")
                evaluate = self._expression(expression, "claims", f"{where}.expression", rule=True)
                yield Rule(expression=evaluate, message=entry["message"] or f"{expression} must be true")

    def _user_rules(self, found: list[dict[str, Any]], path: str) -> Iterator[Rule]:
        for index, entry in enumerate(found):
            if not entry["expression"]:
                self.faults.append(f"{path}[{index}].expression: Required value")
                continue
            evaluate = self._expression(entry["expression"], "user", f"{path}[{index}].expression", rule=True)
            yield Rule(expression=evaluate, message=entry["message"] or f"{entry['expression']} must be true")


def _issuer_faults(found: dict[str, Any], path: str) -> Iterator[str]:
    if not found["url"]:
        yield f"{path}.url: Required value"
    if found["url"] in (ISSUER, LEGACY_ISSUER):
        yield f"{path}.url: URL must not overlap with disallowed issuers: [{ISSUER}]"
    for field in ("url", "discoveryURL"):
        if found[field]:
            yield from (f'{path}.{field}: Invalid value: "{found[field]}": {why}' for why in _url_faults(found[field]))
    if found["discoveryURL"] and found["discoveryURL"].rstrip("/") == found["url"].rstrip("/"):
        yield f"{path}.discoveryURL: discoveryURL must be different from URL"
    if not found["audiences"] or not all(found["audiences"]):
        yield f"{path}.audiences: Required value: at least one {path}.audiences is required"
    many_audiences = len(found["audiences"]) > 1
    if found["audienceMatchPolicy"] not in (("MatchAny",) if many_audiences else ("", "MatchAny")):
        yield f"{path}.audienceMatchPolicy: audienceMatchPolicy must be MatchAny for multiple audiences"
    if found["egressSelectorType"]:
        yield f"{path}.egressSelectorType: there is no egress selector here: issuers are reached directly"
    if found["certificateAuthority"]:
        try:
            ssl.create_default_context(cadata=found["certificateAuthority"])
        except (ssl.SSLError, ValueError) as error:
            yield f"{path}.certificateAuthority: it holds no certificates that can be read ({error})"


def _url_faults(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        yield str(error)
        return
    if parts.scheme != "https":
        yield "URL scheme must be https"
    if not parts.hostname:
        yield "URL must name a host"
    if parts.username is not None or parts.password is not None:
        yield "URL must not contain a username or password"
    if parts.query:
        yield "URL must not contain a query"
    if parts.fragment:
        yield "URL must not contain a fragment"
