"""https pictures, fetched from a real TLS host that behaves well, badly and worse."""

import re
import threading
import time
from collections.abc import Callable

import pytest
from pictures import picture

from handler.call import Call
from handler.errors import DeadlineExceeded, ServiceError
from sources.conftest import MakeSources, refusal
from sources.scripted import (
    Answer,
    Host,
    Send,
    chunked,
    dripping_body,
    dripping_head,
    raw,
    seconds_at_most,
    silence,
    whole,
)


def test_pictures_arrive_in_order_each_url_once(pictures: Host, make: MakeSources) -> None:
    pictures.answers = {"/a.png?size=1": whole(b"first"), "/": whole(b"second")}
    first, second = pictures.url("/a.png?size=1#part"), pictures.url("").upper()
    found = make().fetch([(first, "image[0]"), (second, "image[1]"), (first, "image[2]")])
    assert found == [b"first", b"second", b"first"]
    assert sorted(head.split(b"\r\n")[0] for head in pictures.heads) == [
        b"GET / HTTP/1.1",
        b"GET /a.png?size=1 HTTP/1.1",
    ]
    assert pictures.names == ["pictures.example"] * 2


def test_the_request_tells_no_more_than_it_must(
    pictures: Host, make: MakeSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies and cookies from the environment or another answer play no part."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pictures.answers["/a"] = whole(picture(), "Set-Cookie: a=b; Secure")
    sources = make()
    assert sources.fetch([(pictures.url("/a"), "image")]) == [picture()]
    assert sources.fetch([(pictures.url("/a"), "image")]) == [picture()]
    assert pictures.connections == 2  # none is kept
    for head in pictures.heads:
        lines = head.decode().split("\r\n")[1:-2]
        names = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
        assert re.fullmatch(r"openclip-serverless/[\d.]+", names.pop("user-agent"))
        assert names == {
            "host": f"pictures.example:{pictures.port}",
            "accept": "image/*",
            "accept-encoding": "identity",
            "connection": "close",
        }


@pytest.mark.parametrize(
    "answer",
    [
        chunked(b"pic", b"ture"),
        raw(b"HTTP/1.1 200 OK\r\n\r\npicture"),
        raw(b"HTTP/1.0 200 OK\r\n\r\npicture"),
        raw(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\npicture"),
        whole(b"picture", "Content-Encoding: identity"),
        whole(b"picture", *(f"X-Header-{n}: {n}" for n in range(400))),
    ],
    ids=["chunked", "until closed", "HTTP/1.0", "early hints", "identity", "400 headers"],
)
def test_every_lawful_answer_is_read(pictures: Host, make: MakeSources, answer: Answer) -> None:
    pictures.answers["/a"] = answer
    assert make().fetch([(pictures.url("/a"), "image")]) == [b"picture"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (whole(b"", "Location: /b", status="302 Found"), "status 302; redirects are not"),
        (whole(b"not here", status="404 Not Found"), "status 404"),
        (whole(b"", status="204 No Content"), "status 204"),
        (raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "not valid HTTP"),
        (whole(b"a", status="206 Partial Content"), "status 206"),
        (whole(b"picture", "Content-Encoding: gzip"), "compressed"),
        (whole(b"a", *(f"X-{n}: {'x' * 1000}" for n in range(300))), "not valid HTTP"),
        (raw(b""), "broke off"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "broke off"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), "broke off"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nsho"), "broke off"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "not valid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n"), "not valid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"), "not valid HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "not valid HTTP"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "not valid HTTP"),
        (raw(b"\x00" * 300_000), "not valid HTTP"),
    ],
)
def test_every_other_answer_is_an_error_of_that_picture(
    pictures: Host, make: MakeSources, answer: Answer, reason: str
) -> None:
    pictures.answers |= {"/a?secret": answer, "/b": whole(b"picture")}
    urls = [(pictures.url("/a?secret"), "image[0]"), (pictures.url("/b"), "image[1]")]
    broken, good = make().fetch(urls)
    code, message = refusal(broken)
    assert code == "image_fetch_failed"
    assert message.startswith("image[0] could not be fetched from the host pictures.example: ")
    assert reason in message and "secret" not in message
    assert good == b"picture"


