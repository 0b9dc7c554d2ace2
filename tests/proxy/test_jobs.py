"""Jobs: the real clients, S3 by moto's server, SageMaker's asynchronous calls by the peer."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from proxy.answers import MAX_BYTES, Refusal
from proxy.jobs import INLINE_BYTES, Jobs
from proxy.requests import Request
from proxy.routes import PATHS
from sagemaker_peer import Peer, sagemaker
from stage import BUCKET, KEYS, Stage, runtime, stage

from handler.embedder import Embedder
from handler.settings import Settings

MAX_JOB = 2_000_000


@pytest.fixture(scope="module")
def around(embedder: Embedder, settings: Settings) -> Iterator[Stage]:
    with stage(embedder, settings) as found:
        yield found


@pytest.fixture
def peer(around: Stage) -> Iterator[Peer]:
    with sagemaker(around.container, around.s3, BUCKET) as found:
        yield found


@pytest.fixture
def jobs(peer: Peer, around: Stage) -> Jobs:
    return make(peer, around, "queue")


def make(peer: Peer, around: Stage, endpoint: str) -> Jobs:
    config = Config(signature_version="s3v4")
    s3 = boto3.client("s3", endpoint_url=around.aws, config=config, **KEYS)
    return Jobs(runtime(peer.url), s3, endpoint, BUCKET, MAX_JOB, PATHS)


def ask(jobs: Jobs, method: str, path: str, body: bytes = b"", /, **query: str) -> Any:
    request = Request(method, path, "/api", tuple(query.items()), "application/json", "", body)
    return jobs.answer(request, "mine")


def told(answer: Any) -> Any:
    return json.loads(answer.body)


def test_a_small_body_goes_with_the_call(jobs: Jobs, peer: Peer, around: Stage) -> None:
    body = json.dumps({"queries": [{"text": "a"}], "candidates": [{"text": "b"}]}).encode()
    accepted = ask(jobs, "POST", "/jobs", body, path="/rank")
    assert accepted.status == 202
    job = told(accepted)["id"]
    assert accepted.headers["location"] == f"/api/jobs/{job}"
    [(endpoint, passed, size)] = peer.calls
    assert (endpoint, size) == ("queue", len(body))
    assert passed["X-Amzn-SageMaker-Custom-Attributes"] == "path=/rank;id=mine"
    done = told(ask(jobs, "GET", f"/jobs/{job}"))
    assert done["status"] == "done"
    downloaded = httpx.get(done["result"]["url"])
    result = ask(jobs, "GET", f"/jobs/{job}/result")
    assert downloaded.content == result.body
    assert len(result.body) == done["result"]["bytes"]
    assert result.kind == "application/json"
    assert len(told(result)["cosine_similarities"]) == 1
    assert "Contents" not in around.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"in/{job}")


def test_a_larger_body_goes_by_s3(jobs: Jobs, peer: Peer) -> None:
    body = json.dumps({"text": "red", "ignored": "x" * INLINE_BYTES}).encode()
    job = told(ask(jobs, "POST", "/jobs", body, normalize="true"))["id"]
    [(_, passed, size)] = peer.calls
    assert size == len(body)
    assert "query=normalize%3Dtrue" in passed["X-Amzn-SageMaker-Custom-Attributes"]
    assert len(told(ask(jobs, "GET", f"/jobs/{job}/result"))["embeddings"]) == 1


def test_an_upload_past_the_proxys_limit(jobs: Jobs, peer: Peer) -> None:
    created = told(reserved := ask(jobs, "POST", "/jobs"))
    assert reserved.status == 201
    job, upload = created["id"], created["upload"]
    assert told(ask(jobs, "GET", f"/jobs/{job}")) == {"id": job, "status": "awaiting_upload"}
    with pytest.raises(Refusal, match="nothing was uploaded") as refusal:
        ask(jobs, "POST", f"/jobs/{job}")
    assert refusal.value.status == 409
    body = json.dumps({"text": "red", "ignored": "x" * 1_500_000})
    sent = httpx.put(upload["url"], content=body, headers=upload["headers"])
    assert sent.status_code == 200, sent.text
    assert ask(jobs, "POST", f"/jobs/{job}").status == 202
    assert ask(jobs, "POST", f"/jobs/{job}").status == 202
    assert [size for _, _, size in peer.calls] == [len(body)]
    assert told(ask(jobs, "GET", f"/jobs/{job}"))["status"] == "done"


def test_an_upload_that_is_too_large_is_not_started(jobs: Jobs, peer: Peer) -> None:
    created = told(ask(jobs, "POST", "/jobs"))
    upload = created["upload"]
    assert upload["max_bytes"] == MAX_JOB
    httpx.put(upload["url"], content=b"x" * (MAX_JOB + 1), headers=upload["headers"])
    with pytest.raises(Refusal) as refusal:
        ask(jobs, "POST", f"/jobs/{created['id']}")
    assert (refusal.value.code, refusal.value.limit) == ("body_too_large", MAX_JOB)
    assert peer.calls == []


def test_a_job_the_container_refuses(jobs: Jobs) -> None:
    job = told(ask(jobs, "POST", "/jobs", b"{}"))["id"]
    status = told(ask(jobs, "GET", f"/jobs/{job}"))
    assert status["status"] == "failed"
    assert status["error"]["code"] == "job_failed"
    assert "nothing_to_embed" in status["error"]["message"]
    with pytest.raises(Refusal) as refusal:
        ask(jobs, "GET", f"/jobs/{job}/result")
    assert (refusal.value.status, refusal.value.code) == (502, "job_failed")


def test_a_job_that_is_not_done(peer: Peer, around: Stage) -> None:
    jobs = make(peer, around, "never")
    job = told(ask(jobs, "POST", "/jobs", b'{"text": "a"}'))["id"]
    waiting = ask(jobs, "GET", f"/jobs/{job}")
    assert (waiting.status, told(waiting)["status"]) == (200, "running")
    assert waiting.headers["retry-after"] == "5"
    with pytest.raises(Refusal) as refusal:
        ask(jobs, "GET", f"/jobs/{job}/result")
    assert (refusal.value.status, refusal.value.retry_after) == (409, 5)


def test_a_result_larger_than_lambda_answers_has_a_url(jobs: Jobs, around: Stage) -> None:
    noise = base64.b64encode(b"x" * 100).decode()
    job = told(ask(jobs, "POST", "/jobs", json.dumps({"text": noise}).encode()))["id"]
    known = json.loads(around.s3.get_object(Bucket=BUCKET, Key=f"jobs/{job}")["Body"].read())
    key = known["output"].removeprefix(f"s3://{BUCKET}/")
    around.s3.put_object(Bucket=BUCKET, Key=key, Body=b"[" + b"0," * (MAX_BYTES // 2) + b"0]")
    with pytest.raises(Refusal) as refusal:
        ask(jobs, "GET", f"/jobs/{job}/result")
    assert (refusal.value.status, refusal.value.limit) == (413, MAX_BYTES)
    assert f"GET /jobs/{job}" in refusal.value.message
    url = told(ask(jobs, "GET", f"/jobs/{job}"))["result"]["url"]
    assert len(httpx.get(url).content) == MAX_BYTES + 3


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/jobs/" + "0" * 32, {}, 404),
        ("GET", "/jobs/..%2Fin", {}, 404),
        ("POST", "/jobs/" + "0" * 32, {}, 404),
        ("GET", "/jobs", {}, 405),
        ("DELETE", "/jobs/" + "0" * 32, {}, 405),
        ("POST", "/jobs", {"path": "/health"}, 422),
    ],
)
def test_what_is_no_job(
    method: str, path: str, query: dict[str, str], status: int, jobs: Jobs
) -> None:
    with pytest.raises(Refusal) as refusal:
        ask(jobs, method, path, **query)
    assert refusal.value.status == status


def test_a_full_queue_is_throttled_and_a_broken_one_unavailable(peer: Peer, around: Stage) -> None:
    for endpoint, status in (("throttled", 429), ("broken", 503)):
        with pytest.raises(Refusal) as refusal:
            ask(make(peer, around, endpoint), "POST", "/jobs", b'{"text": "a"}')
        assert refusal.value.status == status
    assert len(peer.calls) == 2
