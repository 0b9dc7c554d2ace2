"""Every front door AWS has, in its own event format, leads to the same vectors."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import event_files
import numpy as np
import pytest
from calls import KEYS, embed
from event_files import (
    ANSWERS,
    OTHERS,
    REFUSALS,
    TEXT,
    Call,
    Context,
    body,
    dispatching,
    event,
)
from numpy.typing import NDArray

from handler import __version__
from handler.embedder import Embedder
from handler.events import event_kind, strip_prefix
from handler.items import Image, Options
from handler.settings import Settings

PICTURE = base64.b64decode(event_files.picture())


@pytest.fixture(scope="module")
def dispatch(embedder: Embedder, settings: Settings) -> Iterator[Call]:
    with dispatching(embedder, settings) as found:
        yield found


@pytest.fixture(scope="module")
def vectors(embedder: Embedder) -> dict[str, NDArray[np.float32]]:
    """The embedder's own answers for T, I and TI."""
    images = [Image(PICTURE, "image")]
    return {
        "T": embed(embedder, [TEXT], [], Options()).vectors,
        "I": embed(embedder, [], images, Options()).vectors,
        "TI": embed(embedder, [TEXT], images, Options()).vectors,
    }


def get(dispatch: Call, name: str, path: str, stage: str = "") -> Any:
    """Send the event of that name as a GET of a path behind a stage."""
    sent = event(name)
    if "http" in sent["requestContext"]:
        sent["rawPath"] = stage + path
        sent["requestContext"]["http"] |= {"path": stage + path, "method": "GET"}
        if stage:
            sent["requestContext"]["stage"] = stage[1:]
    else:
        sent |= {"path": path, "httpMethod": "GET"}
        sent["requestContext"]["path"] = stage + path
    sent["body"] = None
    return dispatch(sent)


def test_no_event_file_is_left_out() -> None:
    assert event_files.names() == sorted([*ANSWERS, *REFUSALS, *OTHERS])


@pytest.mark.parametrize("name", ANSWERS)
def test_the_same_vectors_through_every_door(
    dispatch: Call,
    embedder: Embedder,
    vectors: dict[str, NDArray[np.float32]],
    name: str,
) -> None:
    answer = dispatch(event(name))
    found = body(answer)
    expected = vectors[ANSWERS[name]]
    assert list(found) == KEYS
    assert np.array_equal(np.array(found["embeddings"], np.float32), expected)
    assert 0 < found.pop("duration") < 60
    found.pop("embeddings")
    assert found == {
        "model": "OpenCLIP-shapes-tiny",
        "device": "cpu",
        "space": embedder.default_space,
        "dim": expected.shape[1],
        "normalized": False,
        "truncated": [False] * len(expected),
        "tokens": [{"T": 4, "I": 0}[kind] for kind in ANSWERS[name]],
    }
    if name.startswith("direct"):
        return
    text = answer.pop("body")
    headers = {
        "content-length": str(len(text)),
        "content-type": "application/json",
        "x-embedding-space": embedder.default_space,
        "x-request-id": Context.aws_request_id,
        "vary": "Origin",
    }
    several = {key: [value] for key, value in headers.items()}
    rest: dict[str, Any] = {"multiValueHeaders": {}} if name.startswith(("rest", "http_v1")) else {}
    # A load balancer reads one of the two: the one its target group is set to.
    carried = {"multiValueHeaders": several} if name == "alb_multi_value" else {"headers": headers}
    assert answer == {"statusCode": 200, "isBase64Encoded": False} | rest | carried


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_answered_is_refused_in_one_shape(dispatch: Call, name: str) -> None:
    status, code = REFUSALS[name]
    answer = dispatch(event(name))
    assert answer["statusCode"] == status
    error = body(answer)["error"]
    assert sorted(error) == ["code", "field", "limit", "message"]
    assert (error["code"], bool(error["message"])) == (code, True)
    if "headers" in event(name):
        assert answer["headers"]["content-type"] == "application/json"
    else:
        assert sorted(answer) == ["error", "statusCode"]


def test_index_and_preflight(dispatch: Call) -> None:
    index = dispatch(event("rest_get_root"))
    assert index["statusCode"] == 200
    assert (body(index)["status"], body(index)["version"]) == ("ready", __version__)
    preflight = dispatch(event("cors_preflight"))
    assert preflight["statusCode"] == 200
    assert preflight["headers"]["access-control-allow-origin"] == "*"
    assert "POST" in preflight["headers"]["access-control-allow-methods"]
    assert preflight["headers"]["access-control-allow-headers"] == "content-type"


def test_a_clients_request_id_comes_back(dispatch: Call) -> None:
    sent = event("http_v2_text")
    sent["headers"]["x-request-id"] = "order-7"
    assert dispatch(sent)["headers"]["x-request-id"] == "order-7"


def test_kinds() -> None:
    for name in event_files.names():
        kind = name.partition("_")[0]
        expected = {"function": "http", "cors": "rest", "s3": "direct", "scheduled": "direct"}
        wanted = "rest" if name == "http_v1_stage" else expected.get(kind, kind)
        assert event_kind(event(name)) == wanted, name
    odd: object
    for odd in (None, 3, "x", [], {}, {"requestContext": None}, {"requestContext": {}}):
        assert event_kind(odd) == "direct"


