"""Named formats, `format.dns1123Label().validate(text)`: the texts are Kubernetes' own (apimachinery, `validation.go`)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, function, member
from styr.cel.library.urls import parse as parse_url
from styr.cel.types import STRING, list_of, optional_of, struct
from styr.cel.values import KINDS, NONE, Optional

FORMAT = struct("kubernetes.NamedFormat", {})
_LABEL, _LETTER = "[a-z0-9]([-a-z0-9]*[a-z0-9])?", "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character"
)
_LETTER_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character"
)
_KEY_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_VALUE_TEXT = f"a valid label must be an empty string or {_KEY_TEXT.removeprefix('must ')}"
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})(.\d+)?(z|([+-]\d{2}:\d{2}))", re.ASCII)

Validate = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Format:
    """`regex` is how long Kubernetes takes its pattern to be: what a check costs."""

    name: str
    validate: Validate
    regex: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


KINDS[Format] = "kubernetes.NamedFormat"


def _refusal(text: str, pattern: str, *examples: str) -> str:
    shown = "'" + "', or '".join(examples) + "'" if len(examples) == 1 else f"'{examples[0]}',  or '{examples[1]}'"
    if len(examples) == 3:
        shown = f"'{examples[0]}',  or '{examples[1]}',  or '{examples[2]}'"
    return f"{text} (e.g. {shown}, regex used for validation is '{pattern}')"


def _matches(limit: int, pattern: str, text: str, *examples: str) -> Validate:
    compiled = re.compile(pattern, re.ASCII)

    def validate(value: str) -> list[str]:
        faults = [f"must be no more than {limit} characters"] if len(value) > limit else []
        if not compiled.fullmatch(value[: 4 * limit]):
            faults.append(_refusal(text, pattern, *examples))
        return faults

    return validate


_label = _matches(63, _LABEL, _LABEL_TEXT, "my-name", "123-abc")
_subdomain = _matches(253, _SUBDOMAIN, _SUBDOMAIN_TEXT, "example.com")
_letter = _matches(63, _LETTER, _LETTER_TEXT, "my-name", "abc-123")
_value = _matches(63, f"({_KEY})?", _VALUE_TEXT, "MyValue", "my_value", "12345")


def _dns_label(value: str) -> list[str]:
    faults = _label(value)
    if faults and faults[-1].startswith("a lowercase") and re.fullmatch(_SUBDOMAIN, value[:1024], re.ASCII):
        faults[-1] = "must not contain dots"
    return faults


def _qualified(value: str) -> list[str]:
    parts = value.split("/")
    if len(parts) > 2:
        shown = _refusal(_KEY_TEXT, _KEY, "MyName", "my.name", "123-abc")
        return [f"a valid label key {shown} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    faults: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            faults.append("prefix part must be non-empty")
        else:
            faults += [f"prefix part {fault}" for fault in _subdomain(parts[0])]
    name = parts[-1]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append("name part must be no more than 63 characters")
    if not re.fullmatch(_KEY, name[:256], re.ASCII):
        faults.append("name part " + _refusal(_KEY_TEXT, _KEY, "MyName", "my.name", "123-abc"))
    return faults


def _prefix(validate: Validate) -> Validate:
    """Of a generateName: a dash at the end is masked."""
    return lambda value: validate(value[:-2] + "a" if len(value) > 1 and value[-1] == "-" else value)


def _uri(value: str) -> list[str]:
    try:
        parse_url(value)
    except EvaluationError as error:
        return [str(error).removeprefix("URL parse error during conversion from string: ")]
    return []


def _simple(holds: Callable[[str], bool], text: str) -> Validate:
    return lambda value: [] if holds(value) else [text]


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value.encode(), validate=True)
    except (ValueError, binascii.Error):
        return False
    return value != ""


def _is_date(value: str) -> bool:
    try:
        return len(value) == 10 and date.fromisoformat(value) is not None
    except ValueError:
        return False


def _is_datetime(value: str) -> bool:
    day, mark, rest = value.lower().partition("t")
    match = _TIME.fullmatch(rest)
    return bool(mark and match and _is_date(day) and int(match[1]) < 24 and int(match[2]) < 60 and int(match[3]) < 60)


FORMATS: dict[str, Format] = {
    "dns1123Label": Format("DNS1123Label", _dns_label, 30),
    "dns1123Subdomain": Format("DNS1123Subdomain", _subdomain, 60),
    "dns1035Label": Format("DNS1035Label", _letter, 30),
    "qualifiedName": Format("QualifiedName", _qualified, 60),
    "dns1123LabelPrefix": Format("DNS1123LabelPrefix", _prefix(_dns_label), 30),
    "dns1123SubdomainPrefix": Format("DNS1123SubdomainPrefix", _prefix(_subdomain), 60),
    "dns1035LabelPrefix": Format("DNS1035LabelPrefix", _prefix(_letter), 30),
    "labelValue": Format("LabelValue", _value, 40),
    "uri": Format("URI", _uri, 1103),
    "uuid": Format("uuid", _simple(lambda value: bool(_UUID.fullmatch(value)), "does not match the UUID format"), 70),
    "byte": Format("byte", _simple(_is_base64, "invalid base64"), 84),
    "date": Format("date", _simple(_is_date, "invalid date"), 71),
    "datetime": Format("datetime", _simple(_is_datetime, "invalid datetime"), 71),
}


def _validate(found: Format, text: str) -> Optional:
    faults = found.validate(text)
    return Optional(faults) if faults else NONE


def _named(name: str) -> Optional:
    return Optional(FORMATS[name]) if name in FORMATS else NONE


def _constant(found: Format) -> Callable[[], Format]:
    return lambda: found


def _escape_key(key: str) -> str:
    """A key as a step of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


FUNCTIONS: Functions = {
    "validate": (member("format-validate", (FORMAT, STRING), optional_of(list_of(STRING)), _validate),),
    "format.named": (function("format-named", (STRING,), optional_of(FORMAT), _named),),
    **{
        f"format.{name}": (function(f"format.{name}", (), FORMAT, _constant(found)),) for name, found in FORMATS.items()
    },
}
PATCHES: Functions = {
    "jsonpatch.escapeKey": (function("string_jsonpatch_escapeKey_string", (STRING,), STRING, _escape_key),),
}
