"""https pictures, fetched from a real TLS host that behaves well, badly and worse."""

import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest
import trustme
from conftest import LOOPBACK, MakeSources, refusal
from pictures import picture
from scripted import Answer, Host, Send, host, whole

from handler.errors import ServiceError, SetupError
from handler.settings import Settings
from handler.sources import Sources, is_remote
from handler.sources.addresses import Address


@contextmanager
def seconds_at_most(limit: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit


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


def chunked(*pieces: bytes) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (*pieces, b""):
            send(b"%x\r\n%s\r\n" % (len(piece), piece))

    return answer


def raw(data: bytes) -> Answer:
    return lambda send: send(data)


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


def test_one_request_holds_ten_pictures_of_the_largest_size(
    pictures: Host, make: MakeSources
) -> None:
    pictures.answers |= {f"/{n}": whole(b"x" * 2000) for n in range(11)}
    urls = [(pictures.url(f"/{n}"), f"image[{n}]") for n in range(11)]
    sources = make(max_image_bytes=2000)
    assert sources.fetch(urls[:10]) == [b"x" * 2000] * 10
    refused = [found for found in sources.fetch(urls) if isinstance(found, ServiceError)]
    assert [(error.code, error.status, error.limit) for error in refused] == [
        ("images_too_large", 413, 20_000)
    ]


def dripping_body(pictures: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        pictures.forever(send, b"x", 0.02)

    return answer


def dripping_head(pictures: Host) -> Answer:
    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        pictures.forever(send, b"x", 0.02)

    return answer


def early_hints_without_end(pictures: Host) -> Answer:
    return lambda send: pictures.forever(send, b"HTTP/1.1 103 Early Hints\r\n\r\n", 0)


def silence(pictures: Host) -> Answer:
    def answer(_: Send) -> None:
        pictures.ended.wait()

    return answer


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


def test_a_handshake_that_never_ends(make: MakeSources) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        sources = make(fetch_seconds=0.5, image_hosts=f"pictures.example:{port}")
        with seconds_at_most(3):
            (found,) = sources.fetch([(f"https://pictures.example:{port}/", "image")])
    assert "more than 0.5 seconds" in refusal(found)[1]


def test_a_name_look_up_that_never_ends(pictures: Host, make: MakeSources) -> None:
    """It is given up, and others go on beside it."""
    ended = threading.Event()

    def resolve(name: str, _: int) -> list[Address]:
        if name == "slow.example":
            ended.wait()
        return [LOOPBACK]

    pictures.answers["/a"] = whole(b"picture")
    names = f"slow.example, pictures.example:{pictures.port}"
    sources = make(resolve, fetch_seconds=0.5, image_hosts=names, fetch_concurrency=2)
    with seconds_at_most(3):
        slow, good = sources.fetch(
            [("https://slow.example/a", "image[0]"), (pictures.url("/a"), "image[1]")]
        )
        assert sources.fetch([(pictures.url("/a"), "image")]) == [b"picture"]
    assert "the host slow.example: it took more than 0.5 seconds" in refusal(slow)[1]
    assert good == b"picture"
    ended.set()


def test_a_name_that_cannot_be_resolved(make: MakeSources) -> None:
    def resolve(name: str, port: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    (found,) = make(resolve, image_hosts="a.example").fetch([("https://a.example", "image")])
    assert refusal(found) == (
        "image_fetch_failed",
        "image could not be fetched from the host a.example: its name cannot be resolved",
    )


def test_a_connection_refused(make: MakeSources) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    sources = make(image_hosts=f"pictures.example:{port}")
    (found,) = sources.fetch([(f"https://pictures.example:{port}/", "image")])
    assert refusal(found)[1].endswith("pictures.example: the connection was refused")


def test_a_certificate_of_another_host(pictures: Host, make: MakeSources) -> None:
    sources = make(image_hosts=f"other.example:{pictures.port}")
    (found,) = sources.fetch([(pictures.url("/", "other.example"), "image")])
    assert refusal(found)[0] == "image_fetch_failed"
    assert "its certificate is not valid for it" in refusal(found)[1]
    assert pictures.heads == []


def test_a_certificate_of_an_unknown_authority(make: MakeSources) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("pictures.example").configure_cert(context)
    with host(context) as stranger:
        sources = make(image_hosts=f"pictures.example:{stranger.port}")
        (found,) = sources.fetch([(stranger.url("/"), "image")])
    assert "its certificate is not valid for it" in refusal(found)[1]
    assert stranger.heads == []


def test_a_host_that_does_not_speak_tls(make: MakeSources) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        port = plain.getsockname()[1]

        def greet() -> None:
            peer, _ = plain.accept()
            with peer:
                peer.sendall(b"220 mail.example ESMTP\r\n")
                peer.recv(65_536)

        greeting = threading.Thread(target=greet)
        greeting.start()
        sources = make(image_hosts=f"pictures.example:{port}")
        (found,) = sources.fetch([(f"https://pictures.example:{port}/", "image")])
        greeting.join()
    assert refusal(found)[1].endswith("no TLS connection could be made or kept")


def test_rebinding_has_no_second_look_up_to_win(
    pictures: Host, certified: ssl.SSLContext, make: MakeSources
) -> None:
    """The name is one machine when it is checked and would be another one afterwards."""
    asked: list[str] = []

    def resolve(name: str, _: int) -> list[Address]:
        asked.append(name)
        return [LOOPBACK] if len(asked) == 1 else [ip_address("127.0.0.2")]

    with host(certified, ("127.0.0.2", pictures.port)) as private:
        pictures.answers["/"] = whole(b"public")
        private.answers["/"] = whole(b"private")
        sources = make(resolve)
        assert sources.fetch([(pictures.url("/"), "image")]) == [b"public"]
        assert asked == ["pictures.example"]
        (found,) = sources.fetch([(pictures.url("/"), "image")])
    assert refusal(found)[0] == "image_url_refused"
    assert (pictures.connections, private.connections) == (1, 0)


def test_one_private_address_among_public_ones_refuses_them_all(
    pictures: Host, make: MakeSources
) -> None:
    sources = make(lambda _, __: [LOOPBACK, ip_address("10.0.0.1")])
    (found,) = sources.fetch([(pictures.url("/"), "image")])
    assert refusal(found)[0] == "image_url_refused"
    assert pictures.connections == 0


def test_the_next_address_is_tried_when_one_refuses(
    pictures: Host, certified: ssl.SSLContext, trusted: trustme.CA
) -> None:
    pictures.answers["/"] = whole(b"picture")
    silent, answering = ip_address("127.0.0.3"), LOOPBACK
    sources = Sources(
        Settings(image_hosts=f"pictures.example:{pictures.port}"),
        resolve=lambda _, __: [silent, answering],
        allow_address=lambda address: address.is_loopback,
    )
    assert sources.fetch([(pictures.url("/"), "image")]) == [b"picture"]
    sources.close()


def test_fetches_run_together_and_never_more_than_allowed(
    pictures: Host, make: MakeSources
) -> None:
    """Every answer waits until three are asked for; two requests share the three places."""
    three = threading.Barrier(3)
    asked = threading.Semaphore(3)

    def answer(send: Send) -> None:
        assert asked.acquire(blocking=False), "more than three at once"
        three.wait(20)
        asked.release()
        whole(b"picture")(send)

    pictures.answers = {f"/{n}": answer for n in range(12)}
    sources = make(fetch_concurrency=3, fetch_seconds=30)
    urls = [(pictures.url(f"/{n}"), f"image[{n}]") for n in range(12)]
    results: list[list[bytes | ServiceError]] = []
    requests = [
        threading.Thread(target=lambda part=part: results.append(sources.fetch(part)))
        for part in (urls[:6], urls[6:])
    ]
    for request in requests:
        request.start()
    for request in requests:
        request.join()
    assert results == [[b"picture"] * 6] * 2


def test_what_is_remote() -> None:
    for text in ("https://a", "HTTPS://a", "http://a", "s3://a/b", "S3://"):
        assert is_remote(text), text
    for text in (
        "",
        "data:image/png;base64,aGk=",
        "aHR0cHM6Ly8=",
        "https:/a",
        "ftp://a",
        "file:///",
    ):
        assert not is_remote(text), text


@pytest.mark.parametrize(
    ("module", "variable"), [("httpcore", "image_hosts"), ("boto3", "image_buckets")]
)
def test_a_missing_extra_is_said_at_the_start(module: str, variable: str) -> None:
    script = f"""
import sys
sys.modules[{module!r}] = None
from handler.settings import Settings
from handler.sources import Sources
Sources(Settings())
Sources(Settings({variable}="name"))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"SetupError: {variable.upper()} needs {module}: pip install" in ran.stderr


def test_nothing_is_imported_before_the_first_remote_picture() -> None:
    script = """
import sys
import handler.images
before = set(sys.modules)
from handler.settings import Settings
from handler.sources import Sources, is_remote
sources = Sources(Settings(image_hosts="a.example", image_buckets="bucket"))
(found,) = sources.fetch([("https://b.example/", "image")])
print(found.code, sorted(m for m in set(sys.modules) - before if not m.startswith("handler")))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, _, modules = ran.stdout.partition(" ")
    assert code == "image_url_refused"
    for heavy in ("httpcore", "boto3", "botocore", "ssl", "h11"):
        assert f"'{heavy}'" not in modules


@pytest.mark.parametrize("hosts", ["*", "*.", "a..example", "a.example:0", "a:99999", "*.10.0.0.1"])
def test_an_entry_that_is_no_host_stops_the_start(hosts: str) -> None:
    with pytest.raises(SetupError, match="IMAGE_HOSTS"):
        Sources(Settings(image_hosts=hosts))
