"""Events of a REST API read into requests; whatever arrives, a refusal at worst."""

from contextlib import suppress
from typing import Any

import pytest
from event_files import event, names
from hypothesis import given
from hypothesis import strategies as st
from proxy.answers import MAX_BYTES, Answer, Refusal, to_event
from proxy.requests import read_request, request_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = [
    "httpMethod",
    "path",
    "pathParameters",
    "requestContext",
    "headers",
    "multiValueQueryStringParameters",
    "body",
    "isBase64Encoded",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_field_may_hold_anything(changes: dict[str, Any]) -> None:
    sent = event("rest_text") | changes
    assert isinstance(request_id(sent), str)
    with suppress(Refusal):
        found = read_request(sent)
        assert isinstance(found.body, bytes)
        assert found.query_string().isascii()


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("rest_")])
def test_every_rest_event_is_read(name: str) -> None:
    sent = event(name)
    found = read_request(sent)
    assert found.method == sent["httpMethod"]
    assert found.path == sent["path"]
    assert sent["requestContext"]["path"] == found.stage + found.path


def test_a_base_path_is_taken_off_and_kept_for_links() -> None:
    sent = event("rest_text") | {"path": "/clip/embeddings"}
    sent["requestContext"] |= {"path": "/clip/embeddings"}
    found = read_request(sent)
    assert (found.stage, found.path) == ("/clip", "/embeddings")


def test_bytes_leave_as_base64_and_text_as_text() -> None:
    assert to_event(Answer(200, b"{}", "application/json"), "x")["body"] == "{}"
    found = to_event(Answer(200, b"\0\1", "application/octet-stream"), "x")
    assert (found["body"], found["isBase64Encoded"]) == ("AAE=", True)


def test_base64_counts_against_the_limit_too() -> None:
    largest = to_event(Answer(200, b"x" * (MAX_BYTES // 4 * 3), "image/png"), "x")
    assert largest["statusCode"] == 200
    assert len(largest["body"]) == MAX_BYTES
    assert (
        to_event(Answer(200, b"x" * (MAX_BYTES // 4 * 3 + 1), "image/png"), "x")["statusCode"]
        == 413
    )