@pytest.mark.parametrize(
    ("path", "prefix", "expected"),
    [
        ("/prod/x", "/prod", "/x"),
        ("/prod/x", "prod/", "/x"),
        ("/prod", "/prod", "/"),
        ("/prod/", "/prod", "/"),
        ("/production/x", "/prod", "/production/x"),
        ("/x/prod", "/prod", "/x/prod"),
        ("/a/b/x", "/a/b", "/x"),
        ("/x", "", "/x"),
        ("/x", "/", "/x"),
    ],
)
def test_prefixes_are_whole_segments(path: str, prefix: str, expected: str) -> None:
    assert strip_prefix(path, prefix) == expected


@pytest.mark.parametrize("name", ["rest_text", "http_v2_text"])
@pytest.mark.parametrize("stage", ["/prod", "/embeddings", "/docs", "/openapi.json", ""])
def test_the_documentation_finds_itself_behind_a_stage(
    dispatch: Call, name: str, stage: str
) -> None:
    page = get(dispatch, name, "/docs", stage)
    assert page["statusCode"] == 200
    assert f"url: '{stage}/openapi.json'" in page["body"]
    document = get(dispatch, name, "/openapi.json", stage)
    servers = body(document).get("servers")
    assert servers == ([{"url": stage}] if stage else None)
    assert get(dispatch, name, "/health", stage)["statusCode"] == 200


def test_a_redirect_stays_in_its_stage(dispatch: Call) -> None:
    answer = get(dispatch, "http_v2_text", "/health/", "/prod")
    host = event("http_v2_text")["headers"]["host"]
    query = event("http_v2_text")["rawQueryString"]
    assert answer["statusCode"] == 307
    assert answer["headers"]["location"] == f"https://{host}/prod/health?{query}"


def test_another_prefix_than_the_stage_is_no_route(dispatch: Call) -> None:
    sent = event("http_v2_stage")
    sent["requestContext"]["http"]["path"] = "/production/embeddings"
    answer = dispatch(sent)
    assert answer["statusCode"] == 404
    assert "/production/embeddings" in body(answer)["error"]["message"]


@pytest.mark.parametrize("name", ["rest_text", "http_v2_text", "alb_text"])
def test_root_path_is_a_custom_domains_base_path(
    embedder: Embedder, settings: Settings, name: str
) -> None:
    settings = settings.model_copy(update={"root_path": "/clip/v1"})
    with dispatching(embedder, settings) as dispatch:
        sent = event(name)
        path = "/clip/v1/embeddings"
        if name == "http_v2_text":
            sent["rawPath"] = sent["requestContext"]["http"]["path"] = path
        else:
            sent["path"] = sent["requestContext"]["path"] = path
        assert list(body(dispatch(sent))) == KEYS
        page = get(dispatch, name, "/docs")
        assert "url: '/clip/v1/openapi.json'" in page["body"]
        assert body(get(dispatch, name, "/openapi.json"))["servers"] == [{"url": "/clip/v1"}]
        # The function's own address goes on working beside the custom domain.
        assert dispatch(event("http_v2_stage"))["statusCode"] == 200
        assert dispatch(event("rest_text"))["statusCode"] == 200


def test_query_strings_and_cookies_do_no_harm(dispatch: Call) -> None:
    for name in ("alb_text", "alb_multi_value", "rest_text", "http_v2_text"):
        sent = event(name)
        sent["multiValueQueryStringParameters"] = {"a": ["1", "ü & ?"], "b": []}
        sent["queryStringParameters"] = {"a": "%zz"}
        sent["cookies"] = None
        assert dispatch(sent)["statusCode"] == 200, name


def test_answers_are_what_lambda_can_send(dispatch: Call) -> None:
    for name in event_files.names():
        answer = dispatch(event(name))
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        ({"items": [{"text": TEXT}]}, "embeddings"),
        ({"input": TEXT, "model": "any"}, "data"),
        ({"inputText": TEXT}, "embedding"),
        ({"queries": [{"text": TEXT}], "candidates": [{"text": TEXT}]}, "probabilities"),
        ({"image": base64.b64encode(PICTURE).decode(), "labels": ["a", "b"]}, "best"),
    ],
)
def test_a_bare_request_of_each_contract(
    dispatch: Call, request_: dict[str, Any], key: str
) -> None:
    assert key in body(dispatch(request_))
    wrong = dispatch(request_ | {name: 5 for name in request_ if name not in ("model", "image")})
    assert wrong["statusCode"] in (400, 422)


def test_vectors_as_a_file_through_a_gateway(dispatch: Call) -> None:
    asked = event("rest_text")
    asked["headers"] = asked.get("headers", {}) | {"Accept": "application/x-npy"}
    asked.pop("multiValueHeaders", None)
    answer = dispatch(asked)
    assert answer["isBase64Encoded"] is True
    found = np.load(io.BytesIO(base64.b64decode(answer["body"])))
    plain = np.array(body(dispatch(event("rest_text")))["embeddings"], np.float32)
    np.testing.assert_array_equal(found, plain)
