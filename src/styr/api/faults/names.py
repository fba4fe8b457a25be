"""Forms of names and short texts: each function returns what is wrong with one, in Kubernetes' words, nothing when it is fine.

Called by the rules of the kinds. Pure. Formats: RFC 1123, RFC 1035, "Object Names and IDs", "Labels and Selectors".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

Check = Callable[[str], list[str]]

LABEL_FORM = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_FORM = rf"{LABEL_FORM}(\.{LABEL_FORM})*"
_QUALIFIED_FORM = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL = re.compile(LABEL_FORM)
_LABEL_1035 = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(SUBDOMAIN_FORM)
_SUBDOMAIN_UNDERSCORE_FORM = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
_SUBDOMAIN_UNDERSCORE = re.compile(_SUBDOMAIN_UNDERSCORE_FORM)
_WILDCARD_FORM = rf"\*\.{SUBDOMAIN_FORM}"
_WILDCARD = re.compile(_WILDCARD_FORM)
_QUALIFIED = re.compile(_QUALIFIED_FORM)
_LABEL_VALUE_FORM = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_LABEL_VALUE = re.compile(_LABEL_VALUE_FORM)
_CONFIG_KEY = re.compile("[-._a-zA-Z0-9]+")
_PORT_NAME = re.compile("[-a-z0-9]+")
_ENV_NAME = re.compile("[-._a-zA-Z][-._a-zA-Z0-9]*")
_HEADER = re.compile("[-A-Za-z0-9]+")
_PERCENT = re.compile("[0-9]+%")
_HTTP_PATH_FORM = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
_HTTP_PATH = re.compile(_HTTP_PATH_FORM)
_IDENTIFIER_FORM = "[A-Za-z_][A-Za-z0-9_]*"
_IDENTIFIER = re.compile(_IDENTIFIER_FORM)

_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character"
)
EMPTY = "must be non-empty"


def max_length(most: int, unit: str = "characters") -> str:
    """Kubernetes counts bytes and mostly calls them characters."""
    return f"must be no more than {most} {unit}"


def in_range(least: int, most: int) -> str:
    return f"must be between {least} and {most}, inclusive"


def regex(text: str, form: str, *examples: str) -> str:
    """`examples` are joined as Kubernetes joins them, its odd spaces included."""
    if not examples:
        return f"{text} (regex used for validation is '{form}')"
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {listed}regex used for validation is '{form}')"


def _form(text: str, pattern: re.Pattern[str], most: int, message: str, unit: str = "characters") -> list[str]:
    found = [max_length(most, unit)] if len(text.encode()) > most else []
    return found if pattern.fullmatch(text) else [*found, message]


def dns_label(text: str) -> list[str]:
    return _form(
        text,
        _LABEL,
        63,
        "must not contain dots"
        if _SUBDOMAIN.fullmatch(text)
        else regex(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
            "with an alphanumeric character",
            LABEL_FORM,
            "my-name",
            "123-abc",
        ),
    )


def dns_label_1035(text: str) -> list[str]:
    message = regex(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
        "and end with an alphanumeric character",
        "[a-z]([-a-z0-9]*[a-z0-9])?",
        "my-name",
        "abc-123",
    )
    return _form(text, _LABEL_1035, 63, message)


def dns_subdomain(text: str) -> list[str]:
    return _form(text, _SUBDOMAIN, 253, regex(_SUBDOMAIN_TEXT, SUBDOMAIN_FORM, "example.com"))


def dns_subdomain_underscore(text: str) -> list[str]:
    message = regex(_SUBDOMAIN_TEXT.replace("'-' or", "'_', '-' or"), _SUBDOMAIN_UNDERSCORE_FORM, "example.com")
    return _form(text, _SUBDOMAIN_UNDERSCORE, 253, message)


def wildcard_subdomain(text: str) -> list[str]:
    message = regex(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
        "case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        _WILDCARD_FORM,
        "*.example.com",
    )
    return _form(text, _WILDCARD, 253, message)


def path_segment(text: str) -> list[str]:
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in text]


def qualified(text: str) -> list[str]:
    """`prefix/name` or `name`, as keys of labels are."""
    words = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    parts = text.split("/")
    if len(parts) > 2:
        message = regex(f"a qualified name {words}", _QUALIFIED_FORM, "MyName", "my.name", "123-abc")
        return [f"{message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    found = []
    if len(parts) == 2:
        if not parts[0]:
            found.append(f"prefix part {EMPTY}")
        else:
            found += [f"prefix part {fault}" for fault in dns_subdomain(parts[0])]
    name = parts[-1]
    if not name:
        found.append(f"name part {EMPTY}")
    elif len(name.encode()) > 63:
        found.append(f"name part {max_length(63, 'bytes')}")
    if not _QUALIFIED.fullmatch(name):
        found.append(f"name part {regex(words, _QUALIFIED_FORM, 'MyName', 'my.name', '123-abc')}")
    return found


def label_value(text: str) -> list[str]:
    message = regex(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
        "end with an alphanumeric character",
        _LABEL_VALUE_FORM,
        "MyValue",
        "my_value",
        "12345",
    )
    return _form(text, _LABEL_VALUE, 63, message, "bytes")


def config_key(text: str) -> list[str]:
    message = regex(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        "[-._a-zA-Z0-9]+",
        "key.name",
        "KEY_NAME",
        "key-name",
    )
    return [*_form(text, _CONFIG_KEY, 253, message), *_parent(text)]


def _parent(text: str) -> list[str]:
    if text in (".", ".."):
        return [f"must not be '{text}'"]
    return ["must not start with '..'"] if text.startswith("..") else []


def port_number(number: int) -> list[str]:
    return [] if 1 <= number <= 65535 else [in_range(1, 65535)]


def port_name(text: str) -> list[str]:
    found = [max_length(15)] if len(text.encode()) > 15 else []
    if not _PORT_NAME.fullmatch(text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        found.append("must not begin or end with a hyphen")
    return found


def env_name(text: str) -> list[str]:
    """In `envFrom`, where names come from keys."""
    return [] if all(" " <= char <= "~" and char != "=" for char in text) else [_ENV_TEXT]


_ENV_TEXT = "a valid environment variable name must consist only of printable ASCII characters other than '='"


def env_var_name(text: str) -> list[str]:
    if not text:
        return [f"environment variable name {EMPTY}"]
    return env_name(text)


def c_identifier(text: str) -> list[str]:
    if _IDENTIFIER.fullmatch(text):
        return []
    message = (
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
        "characters or '_'"
    )
    return [regex(message, _IDENTIFIER_FORM, "my_name", "MY_NAME", "MyName")]


def header_name(text: str) -> list[str]:
    if _HEADER.fullmatch(text):
        return []
    return [
        regex("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name")
    ]


def percent(text: str) -> list[str]:
    if _PERCENT.fullmatch(text):
        return []
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    return [regex(message, "[0-9]+%", "1%", "93%")]


def http_path(text: str) -> list[str]:
    return [] if _HTTP_PATH.fullmatch(text) else [regex("Invalid path", _HTTP_PATH_FORM)]


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IP address in any form that Kubernetes reads: leading zeros are none, an IPv4 address may stand inside IPv6."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else found


def ip(text: str) -> list[str]:
    if address(text) is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    place, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit() or (len(bits) > 1 and bits[0] == "0") or "%" in place:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def cidr(text: str) -> list[str]:
    return [] if network(text) else ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
