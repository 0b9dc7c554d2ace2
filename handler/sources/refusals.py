"""Why a picture was not fetched, before it is known which fields of a request asked for it.

Nothing here holds a URL or a key: query strings carry signatures, and answers are kept in logs.
"""

from handler.errors import InvalidRequest, PayloadTooLarge, ServiceError
from handler.images import image_too_large


class Unfetched(Exception):
    """A picture that is not fetched; `named` makes it the error of one field."""

    def named(self, field: str) -> ServiceError:
        """Return the error that a client gets for `field`."""
        raise NotImplementedError


class Refused(Unfetched):
    """Not tried at all; `reason` says which setting would allow it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def named(self, field: str) -> ServiceError:
        """Return 422 `image_url_refused`."""
        return InvalidRequest(f"{field} {self.reason}", field=field, code="image_url_refused")


class FetchFailed(Unfetched):
    """Tried in vain; `where` is a host or a bucket."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason

    def named(self, field: str) -> ServiceError:
        """Return 422 `image_fetch_failed`."""
        return InvalidRequest(
            f"{field} could not be fetched from {self.where}: {self.reason}",
            field=field,
            code="image_fetch_failed",
        )


class NothingThere(Unfetched):
    """A file of no bytes."""

    def named(self, field: str) -> ServiceError:
        """Return 422 `empty_image`."""
        return InvalidRequest(f"{field} is empty", field=field, code="empty_image")


class TooManyBytes(Unfetched):
    """A file with more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def named(self, field: str) -> ServiceError:
        """Return 413 `image_too_large`."""
        return image_too_large(field, self.limit)


class TooManyBytesTogether(TooManyBytes):
    """The files of one request have more than `limit` bytes."""

    def named(self, field: str) -> ServiceError:
        """Return 413 `images_too_large`."""
        return PayloadTooLarge(
            f"{field} is not fetched: with it the fetched pictures of this request have more than "
            f"{self.limit} bytes; send fewer at a time",
            field=field,
            limit=self.limit,
            code="images_too_large",
        )
