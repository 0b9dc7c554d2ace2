"""What Prometheus reads off a real server, with Prometheus's own parser; nothing of content."""

import httpx
from calls import PNG_64
from prometheus_client.parser import text_string_to_metric_families
from test_server import server, wait_until_ready

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(client: httpx.Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_server_counts_what_it_did() -> None:
    with server() as (_, client):
        wait_until_ready(client)
        client.post("/embeddings", json={"text": ["secret words", "b"], "image": PNG_64})
        client.post("/embeddings", json={"text": 5})
        client.post("/v1/embeddings", json={"input": "secret words", "model": "any"})
        for number in range(5):
            client.get(f"/made-up-{number}")
        found = samples(client)
        text = client.get("/metrics").text

    def value(name: str, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    assert value("openclip_ready") == 1
    assert value("openclip_requests_total", path="/embeddings", status="200") == 1
    assert value("openclip_requests_total", path="/embeddings", status="422") == 1
    assert value("openclip_requests_total", path="/v1/embeddings", status="200") == 1
    assert value("openclip_requests_total", path="other", status="404") == 5
    assert value("openclip_errors_total", code="wrong_type") == 1
    assert value("openclip_errors_total", code="not_found") == 5
    assert value("openclip_items_total", kind="text") == 3
    assert value("openclip_items_total", kind="image") == 1
    assert value("openclip_request_seconds_count", path="/embeddings") == 2
    for stage in ("decode", "embed", "encode"):
        assert value("openclip_stage_seconds_count", stage=stage) >= 2
    assert value("openclip_batch_rows_sum", tower="text") == 3 + 1  # and the probe of the start
    assert value("openclip_batch_rows_sum", tower="image") == 1 + 1
    assert value("openclip_queue_rows") == 0
    assert "secret" not in text
    assert "made-up" not in text


def test_the_key_covers_metrics() -> None:
    with server(API_KEY="k") as (_, client):
        wait_until_ready(client)
        assert client.get("/metrics").status_code == 401
        client.headers["authorization"] = "Bearer k"
        assert samples(client)
