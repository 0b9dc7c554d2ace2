"""Pictures from S3, by the ordinary client with the ordinary credentials."""

from contextlib import closing
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from handler.call import Call
from handler.sources.allowed import Place
from handler.sources.limits import Budget, Calls, Deadline, collect
from handler.sources.refusals import FetchFailed, TooManyBytes

_CHUNK: Final = 65_536
_REASONS: Final = {
    "NoSuchKey": "it has no such object",
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "access is denied to this service, or there is no such object",
    "InvalidObjectState": "the object is archived",
}


class Bucket:
    """Reads admitted objects.

    Region, credentials and AWS_ENDPOINT_URL_S3 are boto3's own business.
    """

    def __init__(self, seconds: float, limit: int, calls: Calls, concurrency: int):
        self._seconds: Final = seconds
        self._limit: Final = limit
        self._calls: Final = calls
        config = Config(
            signature_version="s3v4",
            connect_timeout=seconds,
            read_timeout=seconds,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=concurrency,
        )
        # A session of our own: the default one is shared, and not for several threads.
        self._client: Final[Any] = boto3.session.Session().client("s3", config=config)

    def read(self, place: Place, budget: Budget, call: Call) -> bytes:
        """Return the object's bytes.

        Raises:
            Unfetched: the fetch failed, or the object is too large.
            DeadlineExceeded: the request took too long.
        """
        deadline = Deadline(f"the bucket {place.bucket}", self._seconds, call)
        try:
            # The client's time limits are for each packet; a deadline it does not have.
            return self._calls.within(deadline, lambda: self._get(place, budget, deadline))
        except (ConnectTimeoutError, ReadTimeoutError):
            raise deadline.passed() from None
        except (BotoCoreError, ClientError) as error:
            raise FetchFailed(deadline.where, _reason(error)) from None

    def _get(self, place: Place, budget: Budget, deadline: Deadline) -> bytes:
        answer = self._client.get_object(Bucket=place.bucket, Key=place.key)
        with closing(answer["Body"]) as body:
            # The size comes before the body, which is not read if it is too large.
            if answer["ContentLength"] > self._limit:
                raise TooManyBytes(self._limit)
            return collect(body.iter_chunks(_CHUNK), self._limit, budget, deadline)


def _reason(error: Exception) -> str:
    """Say what went wrong without the library's words."""
    match error:
        case ClientError():
            code = str(error.response.get("Error", {}).get("Code", ""))
            return _REASONS.get(code) or f"S3 answered {code[:80]}"
        case NoCredentialsError() | PartialCredentialsError():
            return "this service has no credentials for it"
        case IncompleteReadError() | ResponseStreamingError():
            return "the connection broke"
    return "no connection could be made"
