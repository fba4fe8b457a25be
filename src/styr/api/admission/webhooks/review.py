"""AdmissionReview, v1 and v1beta1: what a webhook is sent and what may come back. Pure; called by `asking`.

ReviewError(ValueError)    an answer that is none; str() says why
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import msgspec

from styr.api import bodies
from styr.kinds.errors import ApiError, BadRequest, InternalError
from styr.kinds.resources import Object

GROUP = "admission.k8s.io"
KNOWN = ("v1", "v1beta1")


class ReviewError(ValueError):
    pass


class NoReview(ReviewError):
    """Not even JSON."""


class NoPatch(ReviewError):
    """What came as a patch is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`patch` is a JSON patch; `status` the Status of a denial."""

    allowed: bool
    patch: list[Any] = field(default_factory=list)
    status: Object = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)


def encode(version: str, uid: str, body: Object) -> bytes:
    return msgspec.json.encode(
        {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": {"uid": uid, **body}}
    )


def decode(data: bytes, version: str, uid: str, *, mutating: bool) -> Answer:
    """Raises ReviewError."""
    try:
        review = bodies.decode(data)
    except ApiError as error:
        raise NoReview(f"couldn't get version/kind; json parse error: {error.message}") from None
    response = review.get("response") if isinstance(review, dict) else None
    if not isinstance(response, dict):
        raise ReviewError("webhook response was absent")
    if version == "v1":
        _check_v1(review, response, uid, mutating=mutating)
    return Answer(
        allowed=response.get("allowed") is True,
        patch=_patch(response) if mutating else [],
        status=found if isinstance(found := response.get("status"), dict) else {},
        warnings=_texts(response.get("warnings")),
        annotations=_table(response.get("auditAnnotations")),
    )


def denial(name: str, status: Object) -> ApiError:
    """The error for a request that a webhook denied, from the Status that came with it."""
    denied = f'admission webhook "{name}" denied the request'
    why, reason = status.get("message"), status.get("reason")
    reason = reason if isinstance(reason, str) else ""
    message = f"{denied}: {why or reason}" if why or reason else f"{denied} without explanation"
    code = status.get("code")
    details = status.get("details")
    error = ApiError(
        message,
        details=details if isinstance(details, dict) else None,
        status=code if isinstance(code, int) and 400 <= code <= 599 else 400,
    )
    error.reason = reason
    return error


def internal(message: str) -> InternalError:
    return InternalError(f"Internal error occurred: {message}", details={"causes": [{"message": message}]})


def dry_run_unsupported(name: str) -> ApiError:
    return BadRequest(f'admission webhook "{name}" does not support dry run')


def _check_v1(review: Object, response: Object, uid: str, *, mutating: bool) -> None:
    if response.get("uid") != uid:
        raise ReviewError(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    found = f"{review.get('apiVersion', '')}, Kind={review.get('kind', '')}"
    wanted = f"{GROUP}/v1, Kind=AdmissionReview"
    if found != wanted:
        raise ReviewError(f"expected webhook response of {wanted}, got {found}")
    patch, kind = response.get("patch"), response.get("patchType")
    if mutating:
        if patch and kind is None:
            raise ReviewError("webhook returned response.patch but not response.patchType")
        if kind is not None and not patch:
            raise ReviewError("webhook returned response.patchType but not response.patch")
        if kind == "":
            raise ReviewError('webhook returned invalid response.patchType of ""')
        if kind is not None and kind != "JSONPatch":
            raise ReviewError(f'unsupported patch type "{kind}"')
        return
    if patch:
        raise ReviewError("validating webhook may not return response.patch")
    if kind is not None:
        raise ReviewError("validating webhook may not return response.patchType")


def _patch(response: Object) -> list[Any]:
    coded = response.get("patch")
    if not coded:
        return []
    try:
        patch = bodies.decode(base64.b64decode(coded, validate=True))
    except (ApiError, binascii.Error, ValueError, TypeError) as error:
        raise NoPatch(f"received undecodable patch in webhook response: {error}") from None
    if not isinstance(patch, list):
        raise NoPatch("received undecodable patch in webhook response: it is no list of operations")
    return patch


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}
