"""Writes `fields.json`, the facts that decoding a protobuf body needs: `python -m styr.api.protobuf.generate`.

Called by people, when `VERSION` moves; needs Go, to fetch the published modules. Reads their
`generated.proto` (field numbers and types) and, beside it, the Go types (JSON names, what is inlined, what appears when it is
empty), because a body must become what the same Go object says in JSON. Takes facts only, no text. `shapes` reads the file
and describes its format.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).with_name("fields.json")
VERSION = "v0.35.3"
MODULES = ("k8s.io/api", "k8s.io/apimachinery", "k8s.io/apiextensions-apiserver", "k8s.io/kube-aggregator")
LEFT_OUT = (
    "admission/",
    "imagepolicy/",
    "apidiscovery/",
    "testapigroup/",
    "meta/v1beta1",
    "apiextensions/v1beta1",
    "apiregistration/v1beta1",
    "pkg/",
)
"""Packages that no client sends as a body of the API."""

SPECIAL = {
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time": "time",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1": "json",
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "quantity",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "json",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON": "json",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "schemaorlist",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "schemaorbool",
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "schemaorstrings",
}
"""Messages whose Go type writes its own JSON."""
UNSENT = ("Duration", "GroupVersion")
"""Such messages too, but no body holds them."""
WIRE_FORMS = ("Timestamp", "Verbs")
"""Messages without a Go type of their own: how a special one travels."""
SCALARS = ("string", "bytes", "bool", "int32", "int64", "double")

_PACKAGE = re.compile(r"^package (\S+);", re.M)
_MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.M | re.S)
_FIELD = re.compile(r"^  (optional|repeated|map<string, ([\w.]+)>) ?([\w.]*) (\w+) = (\d+)", re.M)
_GROUP = re.compile(r'^const GroupName = "([^"]*)"', re.M)
_STRUCT = re.compile(r"^type (\w+) struct ?\{(\}|.*?^\})", re.M | re.S)
_ALIAS = re.compile(r"^type (\w+) (?:= )?\w+\.(\w+)$", re.M)
_MEMBER = re.compile(r"^\s*(?:(\w+) +)?(\S+) +`(.*)`", re.M)
_STRINGS = re.compile(r"^type (\w+) \[\]string", re.M)
_NUMBER = re.compile(r'protobuf:"\w+,(\d+)')
_JSON = re.compile(r'json:"([^"]*)"')
_OWN_JSON = re.compile(r"^func \(\w+ \*?(\w+)\) MarshalJSON\(", re.M)


class Unknown(Exception):
    """The published types hold something that this script has no rule for."""


@dataclass(frozen=True)
class Member:
    """A field of a Go struct. `name` is its JSON name, "" when it is inlined; `empty`: it is written although empty."""

    name: str
    pointer: bool
    empty: bool
    zero: bool
    """`omitzero`: left out when it is the zero of its type, also when that is a struct."""


@dataclass(frozen=True)
class Package:
    """One folder of a module. `key` is its apiVersion."""

    key: str
    proto: str
    text: str
    structs: dict[str, dict[int, Member]]
    aliases: dict[str, str]
    """Structs of another package under a name of this one."""
    strings: frozenset[str]
    """Names of `[]string` types, messages that JSON shows as a list."""


def main() -> None:
    text = table()
    TARGET.write_text(text)
    print(f"{TARGET}: {len(text)} bytes")


def table() -> str:
    """The text of `fields.json`. Raises Unknown; CalledProcessError when Go cannot fetch a module."""
    packages = {package.proto: package for module in MODULES for package in _packages(module)}
    found = {package.key: dict(sorted(_messages(package, packages))) for package in packages.values()}
    source = ", ".join(f"{module}@{VERSION}" for module in MODULES)
    return json.dumps({"source": source, "packages": dict(sorted(found.items()))}, indent=0) + "\n"


def _packages(module: str) -> Iterator[Package]:
    found = subprocess.run(
        ["go", "mod", "download", "-json", f"{module}@{VERSION}"], capture_output=True, check=True, text=True
    )
    root = Path(json.loads(found.stdout)["Dir"])
    for path in sorted(root.rglob("generated.proto")):
        folder = path.parent
        where = f"{folder.parent.name}/{folder.name}"
        if (folder / "register.go").exists() and not where.startswith(LEFT_OUT):
            yield _package(folder, path.read_text())


def _package(folder: Path, text: str) -> Package:
    sources = [path.read_text() for path in sorted(folder.glob("*.go")) if not path.name.endswith("_test.go")]
    go = "\n".join(sources)
    proto, group = _PACKAGE.search(text), _GROUP.search(go)
    if proto is None or group is None:
        raise Unknown(f"{folder}: no package or no GroupName")
    for name in _OWN_JSON.findall(go):
        if f"message {name} {{" in text and name not in UNSENT and f"{proto[1]}.{name}" not in SPECIAL:
            raise Unknown(f"{folder}: {name} writes its own JSON, and SPECIAL does not name it")
    key = f"{group[1]}/{folder.name}" if group[1] else folder.name
    structs = {name: dict(_members(body)) for name, body in _STRUCT.findall(go)}
    return Package(key, proto[1], text, structs, dict(_ALIAS.findall(go)), frozenset(_STRINGS.findall(go)))


def _members(body: str) -> Iterator[tuple[int, Member]]:
    for name, kind, tags in _MEMBER.findall(re.sub(r"^\s*//.*$", "", body, flags=re.M)):
        number, json_tag = _NUMBER.search(tags), _JSON.search(tags)
        if number is None or json_tag is None or json_tag[1] == "-":
            continue
        word, *options = json_tag[1].split(",")
        if not word and "inline" not in options:
            raise Unknown(f"{name} {kind} `{tags}`: neither a name nor inlined")
        pointer = kind.startswith("*")
        yield int(number[1]), Member(word, pointer, "omitempty" not in options, "omitzero" in options)


def _messages(package: Package, packages: dict[str, Package]) -> Iterator[tuple[str, str]]:
    for name, body in _MESSAGE.findall(package.text):
        if f"{package.proto}.{name}" in SPECIAL or name in package.strings or name in UNSENT:
            continue
        if name in WIRE_FORMS:
            continue
        members = package.structs.get(name)
        if members is None and name in package.aliases:
            members = _struct(package.aliases[name], package, packages)
        if members is None:
            raise Unknown(f"{package.key}: {name} is no struct in Go")
        fields = [field for field in _FIELD.finditer(re.sub(r"^\s*//.*$", "", body, flags=re.M)) if field]
        yield name, ", ".join(_fact(field, package, members, packages) for field in fields)


def _struct(name: str, package: Package, packages: dict[str, Package]) -> dict[int, Member] | None:
    """What an alias means: a struct of the same group's v1, or of meta."""
    homes = (f"{package.proto.rpartition('.')[0]}.v1", "k8s.io.apimachinery.pkg.apis.meta.v1")
    return next((packages[home].structs[name] for home in homes if name in packages[home].structs), None)


