"""The function under AWS's own emulator and runtime client, with API Gateway's events."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from event_files import TEXT, event, picture
from sagemaker_peer import Peer, sagemaker
from stage import BUCKET, KEYS, Stage, environment, stage

from handler.embedder import Embedder
from handler.settings import Settings
from tools.rie import Rie

PLATFORM_LIMIT = 6_291_556


@pytest.fixture(scope="module")
def around(embedder: Embedder, settings: Settings) -> Iterator[Stage]:
    with stage(embedder, settings) as found:
        yield found


@pytest.fixture(scope="module")
def control(around: Stage) -> Any:
    """SageMaker's control plane with two endpoints, as the template makes them."""
    client = boto3.client("sagemaker", endpoint_url=around.aws, **KEYS)
    role = "arn:aws:iam::111122223333:role/execution"
    image = "111122223333.dkr.ecr.us-east-1.amazonaws.com/openclip:1"
    client.create_model(ModelName="model", ExecutionRoleArn=role, PrimaryContainer={"Image": image})
    variant = {
        "VariantName": "all",
        "ModelName": "model",
        "InstanceType": "ml.g4dn.xlarge",  # moto knows no g5
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName="config", ProductionVariants=[variant])
    for name in ("openclip", "queue"):
        client.create_endpoint(EndpointName=name, EndpointConfigName="config")
    return client


@pytest.fixture(scope="module")
def peer(around: Stage) -> Iterator[Peer]:
    with sagemaker(around.container, around.s3, BUCKET) as found:
        yield found


@pytest.fixture(scope="module")
def rie(peer: Peer, around: Stage, control: Any) -> Iterator[Rie]:
    names = {"ENDPOINT": "openclip", "JOBS_ENDPOINT": "queue", "JOBS_BUCKET": BUCKET}
    with Rie("proxy.entry.handler", **environment(peer.url, around.aws), **names) as found:
        yield found


def rest(method: str, path: str, body: object = None, **headers: str) -> Any:
    sent = event("rest_text")
    text = body if isinstance(body, str) else json.dumps(body)
    return sent | {
        "httpMethod": method,
        "path": path,
        "pathParameters": {"proxy": path.lstrip("/")} if path != "/" else None,
        "requestContext": sent["requestContext"] | {"path": f"/prod{path}"},
        "headers": {"Content-Type": "application/json"} | headers,
        "body": None if body is None else text,
    }


def ask(rie: Rie, sent: object) -> Any:
    response = rie.invoke(sent)
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["headers"]["access-control-allow-origin"] == "*"
    return found


def error(found: Any, status: int, code: str) -> Any:
    assert found["statusCode"] == status, found
    detail = json.loads(found["body"])["error"]
    assert sorted(detail) == ["code", "field", "limit", "message"]
    assert detail["code"] == code
    return detail


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("rest_text", 1),
        ("rest_both", 2),
        ("rest_base64_body", 2),
        ("rest_image", 1),
        ("rest_ipv6_host", 1),
    ],
)
def test_api_gateways_events(name: str, vectors: int, rie: Rie) -> None:
    found = ask(rie, event(name))
    assert found["statusCode"] == 200, found["body"]
    body = json.loads(found["body"])
    assert len(body["embeddings"]) == vectors
    assert found["isBase64Encoded"] is False
    assert found["headers"]["x-embedding-space"] == body["space"]


def test_a_raw_picture_with_its_query(rie: Rie, peer: Peer) -> None:
    sent = rest("POST", "/embeddings", picture(), **{"Content-Type": "image/png"})
    sent |= {"isBase64Encoded": True, "multiValueQueryStringParameters": {"normalize": ["true"]}}
    found = json.loads(ask(rie, sent)["body"])
    assert found["normalized"] is True
    assert peer.calls[-1][2] == len(base64.b64decode(picture()))


def test_the_request_id_passes_through(rie: Rie, peer: Peer) -> None:
    found = ask(rie, rest("POST", "/embeddings", {"text": TEXT}, **{"X-Request-Id": "mine.1"}))
    assert found["headers"]["x-request-id"] == "mine.1"
    assert "id=mine.1" in peer.calls[-1][1]["X-Amzn-SageMaker-Custom-Attributes"]
    own = event("rest_text")
    assert ask(rie, own)["headers"]["x-request-id"] == own["requestContext"]["requestId"]


def test_another_contract_on_its_own_path(rie: Rie) -> None:
    labels = {"image": picture(), "labels": ["red", "blue"]}
    found = ask(rie, rest("POST", "/classify", labels))
    assert found["statusCode"] == 200, found["body"]


