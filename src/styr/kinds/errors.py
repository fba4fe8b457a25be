"""Errors of the Kubernetes API, as both sides of the wire know them.

    ApiError                      any Status with status=Failure
    ├── BadRequest          400
    ├── Unauthorized        401
    ├── Forbidden           403
    ├── NotFound            404
    ├── MethodNotAllowed    405
    ├── NotAcceptable       406
    ├── AlreadyExists       409 reason AlreadyExists
    ├── Conflict            409 reason Conflict
    ├── Expired             410
    ├── TooLarge            413
    ├── UnsupportedMedia    415
    ├── Invalid             422
    ├── TooManyRequests     429
    ├── InternalError       500
    ├── Unavailable         503
    └── Timeout             504

The server raises them and writes `to_status()`; the client reads a Status and raises `from_status()` of it.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypedDict


class Cause(TypedDict, total=False):
    """One entry of `details.causes`: reason (FieldValueInvalid, ...), field path, message."""

    reason: str
    field: str
    message: str


class ApiError(Exception):
    """`code` is the HTTP status, `reason` the machine-readable word, `details` the Status' details."""

    code: ClassVar[int] = 500
    default_reason: ClassVar[str] = "InternalError"

    def __init__(
        self, message: str, *, reason: str = "", details: dict[str, Any] | None = None, status: int = 0
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.details: dict[str, Any] = details or {}
        self.status_code = status or self.code

    @property
    def causes(self) -> list[Cause]:
        return list(self.details.get("causes", ()))

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the server asks to be tried again."""
        seconds = self.details.get("retryAfterSeconds")
        return float(seconds) if seconds is not None else None

    def to_status(self) -> dict[str, Any]:
        """The v1 Status object that goes over the wire."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.status_code,
        }
        if not self.reason:
            del status["reason"]
        if self.details:
            status["details"] = self.details
        return status


class BadRequest(ApiError):
    code = 400
    default_reason = "BadRequest"


class Unauthorized(ApiError):
    code = 401
    default_reason = "Unauthorized"


class Forbidden(ApiError):
    code = 403
    default_reason = "Forbidden"


class NotFound(ApiError):
    code = 404
    default_reason = "NotFound"


class MethodNotAllowed(ApiError):
    code = 405
    default_reason = "MethodNotAllowed"


class NotAcceptable(ApiError):
    code = 406
    default_reason = "NotAcceptable"


class AlreadyExists(ApiError):
    code = 409
    default_reason = "AlreadyExists"


class Conflict(ApiError):
    code = 409
    default_reason = "Conflict"


class Expired(ApiError):
    """`continue_token` goes on with a list that can no longer be consistent; it travels in the Status' metadata."""

    code = 410
    default_reason = "Expired"

    def __init__(self, message: str, *, continue_token: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.continue_token = continue_token

    def to_status(self) -> dict[str, Any]:
        status = super().to_status()
        if self.continue_token:
            status["metadata"] = {"continue": self.continue_token}
        return status


class TooLarge(ApiError):
    code = 413
    default_reason = "RequestEntityTooLarge"


class UnsupportedMedia(ApiError):
    code = 415
    default_reason = "UnsupportedMediaType"


class Invalid(ApiError):
    code = 422
    default_reason = "Invalid"


class TooManyRequests(ApiError):
    code = 429
    default_reason = "TooManyRequests"


class InternalError(ApiError):
    code = 500
    default_reason = "InternalError"


class Unavailable(ApiError):
    code = 503
    default_reason = "ServiceUnavailable"


class Timeout(ApiError):
    code = 504
    default_reason = "Timeout"


_BY_REASON: dict[str, type[ApiError]] = {
    error.default_reason: error
    for error in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        AlreadyExists,
        Conflict,
        Expired,
        TooLarge,
        UnsupportedMedia,
        Invalid,
        TooManyRequests,
        InternalError,
        Unavailable,
        Timeout,
    )
}
_BY_CODE: dict[int, type[ApiError]] = {error.code: error for error in reversed(_BY_REASON.values())} | {409: Conflict}


def from_status(status: dict[str, Any], code: int = 0) -> ApiError:
    """The exception for a Status that a server sent. Unknown reasons fall back on the code, then on `ApiError`."""
    number = int(status.get("code") or code or 500)
    reason = str(status.get("reason") or "")
    error = _BY_REASON.get(reason) or _BY_CODE.get(number) or ApiError
    details = status.get("details")
    return error(
        str(status.get("message") or f"the server answered {number}"),
        reason=reason,
        details=details if isinstance(details, dict) else None,
        status=number,
    )