def _fact(field: re.Match[str], package: Package, members: dict[int, Member], packages: dict[str, Package]) -> str:
    """`NUMBER NAME TYPE`, as `shapes` describes it."""
    label, of_map, plain, proto_name, number = field.groups()
    member = members.get(int(number))
    if member is None:
        raise Unknown(f"{package.key}: the Go type has no field {number} ({proto_name})")
    kind = _kind(of_map or plain, package, packages)
    single = label == "optional"
    struct = single and not member.pointer and kind not in (*SCALARS, "strings")
    always = "!" if (member.empty or struct) and not member.zero else ""
    shape = "" if single else "[]" if label == "repeated" else "{}"
    return f"{number} {member.name or '.'} {'*' if member.pointer else ''}{shape}{kind}{always}"


def _kind(name: str, package: Package, packages: dict[str, Package]) -> str:
    if name in SCALARS:
        return name
    full = name[1:] if name.startswith(".") else f"{package.proto}.{name}"
    if full in SPECIAL:
        return SPECIAL[full]
    home, _, message = full.rpartition(".")
    if home not in packages:
        raise Unknown(f"{package.key}: {full} is in no package that was read")
    if message in packages[home].strings:
        return "strings"
    return message if home == package.proto else f"{packages[home].key}.{message}"


if __name__ == "__main__":
    main()
