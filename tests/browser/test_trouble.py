"""What goes wrong is said where it belongs, and nothing that was put in is lost."""

import io
import random
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from browsing import Page
from pictures import picture
from PIL import Image
from serving import Answer, gateway, serving
from test_server import free_port

LIMITS = {
    "MAX_IMAGE_BYTES": "20000",
    "MAX_BODY_BYTES": "60000",
    "MAX_TEXT_CHARS": "40",
    "MAX_ITEMS": "8",
    "MAX_PIXELS": "90000",
}


@pytest.fixture(scope="module")
def strict() -> Iterator[str]:
    """The origin of a server with small limits."""
    with serving(**LIMITS) as origin:
        yield origin


@pytest.fixture
def refusing(page: Page, strict: str) -> Page:
    page.refused = True
    page.open(strict)
    return page


def sized(path: Path, size: int) -> Path:
    """Write a real picture with that many bytes: a PNG may be followed by anything."""
    file = picture(size=(8, 8))
    path.write_bytes(file + random.Random(1).randbytes(size - len(file)))
    return path


def plain(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return out.getvalue()


def test_an_oversize_picture_is_marked_and_the_others_stay(
    refusing: Page, drawings: dict[str, Path], tmp_path: Path
) -> None:
    page, large = refusing, sized(tmp_path / "large.png", 24_000)
    page.drop(drawings["red circle"], large, drawings["blue square"])
    page.type("a red circle", "a blue square")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    assert page.marks() == ["", "It has 24 kB; one picture may have 20 kB.", ""]
    assert page.thumbnails() == ["red-circle.png", "large.png", "blue-square.png"]
    page.find("#thumbnails .wrong button").click()
    page.compare()
    page.answered()
    assert page.rankings()["blue-square.png"] == ["a blue square", "a red circle"]
    assert page.marks() == ["", ""]


def test_pictures_too_large_together_are_marked_largest_first(
    refusing: Page, tmp_path: Path
) -> None:
    page = refusing
    sizes = {"a.png": 12_000, "b.png": 19_000, "c.png": 14_000}
    page.pick(*(sized(tmp_path / name, size) for name, size in sizes.items()))
    page.type("a red circle")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    first, second, third = page.marks()
    assert (first, third) == ("", "")
    assert second.startswith("The request has 60.1 kB; this service takes 60 kB.")
    assert second.endswith("This picture has 19 kB.")
    page.find("#thumbnails .wrong button").click()
    page.compare()
    page.answered()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"not a picture", "This file is not a picture in a format read here ("),
        ("cut.png", picture(size=(60, 60))[:900], "This file cannot be decoded as a picture ("),
        ("empty.png", b"", "This file is empty"),
        (
            "wide.png",
            plain(2000, 50),
            "This file has 2000 x 50; at most 90000 pixels are decoded",
        ),
    ],
)
def test_a_file_that_cannot_be_read_as_a_picture_is_marked(
    refusing: Page,
    drawings: dict[str, Path],
    tmp_path: Path,
    name: str,
    content: bytes,
    message: str,
) -> None:
    page = refusing
    (tmp_path / name).write_bytes(content)
    page.drop(drawings["red circle"], tmp_path / name)
    page.type("a red circle")
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    first, second = page.marks()
    assert first == ""
    assert second.startswith(message)
    assert page.find("#texts").get_property("value") == "a red circle"


def test_a_file_that_is_gone_is_marked(page: Page, service: str, tmp_path: Path) -> None:
    page.open(service)
    path = sized(tmp_path / "gone.png", 2_000)
    page.pick(path)
    path.unlink()
    page.compare()
    page.refused_with("#thumbnails .wrong .problem")
    assert page.marks()[0].startswith("This file cannot be read; was it moved or deleted")


def test_texts_past_a_limit_are_named_by_their_line(refusing: Page) -> None:
    page = refusing
    page.type("a red circle", "", "much too long " * 4)
    page.compare()
    said = page.refused_with("#texts-problem")
    assert said == "Line 3 has 55 characters; at most 40"
    assert page.find("#texts").get_attribute("aria-invalid") == "true"
    page.type(*"abcdefghi")
    page.compare()
    page.wait(lambda: "9 items in one request; at most 8" in page.text("#texts-problem"))
    page.type("a red circle")
    page.compare()
    page.answered()
    assert page.find("#texts").get_attribute("aria-invalid") is None
    assert not page.find("#texts-problem").is_displayed()


def test_too_many_pictures_are_said_at_the_pictures(
    refusing: Page, drawings: dict[str, Path]
) -> None:
    refusing.pick(*[drawings["red circle"]] * 9)
    refusing.compare()
    said = refusing.refused_with("#pictures-problem")
    assert said == "9 items in one request; at most 8"


def test_nothing_put_in(page: Page, service: str) -> None:
    page.open(service)
    page.compare()
    assert page.refused_with("#texts-problem") == "Add a picture or type a text first."
    assert [one for one in page.requests() if one.endswith("/embeddings")] == []


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