def test_an_empty_file_is_named_as_such(pictures: Host, make: MakeSources) -> None:
    pictures.answers["/a"] = whole(b"")
    (found,) = make().fetch([(pictures.url("/a"), "image")])
    assert refusal(found) == ("empty_image", "image is empty")


def endless_chunks(pictures: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        pictures.forever(send, b"1000\r\n" + b"x" * 0x1000 + b"\r\n", 0)

    return answer


def endless_bytes(pictures: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\n\r\n")
        pictures.forever(send, b"x" * 0x1000, 0)

    return answer


def a_length_and_no_more(pictures: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 2001\r\n\r\n")
        pictures.ended.wait()

    return answer


@pytest.mark.parametrize("kind", [endless_chunks, endless_bytes, a_length_and_no_more])
def test_too_many_bytes_are_not_waited_for(
    pictures: Host, make: MakeSources, kind: Callable[[Host], Answer]
) -> None:
    pictures.answers["/a"] = kind(pictures)
    sources = make(max_image_bytes=2000, fetch_seconds=30)
    with seconds_at_most(10):
        (found,) = sources.fetch([(pictures.url("/a"), "image")])
    assert refusal(found) == ("image_too_large", "image has more than 2000 bytes")
    assert isinstance(found, ServiceError) and found.limit == 2000


def test_the_limit_itself_is_allowed(pictures: Host, make: MakeSources) -> None:
    pictures.answers |= {"/a": whole(b"x" * 2000), "/b": chunked(b"x" * 2000)}
    urls = [(pictures.url("/a"), "image[0]"), (pictures.url("/b"), "image[1]")]
    assert make(max_image_bytes=2000).fetch(urls) == [b"x" * 2000] * 2


def early_hints_without_end(pictures: Host) -> Answer:
    return lambda send: pictures.forever(send, b"HTTP/1.1 103 Early Hints\r\n\r\n", 0)


@pytest.mark.parametrize("kind", [dripping_body, dripping_head, early_hints_without_end, silence])
def test_no_answer_takes_longer_than_fetch_seconds(
    pictures: Host, make: MakeSources, kind: Callable[[Host], Answer]
) -> None:
    pictures.answers["/a"] = kind(pictures)
    with seconds_at_most(3):
        (found,) = make(fetch_seconds=0.5).fetch([(pictures.url("/a"), "image")])
    assert refusal(found) == (
        "image_fetch_failed",
        "image could not be fetched from the host pictures.example: it took more than 0.5 seconds",
    )


@pytest.mark.parametrize("kind", [dripping_body, silence])
def test_no_fetch_outlasts_its_request(
    pictures: Host, make: MakeSources, kind: Callable[[Host], Answer]
) -> None:
    """Neither those under way nor those that stand in line behind them."""
    pictures.answers |= {f"/{n}": kind(pictures) for n in range(6)}
    urls = [(pictures.url(f"/{n}"), f"image[{n}]") for n in range(6)]
    sources = make(fetch_seconds=30, fetch_concurrency=2)
    with seconds_at_most(3), pytest.raises(DeadlineExceeded, match="REQUEST_SECONDS"):
        sources.fetch(urls, Call(deadline=time.monotonic() + 0.5))


def test_nothing_more_is_fetched_for_a_client_that_has_gone(
    pictures: Host, make: MakeSources
) -> None:
    call = Call()
    pictures.answers["/a"] = silence(pictures)
    pictures.answers["/b"] = whole(b"picture")
    sources = make(fetch_seconds=0.5, fetch_concurrency=1)
    urls = [(pictures.url("/a"), "image[0]"), (pictures.url("/b"), "image[1]")]
    threading.Timer(0.1, call.cancelled.set).start()
    with pytest.raises(DeadlineExceeded, match="the client has gone"):
        sources.fetch(urls, call)
    assert [head.split(b" ")[1] for head in pictures.heads] == [b"/a"]
    assert sources.fetch(urls[1:]) == [b"picture"]
