"""One metric line per request, in the form CloudWatch extracts metrics from.

The rules are those of the CloudWatch user guide's "Specification: Embedded metric format".
"""

import json
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from handler.emf import metric_line
from handler.frame import Record

UNITS = {"Count", "Milliseconds"}


def parse(line: str) -> dict[str, Any]:
    """Read a line, checking what the specification asks of every one."""
    assert "\n" not in line
    assert len(line.encode()) < 256 * 1024  # CloudWatch Logs' limit of one event
    root: dict[str, Any] = json.loads(line)
    metadata = root["_aws"]
    assert sorted(metadata) == ["CloudWatchMetrics", "Timestamp"]
    assert isinstance(metadata["Timestamp"], int)
    assert abs(metadata["Timestamp"] / 1000 - time.time()) < 60
    for directive in metadata["CloudWatchMetrics"]:
        assert sorted(directive) == ["Dimensions", "Metrics", "Namespace"]
        assert 1 <= len(directive["Namespace"]) <= 1024
        for dimension_set in directive["Dimensions"]:
            assert len(dimension_set) <= 30
            for name in dimension_set:  # a dimension's value is a string at the root
                assert isinstance(root[name], str)
                assert 1 <= len(root[name]) <= 1024
        assert 1 <= len(directive["Metrics"]) <= 100
        for definition in directive["Metrics"]:
            assert sorted(definition) == ["Name", "Unit"]
            assert definition["Unit"] in UNITS
            assert type(root[definition["Name"]]) in (int, float)
    return root


def record(**values: Any) -> Record:
    given: dict[str, Any] = {
        "method": "POST",
        "path": "/embeddings",
        "request_id": "r-1",
        "status": 200,
    }
    return Record(**given | values)


def test_a_request_becomes_these_metrics() -> None:
    found = parse(
        metric_line(record(texts=2, images=3, seconds=0.0123456), "Shop/CLIP", "m-1", cold=True)
    )
    timestamp = found["_aws"].pop("Timestamp")
    assert timestamp > 0
    assert found == {
        "_aws": {
            "CloudWatchMetrics": [
                {
                    "Namespace": "Shop/CLIP",
                    "Dimensions": [["Model"]],
                    "Metrics": [
                        {"Name": "Requests", "Unit": "Count"},
                        {"Name": "Errors", "Unit": "Count"},
                        {"Name": "Texts", "Unit": "Count"},
                        {"Name": "Images", "Unit": "Count"},
                        {"Name": "ColdStarts", "Unit": "Count"},
                        {"Name": "Latency", "Unit": "Milliseconds"},
                    ],
                }
            ],
        },
        "Model": "m-1",
        "RequestId": "r-1",
        "Method": "POST",
        "Path": "/embeddings",
        "Status": 200,
        "Code": None,
        "Requests": 1,
        "Errors": 0,
        "Texts": 2,
        "Images": 3,
        "ColdStarts": 1,
        "Latency": 12.346,
    }


@pytest.mark.parametrize(
    ("status", "errors"), [(200, 0), (307, 0), (404, 0), (422, 0), (499, 0), (500, 1), (503, 1)]
)
def test_only_our_own_faults_are_errors(status: int, errors: int) -> None:
    found = parse(metric_line(record(status=status, code="x"), "N", "m", cold=False))
    assert (found["Errors"], found["Status"], found["Code"]) == (errors, status, "x")
    assert found["ColdStarts"] == 0


@pytest.mark.parametrize("path", ["/", "/ü/日本", "/a\nb", '/"quoted"', "/" + "x" * 8000])
def test_any_path_is_one_line(path: str) -> None:
    assert parse(metric_line(record(path=path), "N", "m", cold=False))["Path"] == path


def test_nothing_of_a_requests_content_is_in_it(client: TestClient, records: list[Record]) -> None:
    headers = {"x-secret": "header-secret", "authorization": "Bearer token-secret"}
    for sent in (
        {"text": "text-secret"},
        {"text": "a", "image": "picture-secret"},
        {"text": {"key-secret": 1}},
        {"text": "a", "truncate": "option-secret"},
    ):
        client.post("/embeddings?key=query-secret", json=sent, headers=headers)
    client.post("/embeddings", content=b"body-secret")
    assert [found.status for found in records] == [200, 415, 422, 422, 400]
    for found in records:
        line = metric_line(found, "N", "m", cold=False)
        assert "secret" not in line
        assert parse(line)["Texts"] in (0, 1)
