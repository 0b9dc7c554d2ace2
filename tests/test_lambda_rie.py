"""The function under AWS's own Runtime Interface Emulator and runtime client, event by event."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import event_files
import numpy as np
import pytest
from calls import KEYS, embed
from event_files import ANSWERS, REFUSALS, TEXT, UNCOUNTED, body, event
from pictures import picture

from handler.embedder import Embedder
from handler.items import Image, Options
from tools.rie import Rie

PLATFORM_LIMIT = 6_291_556
"""Bytes of a synchronous request or answer (AWS Lambda developer guide, "Lambda quotas")."""


@pytest.fixture(scope="module")
def rie() -> Iterator[Rie]:
    """One environment for the tests that look at answers only."""
    with Rie(MAX_ITEMS="10000") as found:
        yield found


def answer(rie: Rie, sent: object) -> Any:
    response = rie.invoke(sent)
    assert response.status_code == 200, response.text
    return response.json()


def error(found: Any, status: int, code: str) -> dict[str, Any]:
    assert found["statusCode"] == status, found
    detail: dict[str, Any] = body(found)["error"]
    assert detail["code"] == code, detail
    return detail


def metrics(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if line.startswith('{"_aws"')]


def expected(embedder: Embedder, name: str) -> Any:
    texts = [TEXT] if "T" in ANSWERS[name] else []
    images = [Image(base64.b64decode(event_files.picture()), "image")]
    return embed(embedder, texts, images if "I" in ANSWERS[name] else [], Options()).vectors


def test_every_event_file_and_the_log_they_leave(embedder: Embedder) -> None:
    with Rie() as rie:
        for name in event_files.names():
            found = answer(rie, event(name))
            if name in ANSWERS:
                assert list(body(found)) == KEYS, name
                vectors = np.array(body(found)["embeddings"], np.float32)
                # The emulator's process runs with other thread counts than this one.
                assert np.allclose(vectors, expected(embedder, name), atol=1e-5), name
            elif name in REFUSALS:
                error(found, *REFUSALS[name])
            else:
                assert found["statusCode"] == 200, name

    starts = [line for line in rie.stdout if line.startswith('{"message":"init"')]
    assert len(starts) == 1
    start = json.loads(starts[0])
    assert start["model"] == "OpenCLIP-shapes-tiny"
    assert start["space"] == embedder.default_space
    assert list(start["ms"]) == ["own_imports", "all_imports", "load", "warm_up", "total"]
    assert all(phase > 0 for phase in start["ms"].values())
    assert max(start["ms"].values()) == start["ms"]["total"]

    served = metrics(rie.stdout)
    assert len(served) == len(event_files.names()) - len(UNCOUNTED)
    assert [line["ColdStarts"] for line in served] == [1] + [0] * (len(served) - 1)
    assert sum(line["Texts"] for line in served) == sum("T" in made for made in ANSWERS.values())
    assert sum(line["Images"] for line in served) == sum("I" in made for made in ANSWERS.values())
    assert all(line["Errors"] == 0 and line["RequestId"] for line in served)

    log = "\n".join(rie.stdout)
    assert TEXT not in log
    assert event_files.picture()[:40] not in log
    # Loading belongs to the init phase: before the emulator hands the first event over.
    first = next(i for i, line in enumerate(rie.stdout) if "INVOKE START" in line)
    assert rie.stdout.index(starts[0]) < first
    assert first < next(i for i, line in enumerate(rie.stdout) if line.startswith('{"_aws"'))


@pytest.mark.parametrize("name", ["rest_text", "http_v2_text", "function_url", "alb_text"])
def test_a_body_between_our_limit_and_lambdas_is_told_so(rie: Rie, name: str) -> None:
    sent = event(name) | {"body": json.dumps({"text": "a" * 6_000_000}), "isBase64Encoded": False}
    sent["headers"].pop("content-length", None)
    assert 6_000_000 < len(json.dumps(sent)) < PLATFORM_LIMIT
    assert error(answer(rie, sent), 413, "body_too_large")["limit"] == 6_000_000


def test_so_is_a_direct_payload(rie: Rie) -> None:
    found = answer(rie, {"text": "a" * 6_000_000})
    assert error(found, 413, "body_too_large")["limit"] == 6_000_000


@pytest.mark.parametrize("direct", [True, False])
def test_the_largest_answer_allowed_passes_lambda_and_one_more_is_refused(
    rie: Rie, direct: bool
) -> None:
    def send(count: int) -> Any:
        payload = {"text": ["red circle"] * count}
        if direct:
            return rie.invoke(payload)
        return rie.invoke(event("http_v2_text") | {"body": json.dumps(payload), "headers": {}})

    fits = error(send(10_000).json(), 413, "response_too_large")["limit"]
    assert fits is not None
    assert error(send(fits + 1).json(), 413, "response_too_large")["limit"] == fits
    response = send(fits)
    assert response.status_code == 200
    assert len(response.content) < PLATFORM_LIMIT
    assert len(body(response.json())["embeddings"]) == fits


def test_a_large_picture_passes(rie: Rie) -> None:
    # Noise in a PNG: 4.2 MB, 5.6 MB as base64.
    data = picture(size=(1250, 1120))
    sent = event("rest_image") | {"body": json.dumps({"image": base64.b64encode(data).decode()})}
    assert 5_500_000 < len(sent["body"]) < 6_000_000
    assert list(body(answer(rie, sent))) == KEYS


def test_a_bad_picture_leaves_the_worker_well(rie: Rie) -> None:
    jpeg = picture(format_name="JPEG", size=(300, 200))
    first = answer(rie, {"image": base64.b64encode(jpeg).decode()})
    for bad in (jpeg[: len(jpeg) // 2], jpeg[:30], b"GIF89a", b"\0" * 1000, b"II*\0" * 100):
        found = answer(rie, {"image": base64.b64encode(bad).decode()})
        assert found["statusCode"] in (415, 422), found
    again = answer(rie, {"image": base64.b64encode(jpeg).decode()})
    assert again["embeddings"] == first["embeddings"]


@pytest.mark.parametrize(
    "sent",
    [
        *(None, 3, "x", True, [], {}, {"texts": ["a"]}),
        event("rest_text") | {"requestContext": None},
        event("http_v2_text") | {"requestContext": {"http": {}}},
        event("alb_text") | {"httpMethod": 5},
        b'{"text": "\\ud800"}',
        b'{"text": 123456789012345678901234567890}',
        b'{"text":' * 300 + b"1" + b"}" * 300,
    ],
)
def test_malformed_events_are_answered(rie: Rie, sent: object) -> None:
    code = "invalid_json" if isinstance(sent, bytes) else "malformed_event"
    error(answer(rie, sent), 400, code)
    assert list(answer(rie, event("direct_text"))) == KEYS


def test_a_custom_domains_base_path() -> None:
    with Rie(ROOT_PATH="/clip") as rie:
        sent = event("http_v2_text")
        sent["requestContext"]["http"]["path"] = "/clip/embeddings"
        assert list(body(answer(rie, sent))) == KEYS
        sent["requestContext"]["http"] |= {"path": "/clip/docs", "method": "GET"}
        assert "url: '/clip/openapi.json'" in answer(rie, sent)["body"]
