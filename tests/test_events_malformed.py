"""No event is an exception or a 5xx: malformed ones are answered, and so is what is too large."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from calls import KEYS
from event_files import Call, body, dispatching, event

from handler.embedder import Embedder
from handler.settings import Settings

HTTP_DOORS = ["rest_text", "http_v1_stage", "http_v2_text", "function_url", "alb_text"]
SURROGATE = "/\ud800"


@pytest.fixture(scope="module")
def dispatch(embedder: Embedder, settings: Settings) -> Iterator[Call]:
    with dispatching(embedder, settings) as found:
        yield found


def changed(name: str, place: str, value: object) -> Any:
    """Return an event with another value at a dotted place."""
    found = event(name)
    *outer, last = place.split(".")
    inner = found
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return found


def without(name: str, *keys: str) -> Any:
    found = event(name)
    for key in keys:
        del found[key]
    return found


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer["statusCode"] == status, answer
    error: dict[str, Any] = body(answer)["error"]
    assert error["code"] == code, error
    assert error["message"]
    return error


@pytest.mark.parametrize("name", HTTP_DOORS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("headers", None),
        ("headers", []),
        ("headers", "x"),
        ("headers", {"Content-Type": 5, "Host": None, "Accept": ["a"], "X": {"a": 1}}),
        ("headers", {"X-Forwarded-Port": "abc", "X-Forwarded-Proto": "gopher"}),
        ("headers", {"Host": "a:b:c", "X-Forwarded-Port": "-1"}),
        ("multiValueHeaders", None),
        ("multiValueHeaders", ["x"]),
        ("multiValueHeaders", {"Content-Type": "application/json", "X": [1, None], "Y": None}),
        ("queryStringParameters", "a=b"),
        ("multiValueQueryStringParameters", []),
        ("cookies", None),
        ("cookies", "a=b"),
        ("stageVariables", 5),
        ("resource", None),
    ],
)
def test_what_does_not_matter_is_passed_over(
    dispatch: Call, name: str, field: str, value: object
) -> None:
    answer = dispatch(changed(name, field, value))
    assert answer["statusCode"] == 200, answer
    assert list(body(answer)) == KEYS


@pytest.mark.parametrize("name", HTTP_DOORS)
@pytest.mark.parametrize("value", [7, 1.5, True, [], ["a"], {"text": "a"}])
def test_a_body_that_is_no_string(dispatch: Call, name: str, value: object) -> None:
    assert refused(dispatch(changed(name, "body", value)), 400, "malformed_body")["field"] == "body"


@pytest.mark.parametrize("name", HTTP_DOORS)
def test_bodies_that_are_not_what_they_claim(dispatch: Call, name: str) -> None:
    for text, encoded in [("\ud800", False), ("ü", True), ("abc", True), ("{}", "yes")]:
        sent = event(name) | {"body": text, "isBase64Encoded": encoded}
        assert refused(dispatch(sent), 400, "malformed_body")["field"] == "body"
    for text in ("", "{", "[" * 100_000, '{"text": ' + "[" * 5000 + "]" * 5000 + "}"):
        sent = event(name) | {"body": text, "isBase64Encoded": False}
        refused(dispatch(sent), 400, "invalid_json")
    refused(dispatch(event(name) | {"body": None}), 400, "invalid_json")
    refused(dispatch(event(name) | {"body": "\x00", "isBase64Encoded": None}), 400, "invalid_json")


@pytest.mark.parametrize(
    "sent",
    [
        changed("rest_text", "path", 7),
        changed("rest_text", "path", SURROGATE),
        changed("rest_text", "requestContext.path", SURROGATE + "/embeddings"),
        changed("rest_text", "httpMethod", None),
        changed("rest_text", "httpMethod", "\ud800"),
        changed("alb_text", "path", 7),
        without("alb_text", "httpMethod"),
        changed("http_v2_text", "requestContext.http.path", ["a"]),
        changed("http_v2_text", "requestContext.http.path", SURROGATE),
        changed("http_v2_text", "requestContext.http.method", None),
        changed("http_v2_text", "headers.x-note", "\ud800"),
        changed("http_v2_text", "rawQueryString", "\ud800"),
    ],
)
def test_events_that_cannot_be_read(dispatch: Call, sent: object) -> None:
    answer = dispatch(sent)
    refused(answer, 400, "malformed_event")
    assert answer["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize(
    "sent",
    [
        *(None, True, 3, 1.5, "text", [], [{"text": "a"}], {}, {"texts": ["a"]}),
        changed("rest_text", "requestContext", None),
        changed("http_v2_text", "requestContext", ["http"]),
        changed("http_v2_text", "requestContext.http", "POST"),
        without("rest_text", "requestContext"),
        without("rest_text", "httpMethod"),
        without("function_url", "requestContext"),
    ],
)
def test_what_is_no_request_at_all(dispatch: Call, sent: object) -> None:
    answer = dispatch(sent)
    assert sorted(answer) == ["error", "statusCode"]
    refused(answer, 400, "malformed_event")


def test_an_absent_path_is_the_root(dispatch: Call) -> None:
    refused(dispatch(without("rest_text", "path")), 405, "method_not_allowed")
    sent = changed("http_v2_text", "requestContext.http.path", None)
    sent["rawPath"] = None
    refused(dispatch(sent), 405, "method_not_allowed")


def test_a_load_balancer_reads_a_refusals_type_either_way(dispatch: Call) -> None:
    answer = dispatch(changed("alb_multi_value", "body", 3))
    refused(answer, 400, "malformed_body")
    assert answer["multiValueHeaders"]["content-type"] == ["application/json"]
    assert answer["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize("proto", ["gopher", "", "https, http"])
def test_an_unknown_scheme_is_no_500(dispatch: Call, proto: str) -> None:
    sent = event("http_v2_text") | {"headers": {"x-forwarded-proto": proto}}
    sent["requestContext"]["http"]["path"] = "/nowhere"
    refused(dispatch(sent), 404, "not_found")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"text": 3}, 422, "wrong_type"),
        ({"text": None}, 422, "nothing_to_embed"),
        ({"image": "!"}, 422, "invalid_base64"),
        ({"image": base64.b64encode(b"hello").decode()}, 415, "unsupported_media_type"),
        ({"text": "word " * 100, "truncate": "none"}, 422, "text_too_long"),
        ({"text": ["a"] * 257}, 413, "too_many_items"),
        ({"text": "\ud800"}, 400, "invalid_json"),
        ({"text": 10**30}, 400, "invalid_json"),
    ],
)
def test_a_direct_invoke_that_fails_says_so(
    dispatch: Call, sent: object, status: int, code: str
) -> None:
    answer = dispatch(sent)
    assert sorted(answer) == ["error", "statusCode"]
    refused(answer, status, code)


def test_a_direct_invoke_may_not_be_bottomless(dispatch: Call) -> None:
    deep: Any = "a"
    for _ in range(5000):
        deep = {"text": deep}
    refused(dispatch(deep), 400, "invalid_json")


def test_limits_in_bytes_name_themselves(embedder: Embedder, settings: Settings) -> None:
    settings = settings.model_copy(update={"max_body_bytes": 2000, "max_response_bytes": 4000})
    with dispatching(embedder, settings) as dispatch:
        large = json.dumps({"text": "a" * 2000})
        for name in HTTP_DOORS:
            plain = event(name) | {"body": large, "isBase64Encoded": False}
            plain["headers"].pop("content-length", None)
            encoded = {"body": base64.b64encode(large.encode()).decode(), "isBase64Encoded": True}
            for sent in (plain, plain | encoded):
                assert refused(dispatch(sent), 413, "body_too_large")["limit"] == 2000
        assert refused(dispatch(json.loads(large)), 413, "body_too_large")["limit"] == 2000

        # Predicted, before any work is done: the number is that of the items that fit.
        assert refused(dispatch({"text": ["a"] * 4}), 413, "response_too_large")["limit"] == 3
        sent = event("rest_text") | {"body": json.dumps({"text": ["a"] * 3})}
        assert len(dispatch(sent)["body"]) <= 4000

        # Measured, where nothing predicts it: the document is larger.
        sent = changed("rest_text", "path", "/openapi.json") | {"httpMethod": "GET"}
        assert refused(dispatch(sent), 413, "response_too_large")["limit"] == 4000