def test_health_asks_sagemaker_and_wakes_nothing(rie: Rie, peer: Peer) -> None:
    calls = len(peer.calls)
    found = ask(rie, rest("GET", "/health"))
    assert found["statusCode"] == 200
    body = json.loads(found["body"])
    assert body["status"] == "ok"
    assert body["endpoint"] == {"name": "openclip", "status": "InService", "instances": 1}
    assert body["jobs"]["name"] == "queue"
    assert len(peer.calls) == calls


def test_a_job_from_end_to_end(rie: Rie) -> None:
    accepted = ask(rie, rest("POST", "/jobs", {"text": TEXT}))
    assert accepted["statusCode"] == 202
    where = accepted["headers"]["location"]
    assert where.startswith("/prod/jobs/")
    path = where.removeprefix("/prod")
    assert json.loads(ask(rie, rest("GET", path))["body"])["status"] == "done"
    result = ask(rie, rest("GET", f"{path}/result"))
    assert len(json.loads(result["body"])["embeddings"]) == 1


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (rest("GET", "/embeddings"), 405, "method_not_allowed"),
        (rest("POST", "/health"), 405, "method_not_allowed"),
        (rest("POST", "/embedding"), 404, "not_found"),
        (rest("POST", "/invocations", {"text": "a"}), 404, "not_found"),
        (rest("POST", "/embeddings", "{}"), 422, "nothing_to_embed"),
        (rest("POST", "/embeddings", "{"), 400, "invalid_json"),
        (rest("POST", "/embeddings", "?") | {"isBase64Encoded": True}, 400, "malformed_body"),
        (rest("POST", "/embeddings", "{}", **{"Content-Type": "a\n"}), 400, "malformed_header"),
        (rest("POST", "/embeddings") | {"body": 5}, 400, "malformed_body"),
        (event("http_v2_text"), 400, "malformed_event"),
        (event("s3_put"), 400, "malformed_event"),
        ([], 400, "malformed_event"),
        (None, 400, "malformed_event"),
    ],
)
def test_refusals_have_the_services_shape(sent: object, status: int, code: str, rie: Rie) -> None:
    error(ask(rie, sent), status, code)


def test_an_answer_too_large_for_lambda_is_refused_in_words(rie: Rie) -> None:
    found = ask(rie, rest("POST", "/embeddings", {"text": ["red circle"] * 10_000}))
    detail = error(found, 413, "response_too_large")
    assert detail["limit"] < PLATFORM_LIMIT
    assert "POST /jobs" in detail["message"]


def test_an_endpoint_scaled_to_zero_and_the_metrics_it_leaves(
    peer: Peer, around: Stage, control: Any
) -> None:
    names = {"ENDPOINT": "scaled", "INFERENCE_COMPONENT": "component"}
    with Rie("proxy.entry.handler", **environment(peer.url, around.aws), **names) as rie:
        found = ask(rie, rest("POST", "/embeddings", {"text": TEXT}))
        error(found, 503, "scaled_to_zero")
        assert found["headers"]["retry-after"] == "60"
        error(ask(rie, rest("POST", "/jobs", {"text": TEXT})), 404, "not_found")
        error(ask(rie, rest("GET", "/health")), 503, "status_unknown")
        assert ask(rie, rest("GET", "/"))["statusCode"] == 200
    lines = [json.loads(line) for line in rie.stdout if line.startswith('{"_aws"')]
    assert [line["Errors"] for line in lines] == [1, 0, 1, 0]
    assert lines[0]["Code"] == "scaled_to_zero"
    assert lines[0]["Endpoint"] == "scaled"
    assert [line["Path"] for line in lines] == ["/embeddings", "/jobs", "/health", "/"]
    metrics = lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    assert all(metric["Name"] in lines[0] for metric in metrics)
    assert TEXT not in "\n".join(rie.stdout)


def test_a_deployment_for_jobs_only(peer: Peer, around: Stage, control: Any) -> None:
    names = {"JOBS_ENDPOINT": "queue", "JOBS_BUCKET": BUCKET}
    with Rie("proxy.entry.handler", **environment(peer.url, around.aws), **names) as rie:
        found = error(ask(rie, rest("POST", "/embeddings", {"text": TEXT})), 409, "jobs_only")
        assert "POST /jobs" in found["message"]
        assert json.loads(ask(rie, rest("GET", "/health"))["body"])["status"] == "ok"
        assert ask(rie, rest("POST", "/jobs", {"text": TEXT}))["statusCode"] == 202
