"""Every error that a person may meet, and how it looks on the wire.

RunhookError                 500  internal
├── Malformed                400  malformed        the request cannot be read
├── Unauthorized             401  unauthorized     no credential, or not a valid one
├── Forbidden                403  forbidden        seen, but not to be used like this
├── NotFound                 404  not_found        not there, or not for these eyes
├── Conflict                 409  conflict         the state of the thing forbids it
├── TooLarge                 413  too_large
├── Invalid                  422  invalid          read, but wrong: `details` names each field
├── TooManyRequests          429  too_many_requests  too often; `retry_after` seconds from now
├── Unavailable              503  unavailable      the server cannot now
└── SettingsError            (start-up only)       a setting is unknown or wrong

A failed *run* is none of these: it is data (step, reason, log), never an exception in the server.
"""

from typing import Any, ClassVar


class RunhookError(Exception):
    """Something went wrong in the server."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(
        self, message: str | None = None, *, hint: str = "", details: dict[str, Any] | None = None
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        self.details = details or {}
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The one JSON shape of errors: `{message, code, hint, details}`."""
        return {
            "message": self.message,
            "code": self.code,
            "hint": self.hint,
            "details": self.details,
        }


class Malformed(RunhookError):
    """The request cannot be read."""

    code, status = "malformed", 400


class Unauthorized(RunhookError):
    """Cannot tell who is asking: no valid token or session came with the request."""

    code, status = "unauthorized", 401


class Forbidden(RunhookError):
    """Not allowed with this account or token."""

    code, status = "forbidden", 403


class NotFound(RunhookError):
    """There is nothing here."""

    code, status = "not_found", 404


class Conflict(RunhookError):
    """The present state does not allow this."""

    code, status = "conflict", 409


class TooLarge(RunhookError):
    """The request is larger than this server takes."""

    code, status = "too_large", 413


class Invalid(RunhookError):
    """Some fields are wrong; `details` maps each field to what is wrong with it."""

    code, status = "invalid", 422


class TooManyRequests(RunhookError):
    """Too often; try again after `retry_after` seconds."""

    code, status = "too_many_requests", 429

    def __init__(self, message: str | None = None, *, hint: str = "", retry_after: int) -> None:
        super().__init__(message, hint=hint, details={"retry_after": retry_after})
        self.retry_after = retry_after


class Unavailable(RunhookError):
    """The server cannot do this at the moment; try again soon."""

    code, status = "unavailable", 503


class SettingsError(RunhookError):
    """A setting is unknown or has an unusable value; the server does not start."""

    code = "settings"
