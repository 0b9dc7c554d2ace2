"""One request to the endpoint and its answer back, whoever of the two has something to refuse.

Nothing is sent twice: a request that has arrived may be running on the GPU, whatever became of its
answer. Only a connection that never came about is tried once more.
"""

import json
import re
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)

from proxy.answers import Answer, Refusal
from proxy.attributes import read_returned, write_attributes
from proxy.requests import Request

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 23
"""Two connects and the read fit into the function's 28 s, and these into API Gateway's 29."""
STARTING_SECONDS: Final = 60
"""When to come back to an endpoint that has no instance: one takes minutes to start."""
_NO_CAPACITY: Final = re.compile(r"no capacity", re.IGNORECASE)
_NOT_THERE: Final = re.compile(r"not found|could not find|not in ?service", re.IGNORECASE)
_TIMED_OUT: Final = re.compile(r"time(d)?[ -]?out|could not get a response", re.IGNORECASE)


def runtime_client() -> Any:
    """Return boto3's client of the endpoint, which sends each request once."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
    )
    return boto3.client("sagemaker-runtime", config=config)


def forward(request: Request, request_id: str, runtime: Any, **endpoint: str) -> Answer:
    """Answer with what the container answers.

    Raises:
        Refusal: the endpoint did not answer, and why.
    """
    told = write_attributes(request.path, request.query_string(), request.accept, request_id)
    try:
        found = _once_more_unless_sent(
            lambda: runtime.invoke_endpoint(
                **endpoint,
                Body=request.body,
                ContentType=request.kind,
                CustomAttributes=told,
                **({"Accept": request.accept} if request.accept else {}),
            )
        )
        body = found["Body"].read()
    except ClientError as error:
        return refused(error)
    except ReadTimeoutError:
        raise Refusal(504, "endpoint_timeout", f"no answer within {READ_SECONDS} seconds") from None
    except (HTTPClientError, IncompleteReadError):
        raise _gone() from None
    return Answer(
        200, body, found.get("ContentType", ""), read_returned(found.get("CustomAttributes", ""))
    )


def refused(error: ClientError) -> Answer:
    """Return the container's own refusal.

    Raises:
        Refusal: it is SageMaker that refuses.
    """
    answer: dict[str, Any] = error.response
    code, message = answer["Error"].get("Code", ""), answer["Error"].get("Message", "")
    match code:
        case "ModelError":
            return _models_own(int(answer.get("OriginalStatusCode", 0)), answer, message)
        case "ThrottlingException" | "TooManyRequestsException":
            refusal = Refusal(429, "throttled", "too many requests at once", retry_after=1)
        case "ModelNotReadyException":
            refusal = Refusal(503, "not_ready", "the model is still loading", retry_after=10)
        case "ServiceUnavailable" | "ServiceUnavailableException":
            refusal = Refusal(503, "endpoint_unavailable", "no instance is free", retry_after=5)
        case "ValidationError" | "ValidationException" if _NO_CAPACITY.search(message):
            text = "no instance runs; this request has asked for one, which takes minutes"
            refusal = Refusal(503, "scaled_to_zero", text, retry_after=STARTING_SECONDS)
        case "ValidationError" | "ValidationException" if _NOT_THERE.search(message):
            text = "the endpoint is not in service"
            refusal = Refusal(503, "endpoint_not_ready", text, retry_after=STARTING_SECONDS)
        case _:
            refusal = Refusal(502, "endpoint_refused", f"the endpoint refused with {code[:64]}")
    raise refusal from None


def _models_own(status: int, answer: dict[str, Any], message: str) -> Answer:
    """Return status and body as the container sent them; SageMaker has dropped its headers."""
    original = str(answer.get("OriginalMessage", ""))
    if status < 400:
        if _TIMED_OUT.search(message) or _TIMED_OUT.search(original):
            raise Refusal(504, "endpoint_timeout", "the model did not answer in time") from None
        raise _gone() from None
    kind, code = "application/json", "model_error"
    try:
        found = json.loads(original)
        code = str(found["error"]["code"])
    except ValueError:
        kind = "text/plain; charset=utf-8"
    except (KeyError, TypeError):
        pass  # another contract's error shape
    headers = {"retry-after": "1"} if status in (429, 503) else {}
    return Answer(status, original.encode(), kind, headers, code)


def _once_more_unless_sent(send: Any) -> Any:
    try:
        return send()
    except (ConnectTimeoutError, EndpointConnectionError):
        pass
    try:
        return send()
    except (ConnectTimeoutError, EndpointConnectionError):
        text = "no connection to the endpoint"
        raise Refusal(503, "endpoint_unreachable", text, retry_after=5) from None


def _gone() -> Refusal:
    return Refusal(502, "endpoint_gone", "the connection to the model ended without an answer")
