"""Which route answers, and one metrics line for each request."""

import functools
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.config import Config

from proxy.answers import Answer, Refusal, dumps, to_event
from proxy.forward import CONNECT_SECONDS, forward, runtime_client
from proxy.health import health
from proxy.jobs import Jobs
from proxy.requests import Request, read_request, request_id

log = logging.getLogger("openclip")

PATHS: Final = frozenset(
    ["/embeddings", "/v1/embeddings", "/v2/embed", "/embed", "/vectorize", "/rank", "/classify"]
)
_QUICK: Final = Config(
    connect_timeout=CONNECT_SECONDS, read_timeout=5, retries={"total_max_attempts": 2}
)


class Proxy:
    """One endpoint, or two: `ENDPOINT` answers requests, `JOBS_ENDPOINT` works off jobs."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._endpoint: Final = environ.get("ENDPOINT", "")
        self._component: Final = environ.get("INFERENCE_COMPONENT", "")
        self._jobs_endpoint: Final = environ.get("JOBS_ENDPOINT", "")
        self._bucket: Final = environ.get("JOBS_BUCKET", "")
        self._max_job: Final = int(environ.get("JOBS_MAX_BYTES") or 1_000_000_000)
        self._namespace: Final = environ.get("METRICS_NAMESPACE") or "OpenCLIP"
        self._runtime: Final = runtime_client()

    def __call__(self, event: object) -> dict[str, Any]:
        """Answer one event; never raises for what a client sent."""
        started = time.perf_counter()
        known = event if isinstance(event, dict) else {}
        identifier, request = request_id(known), None
        try:
            request = read_request(known)
            answer = self._answer(request, identifier)
        except Refusal as refusal:
            answer = refusal.answer()
        except Exception:
            log.exception("request %s failed", identifier)
            text = f"internal error; the log has it under request id {identifier}"
            answer = Refusal(500, "internal_error", text).answer()
        sent = to_event(answer, identifier)
        self._measure(
            request, answer, sent["statusCode"], identifier, time.perf_counter() - started
        )
        return sent

    def _answer(self, request: Request, identifier: str) -> Answer:
        if request.path == "/jobs" or request.path.startswith("/jobs/"):
            return self._jobs.answer(request, identifier)
        wanted = {"/": ("GET", "HEAD"), "/health": ("GET", "HEAD")}.get(request.path, ("POST",))
        if request.path not in PATHS | {"/", "/health"}:
            raise Refusal(404, "not_found", "there is no such path; GET / lists what there is")
        if request.method not in wanted:
            text = f"{request.method} is not allowed on {request.path}"
            raise Refusal(405, "method_not_allowed", text)
        if request.path == "/":
            return Answer(200, dumps({"name": "openclip-serverless", "endpoints": self._index()}))
        if request.path == "/health":
            return health(self._control, self._endpoint, self._jobs_endpoint)
        if not self._endpoint:
            text = "this deployment works asynchronously: send the same body to POST /jobs"
            raise Refusal(409, "jobs_only", text)
        names = {"EndpointName": self._endpoint}
        if self._component:
            names["InferenceComponentName"] = self._component
        return forward(request, identifier, self._runtime, **names)

    def _index(self) -> list[str]:
        embed = [f"POST {path}" for path in sorted(PATHS)] if self._endpoint else []
        jobs = ["POST /jobs", "GET /jobs/ID"] if self._jobs_endpoint else []
        return [*embed, *jobs, "GET /health"]

    @functools.cached_property
    def _control(self) -> Any:
        return boto3.client("sagemaker", config=_QUICK)

    @functools.cached_property
    def _jobs(self) -> Jobs:
        if not self._jobs_endpoint:
            raise Refusal(404, "not_found", "this deployment takes no jobs (parameter Jobs)")
        # Without a region of its own in the host, a presigned URL is redirected and then refused.
        config = _QUICK.merge(Config(signature_version="s3v4"))
        s3 = boto3.client("s3", config=config)
        runtime, endpoint, bucket = self._runtime, self._jobs_endpoint, self._bucket
        return Jobs(runtime, s3, endpoint, bucket, self._max_job, PATHS)

    def _measure(
        self, request: Request | None, answer: Answer, status: int, identifier: str, seconds: float
    ) -> None:
        """Write one line in CloudWatch's Embedded Metric Format; nothing of the content."""
        counts = {"Requests": 1, "Errors": int(status >= 500), "Throttled": int(status == 429)}
        metrics = [{"Name": name, "Unit": "Count"} for name in counts]
        metrics.append({"Name": "Latency", "Unit": "Milliseconds"})
        told = {"Namespace": self._namespace, "Dimensions": [["Endpoint"]], "Metrics": metrics}
        path = (
            request.path if request and request.path in PATHS | {"/", "/health", "/jobs"} else None
        )
        line = {
            "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [told]},
            "Endpoint": self._endpoint or self._jobs_endpoint,
            "RequestId": identifier,
            "Method": request.method if request else None,
            "Path": path,
            "Status": status,
            "Code": answer.code,
            **counts,
            "Latency": round(seconds * 1000, 3),
        }
        sys.stdout.write(dumps(line).decode() + "\n")
