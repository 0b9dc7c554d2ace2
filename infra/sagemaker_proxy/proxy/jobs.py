"""Work larger or longer than a request may be: S3 holds it, an asynchronous endpoint does it.

    POST /jobs?path=/v1/embeddings   with a body: 202; without one: 201 and a URL to upload it to
    POST /jobs/ID                    starts what was uploaded: 202
    GET  /jobs/ID                    awaiting_upload, running, done (with a URL) or failed
    GET  /jobs/ID/result             the answer itself, up to 6 MB

The bucket holds in/ID, jobs/ID (what is known of a job) and what SageMaker writes below out/ and
failed/. Nothing is kept in the function.
"""

import json
import re
import uuid
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from proxy.answers import MAX_BYTES, Answer, Refusal, dumps
from proxy.attributes import write_attributes
from proxy.requests import Request

INLINE_BYTES: Final = 128_000
"""A body that goes with the call; a larger one goes by S3 (InvokeEndpointAsync, `Body`)."""
URL_SECONDS: Final = 900
INVOCATION_SECONDS: Final = 3600
_ID: Final = re.compile(r"[0-9a-f]{32}")
_MISSING: Final = ("404", "NoSuchKey", "NotFound")


class Jobs:
    """Jobs of one asynchronous endpoint."""

    def __init__(
        self,
        runtime: Any,
        s3: Any,
        endpoint: str,
        bucket: str,
        max_bytes: int,
        paths: frozenset[str],
    ) -> None:
        self._runtime = runtime
        self._s3 = s3
        self._endpoint = endpoint
        self._bucket = bucket
        self._max_bytes = max_bytes
        self._paths = paths

    def answer(self, request: Request, request_id: str) -> Answer:
        """Answer one request below /jobs.

        Raises:
            Refusal: there is no such job or route, or S3 or the endpoint refuses.
        """
        parts = request.path.strip("/").split("/")[1:]
        try:
            match request.method, parts:
                case "POST", []:
                    return self._create(request, request_id)
                case "POST", [job]:
                    return self._start_uploaded(request, job)
                case "GET", [job]:
                    return self._status(request, job)
                case "GET", [job, "result"]:
                    return self._result(job)
        except (BotoCoreError, ClientError) as error:
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
            if code in ("ThrottlingException", "SlowDown"):
                raise Refusal(429, "throttled", "too many jobs at once", retry_after=1) from None
            text = "the job's store or endpoint did not answer"
            raise Refusal(503, "jobs_unavailable", text, retry_after=5) from None
        raise Refusal(405, "method_not_allowed", f"{request.method} is not allowed on this path")

    def _create(self, request: Request, request_id: str) -> Answer:
        job = uuid.uuid4().hex
        path = dict(request.query).get("path", "/embeddings")
        if path not in self._paths:
            text = f"path is none of {', '.join(sorted(self._paths))}"
            raise Refusal(422, "invalid_request", text, field="path")
        query = urlencode([pair for pair in request.query if pair[0] != "path"])
        told = write_attributes(path, query, request.accept, request_id)
        known = {"attributes": told, "kind": request.kind}
        if request.body:
            return self._started(request, job, known, self._given(job, request))
        self._remember(job, known)
        target = {"Bucket": self._bucket, "Key": f"in/{job}", "ContentType": request.kind}
        url = self._s3.generate_presigned_url("put_object", Params=target, ExpiresIn=URL_SECONDS)
        upload = {"method": "PUT", "url": url, "headers": {"content-type": request.kind}}
        limits = {"expires_in": URL_SECONDS, "max_bytes": self._max_bytes}
        location = f"{request.stage}/jobs/{job}"
        body = {
            "id": job,
            "status": "awaiting_upload",
            "upload": upload | limits,
            "start": location,
        }
        return Answer(201, dumps(body), headers={"location": location})

    def _given(self, job: str, request: Request) -> dict[str, Any]:
        """Return where the body is: in the call if it is small and this boto3 knows how."""
        call = self._runtime.meta.service_model.operation_model("InvokeEndpointAsync")
        if len(request.body) <= INLINE_BYTES and "Body" in call.input_shape.members:
            return {"Body": request.body}
        key = f"in/{job}"
        self._s3.put_object(
            Bucket=self._bucket, Key=key, Body=request.body, ContentType=request.kind
        )
        return {"InputLocation": f"s3://{self._bucket}/{key}"}

    def _start_uploaded(self, request: Request, job: str) -> Answer:
        known = self._known(job)
        if "output" in known:
            return _running(request, job)
        found = self._head(f"in/{job}")
        if found is None:
            text = "nothing was uploaded yet; PUT the body to the URL of POST /jobs"
            raise Refusal(409, "not_uploaded", text)
        if found["ContentLength"] > self._max_bytes:
            text = f"the upload has {found['ContentLength']} bytes"
            raise Refusal(413, "body_too_large", text, field="body", limit=self._max_bytes)
        where = {"InputLocation": f"s3://{self._bucket}/in/{job}"}
        return self._started(request, job, known, where)

    def _started(
        self, request: Request, job: str, known: dict[str, str], where: dict[str, Any]
    ) -> Answer:
        told = self._runtime.invoke_endpoint_async(
            EndpointName=self._endpoint,
            ContentType=known["kind"],
            CustomAttributes=known["attributes"],
            InvocationTimeoutSeconds=INVOCATION_SECONDS,
            **where,
        )
        places = {"output": told["OutputLocation"], "failure": told.get("FailureLocation", "")}
        self._remember(job, known | places)
        return _running(request, job)

    def _status(self, request: Request, job: str) -> Answer:
        known = self._known(job)
        if "output" not in known:
            return Answer(200, dumps({"id": job, "status": "awaiting_upload"}))
        if found := self._head(_key(known["output"])):
            target = {"Bucket": self._bucket, "Key": _key(known["output"])}
            url = self._s3.generate_presigned_url("get_object", target, ExpiresIn=URL_SECONDS)
            result = {"url": url, "expires_in": URL_SECONDS, "bytes": found["ContentLength"]}
            return Answer(200, dumps({"id": job, "status": "done", "result": result}))
        if failure := self._failure(known):
            error = {"code": "job_failed", "message": failure, "field": None, "limit": None}
            return Answer(200, dumps({"id": job, "status": "failed", "error": error}))
        return _running(request, job, 200)

    def _result(self, job: str) -> Answer:
        known = self._known(job)
        found = self._head(_key(known["output"])) if "output" in known else None
        if found is None:
            if failure := self._failure(known):
                raise Refusal(502, "job_failed", failure)
            raise Refusal(409, "not_done", "the job has not ended yet", retry_after=5)
        if found["ContentLength"] > MAX_BYTES:
            text = f"the result has {found['ContentLength']} bytes; GET /jobs/{job} has its URL"
            raise Refusal(413, "response_too_large", text, limit=MAX_BYTES)
        whole = self._s3.get_object(Bucket=self._bucket, Key=_key(known["output"]))
        kind = whole.get("ContentType", "")
        # S3 names a type where SageMaker has named none.
        kind = "application/json" if kind in ("", "binary/octet-stream") else kind
        return Answer(200, whole["Body"].read(), kind)

    def _known(self, job: str) -> dict[str, str]:
        if not _ID.fullmatch(job) or self._head(f"jobs/{job}") is None:
            raise Refusal(404, "not_found", "there is no such job, or it has expired")
        stored = self._s3.get_object(Bucket=self._bucket, Key=f"jobs/{job}")
        found: dict[str, str] = json.loads(stored["Body"].read())
        return found

    def _remember(self, job: str, known: dict[str, str]) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=f"jobs/{job}", Body=dumps(known))

    def _failure(self, known: dict[str, str]) -> str:
        """Return what SageMaker wrote of a job that failed, "" if it has written nothing."""
        if not known.get("failure") or self._head(_key(known["failure"])) is None:
            return ""
        stored = self._s3.get_object(Bucket=self._bucket, Key=_key(known["failure"]))
        return stored["Body"].read(2000).decode("utf-8", "replace") or "the job failed"

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return found


def _key(location: str) -> str:
    return urlsplit(location).path.lstrip("/")


def _running(request: Request, job: str, status: int = 202) -> Answer:
    location = f"{request.stage}/jobs/{job}"
    headers = {"location": location, "retry-after": "5"}
    return Answer(status, dumps({"id": job, "status": "running"}), headers=headers)
