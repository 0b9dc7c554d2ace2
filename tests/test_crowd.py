"""Many clients of one server: a full queue, late answers, clients that leave, SIGTERM."""

import json
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from test_server import server, wait_until_ready

LONG = [f"{n}: " + "a photograph of a red circle beside a blue square " * 6 for n in range(256)]


def post(client: httpx.Client, texts: list[str]) -> httpx.Response:
    return client.post("/embeddings", json={"text": texts})


def requests_of(log: str) -> list[dict[str, Any]]:
    """Return what the server wrote down about each request."""
    lines = [line.partition(" INFO openclip ")[2] for line in log.splitlines()]
    return [json.loads(line) for line in lines if line]


def stop(process: Any) -> list[dict[str, Any]]:
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert "Traceback" not in log
    return requests_of(log)


def test_beyond_the_queue_requests_are_refused_and_told_when_to_come_back() -> None:
    with server(MAX_QUEUE="4", MAX_BATCH="8") as (_, client):
        wait_until_ready(client)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: post(client, LONG), range(32)))
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {200, 429}, statuses
        for answer in answers:
            if answer.status_code == 429:
                assert 1 <= int(answer.headers["retry-after"]) <= 30
                assert answer.json()["error"]["code"] == "overloaded"
                assert answer.json()["error"]["limit"] == 4
        assert post(client, ["afterwards"]).status_code == 200


def test_bodies_that_wait_are_bounded_in_bytes_too() -> None:
    size = len(json.dumps({"text": LONG}))
    with server(MAX_QUEUE_BYTES=str(int(2.5 * size)), MAX_BATCH="8") as (_, client):
        wait_until_ready(client)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: post(client, LONG), range(16)))
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["error"]["limit"] == int(2.5 * size)
        assert post(client, LONG).status_code == 200
    with server(MAX_QUEUE_BYTES="1024") as (_, client):
        wait_until_ready(client)
        assert post(client, LONG).status_code == 200  # alone, it is nobody's turn but its own


def test_an_answer_that_would_be_late_is_a_504() -> None:
    with server(REQUEST_SECONDS="0.3", MAX_BATCH="8") as (_, client):
        wait_until_ready(client)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: post(client, LONG), range(16)))
        late = [answer for answer in answers if answer.status_code == 504]
        assert late
        assert {answer.json()["error"]["code"] for answer in late} == {"deadline_exceeded"}
        assert all(answer.elapsed.total_seconds() < 10 for answer in late)
        assert post(client, ["afterwards"]).status_code == 200


def test_what_a_client_asked_for_is_dropped_when_it_leaves() -> None:
    with server(MAX_BATCH="8") as (process, client):
        wait_until_ready(client)
        with ThreadPoolExecutor(8) as pool:
            busy = [pool.submit(post, client, LONG) for _ in range(8)]
            body = json.dumps({"text": LONG}).encode()
            host, port = client.base_url.host, client.base_url.port
            assert port is not None
            for _ in range(6):
                with socket.create_connection((host, port)) as leaving:
                    head = f"POST /embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
                    leaving.sendall(head.encode() + b"\r\n\r\n" + body)
            assert [each.result().status_code for each in busy] == [200] * 8
        seen = [found for found in stop(process) if found["path"] == "/embeddings"]
    assert Counter(found["status"] for found in seen) == {200: 8, 499: 6}
    codes = {found["code"] for found in seen if found["status"] == 499}
    assert codes == {"client_disconnected"}


def test_requests_in_flight_are_finished_after_sigterm() -> None:
    with server(MAX_BATCH="16") as (process, client):
        wait_until_ready(client)
        answers: list[httpx.Response] = []
        clients = [
            threading.Thread(target=lambda: answers.append(post(client, LONG))) for _ in range(12)
        ]
        post(client, ["connected"])
        for each in clients:
            each.start()
        clients[0].join(0.3)
        seen = stop(process)
        for each in clients:
            each.join(30)
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    served = [found for found in seen if found["path"] == "/embeddings" and found["texts"] > 1]
    assert len(served) == len(answers) >= 1


def test_many_clients_share_runs_of_the_engine_and_get_their_own_vectors() -> None:
    texts = [f"{colour} {shape} {n}" for colour in "abcd" for shape in "efgh" for n in range(4)]
    with server(MAX_BATCH="64", LOG_LEVEL="warning") as (_, client):
        wait_until_ready(client)
        alone = {text: post(client, [text]).json()["embeddings"][0] for text in texts}
        with ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda text: post(client, [text]).json(), texts * 4))
    for text, answer in zip(texts * 4, answers, strict=True):
        given = answer["embeddings"][0]
        assert max(abs(a - b) for a, b in zip(alone[text], given, strict=True)) < 2e-5
