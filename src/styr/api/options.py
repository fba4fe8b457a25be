"""The options of a write: what its query says besides the object, and the DeleteOptions of a body, checked in the real server's
words.

Called by the verbs, before anything is read or written. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from styr.kinds.errors import Cause, Invalid
from styr.kinds.transport import Request

FIELD_VALIDATION = ("Ignore", "Strict", "Warn")
MAX_MANAGER = 128
"""Bytes in a manager's name."""
_POLICIES = ("Foreground", "Background", "Orphan")
_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "DELETE": "DeleteOptions"}


def check(request: Request, *, applies: bool = False) -> None:
    """Those of an object that is written. Raises Invalid with every cause."""
    if not request.query and not applies:
        return
    name = request.param("fieldManager")
    causes: list[Cause] = []
    if applies and not name:
        causes.append(_fault("fieldManager", "Required value: is required for apply patch", "FieldValueRequired"))
    if not applies and request.method == "PATCH" and request.param("force"):
        causes.append(_fault("force", "Forbidden: may not be specified for non-apply patch", "FieldValueForbidden"))
    causes += [*_of_manager(name), *_of_dry_run(dry_runs(request)), *_of_field_validation(request)]
    if causes:
        raise refused(request, causes)


def dry_run(request: Request) -> bool:
    """Raises Invalid."""
    asked = dry_runs(request)
    if causes := _of_dry_run(asked):
        raise refused(request, causes)
    return bool(asked)


def field_validation(request: Request) -> str:
    """Ignore, Warn (the default) or Strict. Raises Invalid."""
    if causes := _of_field_validation(request):
        raise refused(request, causes)
    return request.param("fieldValidation") or "Warn"


def check_delete(propagation: str, *, orphans: bool, dry_runs: Any) -> None:
    """DeleteOptions of a body or a query; `orphans`: they have `orphanDependents`, which may be false. Raises Invalid."""
    causes: list[Cause] = []
    if propagation and orphans:
        shown = f"Invalid value: {_quoted(propagation)}"
        message = f"{shown}: orphanDependents and deletionPropagation cannot be both set"
        causes.append(_fault("propagationPolicy", message))
    if propagation and propagation not in _POLICIES:
        causes.append(_unsupported("propagationPolicy", _quoted(propagation), (*_POLICIES, "nil")))
    causes += _of_dry_run(dry_runs)
    if causes:
        raise _invalid("DeleteOptions", causes)


def dry_runs(request: Request) -> list[str]:
    return [value for key, value in request.query if key == "dryRun"]


def refused(request: Request, causes: Sequence[Cause]) -> Invalid:
    return _invalid(_KINDS.get(request.method, "PatchOptions"), causes)


def _invalid(kind: str, causes: Sequence[Cause]) -> Invalid:
    text = ", ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
    return Invalid(
        f'{kind}.meta.k8s.io "" is invalid: {text if len(causes) == 1 else f"[{text}]"}',
        details={"group": "meta.k8s.io", "kind": kind, "causes": list(causes)},
    )


def _of_manager(name: str) -> list[Cause]:
    causes: list[Cause] = []
    if len(name.encode()) > MAX_MANAGER:
        message = f"Too long: may not be more than {MAX_MANAGER} bytes"
        causes.append(_fault("fieldManager", message, "FieldValueTooLong"))
    for index, letter in enumerate(name):
        if not letter.isprintable():
            at = len(name[:index].encode())
            message = f"invalid character U+{ord(letter):04X} (at position {at})"
            causes.append(_fault("fieldManager", f"Invalid value: {_quoted(name)}: {message}"))
            break
    return causes


def _of_dry_run(asked: Sequence[str]) -> list[Cause]:
    if all(value == "All" for value in asked):
        return []
    return [_unsupported("dryRun", msgspec.json.encode([value[:100] for value in asked[:100]]).decode(), ("All",))]


def _of_field_validation(request: Request) -> list[Cause]:
    asked = request.param("fieldValidation")
    if not asked or asked in FIELD_VALIDATION:
        return []
    return [_unsupported("fieldValidation", _quoted(asked[:100]), ("", *FIELD_VALIDATION))]


def _unsupported(field: str, shown: str, known: Sequence[str]) -> Cause:
    words = ", ".join(f'"{word}"' for word in known)
    return _fault(field, f"Unsupported value: {shown}: supported values: {words}", "FieldValueNotSupported")


def _fault(field: str, message: str, reason: str = "FieldValueInvalid") -> Cause:
    return {"reason": reason, "field": field, "message": message}


def _quoted(text: str) -> str:
    """As Go quotes it."""
    return json.dumps(text, ensure_ascii=False).replace("\\u00", "\\x")
