"""Every error a client or an operator can meet.

ServiceError            a request cannot be answered; carries its own HTTP answer
├── InvalidRequest      422  the body is JSON but not a request we know
│   └── MalformedBody   400  the body or event is not what it claims to be
├── Unauthorized        401  no key, or not the right one
├── NotFound            404  no such route
├── MethodNotAllowed    405  the route exists, the method does not
├── PayloadTooLarge     413  a limit in bytes, items, pixels or characters
├── UnsupportedMedia    415  not a picture (or body) format we read
├── Overloaded          429  the queue is full; `retry_after` says when to come back
├── NotReady            503  the model is still loading
├── DeadlineExceeded    504  the answer would come too late
└── InternalError       500  ours; the cause is in the log, never in the answer
SetupError              the process cannot start, or a bake cannot be made; one sentence
"""

from typing import ClassVar, Final


class ServiceError(Exception):
    """A request that cannot be answered: `status`, a stable `code`, the `field` and its `limit`."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        limit: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.limit = limit
        self.code = code or self.default_code

    def body(self) -> dict[str, object]:
        """Return the one error shape of the native contract."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "field": self.field,
                "limit": self.limit,
            }
        }


class InvalidRequest(ServiceError):
    """The body is JSON but not a request this service knows."""

    status = 422
    default_code = "invalid_request"


class MalformedBody(InvalidRequest):
    """The body, or the event that carried it, is not what it claims to be."""

    status = 400
    default_code = "malformed_body"


class Unauthorized(ServiceError):
    """No key, or not the right one."""

    status = 401
    default_code = "unauthorized"


class NotFound(ServiceError):
    """No such route."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(ServiceError):
    """The route exists, the method does not."""

    status = 405
    default_code = "method_not_allowed"


class PayloadTooLarge(ServiceError):
    """A limit in bytes, items, pixels or characters is passed."""

    status = 413
    default_code = "payload_too_large"


class UnsupportedMedia(ServiceError):
    """The bytes are in a format this service does not read."""

    status = 415
    default_code = "unsupported_media_type"


class Overloaded(ServiceError):
    """More work is waiting than is taken on; `retry_after` seconds later there may be room."""

    status = 429
    default_code = "overloaded"
    retry_after = 1


class NotReady(ServiceError):
    """The model is still loading."""

    status = 503
    default_code = "not_ready"


class DeadlineExceeded(ServiceError):
    """The answer would come after the request's deadline."""

    status = 504
    default_code = "deadline_exceeded"


class InternalError(ServiceError):
    """Our fault; the cause goes to the log."""

    status = 500
    default_code = "internal_error"


class SetupError(Exception):
    """The process cannot start, or a bundle cannot be made. The message says what to do."""


ITEM_ERRORS: Final = (InvalidRequest, PayloadTooLarge, UnsupportedMedia)
"""What can be wrong with one item, so that the others may still pass."""
