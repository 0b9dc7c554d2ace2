"""The real client against SageMaker's wire format: every way in which an endpoint can answer."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from proxy.answers import Refusal
from proxy.attributes import read_returned, write_attributes
from proxy.forward import CONNECT_SECONDS, READ_SECONDS, forward, runtime_client
from proxy.requests import Request
from proxy.routes import PATHS
from sagemaker_peer import Peer, sagemaker
from stage import BUCKET, KEYS, Stage, runtime, stage

from handler.embedder import Embedder
from handler.forwarded import Forwarded, read_forwarded, write_returned
from handler.routes import EMBEDDING_PATHS
from handler.settings import Settings


@pytest.fixture(scope="module")
def around(embedder: Embedder, settings: Settings) -> Iterator[Stage]:
    with stage(embedder, settings) as found:
        yield found


@pytest.fixture
def peer(around: Stage) -> Iterator[Peer]:
    with sagemaker(around.container, around.s3, BUCKET) as found:
        yield found


def request(path: str = "/embeddings", body: object = None, **changes: Any) -> Request:
    content = json.dumps({"text": "red circle"} if body is None else body).encode()
    given = {"query": (), "kind": "application/json", "accept": "", "body": content}
    return Request("POST", path, "/api", **(given | changes))


def test_the_proxy_and_the_container_know_the_same_paths() -> None:
    assert frozenset(EMBEDDING_PATHS) - {"/invocations"} == PATHS


def test_both_ends_of_the_header_agree() -> None:
    told = write_attributes("/embed", "a=b;c&d=%25", "text/event-stream", "id=1;x:2")
    expected = Forwarded("/embed", "a=b;c&d=%25", "text/event-stream", "id=1;x:2")
    assert read_forwarded(told) == expected
    headers = {"x-request-id": "a;b=c", "x-embedding-space": "2a"}
    assert read_returned(write_returned(headers.items())) == headers
    assert read_returned("") == {}


def test_a_query_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Refusal, match="1038 characters") as refusal:
        write_attributes("/embed", "a" * 1015, "", "x")
    assert refusal.value.answer().status == 414


def test_the_direct_client_gets_vectors(peer: Peer) -> None:
    found = runtime(peer.url).invoke_endpoint(
        EndpointName="openclip",
        Body=b'{"text": "red circle"}',
        ContentType="application/json",
        CustomAttributes="trace=9",
    )
    assert len(json.loads(found["Body"].read())["embeddings"]) == 1
    assert found["CustomAttributes"] == "trace=9"


def test_the_direct_client_sees_a_refusal_as_a_model_error(peer: Peer) -> None:
    with pytest.raises(ClientError) as raised:
        runtime(peer.url).invoke_endpoint(EndpointName="openclip", Body=b"{}")
    assert raised.value.response["Error"]["Code"] == "ModelError"
    assert raised.value.response["OriginalStatusCode"] == 422
    assert json.loads(raised.value.response["OriginalMessage"])["error"]["code"]


def test_an_answer_with_its_headers(peer: Peer) -> None:
    wanted = request(query=(("normalize", "true"),), accept="application/json")
    found = forward(wanted, "mine", runtime(peer.url), EndpointName="openclip")
    assert found.status == 200
    assert found.kind == "application/json"
    assert len(json.loads(found.body)["embeddings"]) == 1
    assert found.headers["x-request-id"] == "mine"
    assert len(found.headers["x-embedding-space"]) == 12
    [(endpoint, passed, size)] = peer.calls
    assert (endpoint, size) == ("openclip", len(wanted.body))
    assert passed == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "path=/embeddings;query=normalize%3Dtrue;"
        "accept=application/json;id=mine",
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/embeddings", {"text": 5}, 422, "wrong_type"),
        ("/embeddings", {"image": "AAAA"}, 415, "unsupported_media_type"),
        ("/rank", {}, 422, "queries"),
        ("/classify", {}, 422, "error"),
    ],
)
def test_the_containers_refusals_arrive_as_they_were(
    path: str, body: object, status: int, said: str, peer: Peer
) -> None:
    found = forward(request(path, body), "mine", runtime(peer.url), EndpointName="openclip")
    assert found.status == status
    assert said in found.body.decode()
    assert found.kind == "application/json"


@pytest.mark.parametrize(
    ("endpoint", "status", "code", "retry_after"),
    [
        ("throttled", 429, "throttled", 1),
        ("scaled", 503, "scaled_to_zero", 60),
        ("absent", 503, "endpoint_not_ready", 60),
        ("loading", 503, "not_ready", 10),
        ("busy", 503, "endpoint_unavailable", 5),
        ("broken", 502, "endpoint_refused", None),
        ("denied", 502, "endpoint_refused", None),
        ("gone", 502, "endpoint_gone", None),
        ("cut", 502, "endpoint_gone", None),
        ("silent", 504, "endpoint_timeout", None),
    ],
)
def test_sagemakers_refusals_and_no_second_try(
    endpoint: str,
    status: int,
    code: str,
    retry_after: int | None,
    peer: Peer,
) -> None:
    with pytest.raises(Refusal) as refusal:
        forward(request(), "mine", runtime(peer.url), EndpointName=endpoint)
    found = refusal.value
    assert (found.status, found.code, found.retry_after) == (status, code, retry_after)
    assert len(peer.calls) == 1


def test_an_error_that_is_not_json(peer: Peer) -> None:
    found = forward(request(), "mine", runtime(peer.url), EndpointName="html")
    assert (found.status, found.body) == (500, b"<html>")
    assert found.kind.startswith("text/plain")


def test_a_body_over_the_real_time_limit(peer: Peer) -> None:
    with pytest.raises(Refusal) as refusal:
        forward(request(body="a" * 27_000_000), "mine", runtime(peer.url), EndpointName="openclip")
    assert refusal.value.status == 502


def test_a_slow_endpoint_is_asked_once(peer: Peer) -> None:
    with pytest.raises(Refusal) as refusal:
        forward(request(), "mine", runtime(peer.url, 0.2), EndpointName="slow")
    assert (refusal.value.status, refusal.value.code) == (504, "endpoint_timeout")
    assert len(peer.calls) == 1


def test_no_connection_is_tried_once_more() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        config = Config(connect_timeout=0.2, retries={"total_max_attempts": 1})
        client = boto3.client("sagemaker-runtime", endpoint_url=url, config=config, **KEYS)
        sent: list[object] = []
        client.meta.events.register("before-send", lambda **given: sent.append(given))
        with pytest.raises(Refusal) as refusal:
            forward(request(), "mine", client, EndpointName="openclip")
    assert (refusal.value.status, refusal.value.retry_after) == (503, 5)
    assert len(sent) == 2


def test_the_proxys_own_client_sends_once_and_ends_before_api_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = runtime_client().meta.config
    assert config.retries["total_max_attempts"] == 1
    assert 2 * CONNECT_SECONDS + READ_SECONDS < 28
    assert (config.connect_timeout, config.read_timeout) == (CONNECT_SECONDS, READ_SECONDS)
