"""A service that is gone, locked, loading or behind a failing gateway; and what is done then."""

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from browsing import Page
from serving import Answer, gateway, serving
from test_server import free_port


def test_a_server_that_is_gone_and_comes_back(page: Page, drawings: dict[str, Path]) -> None:
    page.refused = True
    port = str(free_port())
    with serving(PORT=port) as origin:
        page.open(origin)
        page.pick(drawings["red circle"])
        page.type("a green star", "a red circle")
        page.compare()
        page.answered()
        shown = page.matrix()
    page.compare()
    said = page.refused_with("#failure-text")
    assert said == "The service does not answer. What you put in is kept."
    assert page.text("#model") == "No answer"
    assert page.thumbnails() == ["red-circle.png"]
    assert page.find("#texts").get_property("value") == "a green star\na red circle"
    assert page.matrix() == shown
    page.find("#examples").click()
    page.wait(lambda: "cannot be loaded" in page.text("#pictures-problem"))
    assert page.thumbnails() == ["red-circle.png"]
    with serving(PORT=port):
        page.find("#again").click()
        page.answered()
        assert page.matrix() == shown
        assert not page.find("#failure").is_displayed()
        assert not page.find("#pictures-problem").is_displayed()
        assert page.text("#model").startswith("OpenCLIP-shapes-tiny")


def test_a_connection_cut_while_sending(
    page: Page, service: str, drawings: dict[str, Path]
) -> None:
    def cut(request: BaseHTTPRequestHandler) -> None:
        if request.command == "POST":
            request.connection.shutdown(socket.SHUT_RDWR)

    page.refused = True
    with gateway(service, rule=cut) as origin:
        page.open(origin)
        page.type("a red circle")
        page.compare()
        assert page.refused_with("#failure-text") == "The service cut the connection."
        page.pick(drawings["red circle"])
        page.compare()
        page.wait(lambda: "Send fewer or smaller pictures." in page.text("#failure-text"))
        size = drawings["red circle"].stat().st_size * 4 / 3
        said = re.fullmatch(r".* while (.*) kB were sent to it\. .*", page.text("#failure-text"))
        assert said
        assert float(said[1]) * 1000 == pytest.approx(size, abs=120)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (429, b'{"error": {"code": "THROTTLED", "message": "Too many"}}', "Too many"),
        (502, b"<html>Bad gateway</html>", "HTTP 502, without a reason."),
        (403, b'{"message": "Forbidden"}', None),
    ],
)
def test_answers_that_are_not_the_services_own(
    page: Page, service: str, status: int, body: bytes, said: str | None
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> Answer | None:
        return (status, body) if request.command == "POST" else None

    page.refused = True
    with gateway(service, rule=answer) as origin:
        page.open(origin)
        page.type("a red circle")
        page.compare()
        if said:
            assert page.refused_with("#failure-text") == said
        else:
            assert page.refused_with("#key-problem") == "Forbidden"


def test_a_key_is_asked_for_and_sent_but_never_shown(page: Page, service: str) -> None:
    seen = []

    def locked(request: BaseHTTPRequestHandler) -> Answer | None:
        if request.path not in ("/health", "/embeddings"):
            return None
        given = request.headers["authorization"], request.headers["x-api-key"]
        seen.append(given)
        if given == ("Bearer secret-1", "secret-1"):
            return None
        return 401, b'{"error": {"code": "unauthorized", "message": "a key is needed"}}'

    page.refused = True
    with gateway(service, rule=locked) as origin:
        page.browser.get(origin)
        page.wait(lambda: page.text("#model") == "Asks for an API key")
        assert page.find("#key").is_displayed()
        page.type("a red circle")
        page.compare()
        assert page.refused_with("#key-problem") == "a key is needed"
        page.find("#key").send_keys("secret-1")
        page.compare()
        page.answered()
        assert page.text("#model").startswith("OpenCLIP-shapes-tiny")
        assert 'authorization: Bearer $API_KEY" -H "x-api-key: $API_KEY"' in page.text("#curl")
        assert "secret-1" not in page.text("body")
        assert page.script("return localStorage.length + sessionStorage.length") == 0
    assert seen[0] == (None, None)
    assert seen[-1] == ("Bearer secret-1", "secret-1")


def test_a_model_that_is_still_loading(page: Page, service: str) -> None:
    loaded = threading.Event()

    def loading(request: BaseHTTPRequestHandler) -> Answer | None:
        if request.path != "/health" or loaded.is_set():
            return None
        return 503, b'{"error": {"code": "not_ready", "message": "the model is still loading"}}'

    page.refused = True
    with gateway(service, rule=loading) as origin:
        page.browser.get(origin)
        page.wait(lambda: page.text("#model") == "The model is loading…")
        loaded.set()
        page.wait(lambda: page.text("#model").startswith("OpenCLIP-shapes-tiny"))
