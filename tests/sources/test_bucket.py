"""s3:// pictures through the real boto3: moto's S3 over HTTP, and a host that misbehaves."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pictures import picture

from handler.errors import ServiceError
from handler.settings import Settings
from handler.sources import Sources
from sources.conftest import refusal
from sources.scripted import Answer, Host, Send, dripping_body, dripping_head, host, silence, whole

ODD_KEYS = [
    "plain.png",
    "with space.png",
    "a+b=c&d?e#f;g.png",
    "100%.png",
    "%2e%2e/x%2Fy.png",
    "übergröße/写真/🖼.png",
    "a//b.png",
    "dots/..hidden/...png",
    "quote'\"<>\\^`{|}~.png",
    "trailing/",
    "全角\u3000空白/👩\u200d👧.png",
    "no\u00a0break.png",
]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """S3 as moto serves it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    name, port = server.get_host_and_port()
    yield f"http://{name}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Points boto3 to an endpoint, the way an operator does."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return lambda url: monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)


@pytest.fixture
def s3(moto: str, aws: Callable[[str], None]) -> Any:
    """A client of moto, which has the buckets shop and other."""
    aws(moto)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="shop")
    client.create_bucket(Bucket="other")
    return client


@pytest.fixture
def odd(aws: Callable[[str], None]) -> Iterator[Host]:
    """An S3 whose answers are the test's."""
    with host(None) as found:
        aws(f"http://127.0.0.1:{found.port}")
        yield found


def fetch(*urls: str, **settings: object) -> list[bytes | ServiceError]:
    sources = Sources(Settings.model_validate({"image_buckets": "shop"} | settings))
    found = sources.fetch([(url, f"image[{n}]") for n, url in enumerate(urls)])
    sources.close()
    return found


def test_objects_arrive_in_order(s3: Any) -> None:
    s3.put_object(Bucket="shop", Key="red/a.png", Body=picture())
    s3.put_object(Bucket="shop", Key="b.png", Body=b"second")
    s3.put_object(Bucket="other", Key="b.png", Body=b"third")
    urls = ["s3://shop/red/a.png", "S3://shop/b.png", "s3://other/b.png", "s3://shop/red/a.png"]
    found = fetch(*urls, image_buckets="shop, other")
    assert found == [picture(), b"second", b"third", picture()]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_is_taken_as_it_is_written(s3: Any, key: str) -> None:
    s3.put_object(Bucket="shop", Key=key, Body=key.encode())
    assert fetch(f"s3://shop/{key}") == [key.encode()]


def test_a_hundred_at_once_through_one_client(s3: Any) -> None:
    for n in range(100):
        s3.put_object(Bucket="shop", Key=f"{n}.png", Body=b"%d" % n)
    found = fetch(*(f"s3://shop/{n}.png" for n in range(100)), fetch_concurrency=16)
    assert found == [b"%d" % n for n in range(100)]


def test_what_is_not_there(s3: Any) -> None:
    s3.put_object(Bucket="shop", Key="there.png", Body=b"picture")
    s3.put_object(Bucket="shop", Key="empty.png", Body=b"")
    urls = ["s3://shop/gone?X-Amz-Signature=1", "s3://nobodys/a", "s3://shop/empty.png"]
    gone, nobodys, empty, there = fetch(*urls, "s3://shop/there.png", image_buckets="shop,nobodys")
    assert refusal(gone) == (
        "image_fetch_failed",
        "image[0] could not be fetched from the bucket shop: it has no such object",
    )
    assert refusal(nobodys) == (
        "image_fetch_failed",
        "image[1] could not be fetched from the bucket nobodys: there is no such bucket",
    )
    assert refusal(empty) == ("empty_image", "image[2] is empty")
    assert there == b"picture"


def test_what_is_there_but_not_listed(s3: Any) -> None:
    for bucket, key in [("shop", "red/a"), ("shop", "redder/a"), ("other", "red/a")]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"picture")
    urls = ["s3://shop/redder/a", "s3://other/red/a", "s3://shop/red/a"]
    outside, elsewhere, listed = fetch(*urls, image_buckets="shop/red")
    assert refusal(outside) == (
        "image_url_refused",
        "image[0] is in the bucket shop under a prefix which is not in IMAGE_BUCKETS",
    )
    assert refusal(elsewhere) == (
        "image_url_refused",
        "image[1] is in the bucket other, which is not in IMAGE_BUCKETS",
    )
    assert listed == b"picture"


def test_sizes(s3: Any) -> None:
    s3.put_object(Bucket="shop", Key="limit", Body=b"x" * 2000)
    s3.put_object(Bucket="shop", Key="above", Body=b"x" * 2001)
    limit, above = fetch("s3://shop/limit", "s3://shop/above", max_image_bytes=2000)
    assert limit == b"x" * 2000
    assert refusal(above) == ("image_too_large", "image[1] has more than 2000 bytes")


def error(status: str, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>internal-detail</Message></Error>"
    return whole(body.encode(), "Content-Type: application/xml", status=status)


@pytest.mark.parametrize(
    ("answer", "reason", "asked"),
    [
        (error("403 Forbidden", "AccessDenied"), "access is denied to this service", 1),
        (error("403 Forbidden", "InvalidObjectState"), "the object is archived", 1),
        (error("403 Forbidden", "ExpiredToken"), "S3 answered ExpiredToken", 1),
        (error("503 Slow Down", "SlowDown"), "S3 answered SlowDown", 2),
        (error("500 Internal Server Error", "InternalError"), "S3 answered InternalError", 2),
        (lambda send: send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), "broke", 1),
        (lambda send: send(b""), "no connection could be made", 2),
    ],
)
def test_every_error_is_one_of_that_picture(
    odd: Host, answer: Answer, reason: str, asked: int
) -> None:
    """And what may pass is tried twice."""
    odd.answers["/shop/a"] = answer
    (found,) = fetch("s3://shop/a")
    code, message = refusal(found)
    assert code == "image_fetch_failed"
    assert message.startswith("image[0] could not be fetched from the bucket shop: ")
    assert reason in message and "internal-detail" not in message
    assert len(odd.heads) == asked


def test_the_size_is_looked_at_before_the_body(odd: Host) -> None:
    """There is no body to wait for: it never comes."""

    def answer(send: Send) -> None:
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        odd.ended.wait()

    odd.answers["/shop/a"] = answer
    started = time.monotonic()
    (found,) = fetch("s3://shop/a", fetch_seconds=30)
    assert refusal(found) == ("image_too_large", "image[0] has more than 20000000 bytes")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("kind", [dripping_head, dripping_body, silence])
def test_no_object_takes_longer_than_fetch_seconds(
    odd: Host, kind: Callable[[Host], Answer]
) -> None:
    odd.answers |= {"/shop/a": kind(odd), "/shop/b": whole(b"picture")}
    sources = Sources(Settings(image_buckets="shop", fetch_seconds=0.5))
    assert sources.fetch([("s3://shop/b", "image")]) == [b"picture"]  # boto3 is imported now
    started = time.monotonic()
    slow, good = sources.fetch([("s3://shop/a", "image[0]"), ("s3://shop/b", "image[1]")])
    assert time.monotonic() - started < 3
    assert "the bucket shop: it took more than 0.5 seconds" in refusal(slow)[1]
    assert good == b"picture"
    sources.close()
    odd.ended.set()
    for thread in threading.enumerate():  # the call that was given up ends with its connection
        if thread.name == "fetch-call":
            thread.join(10)
            assert not thread.is_alive()


def test_no_credentials(odd: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (found,) = fetch("s3://shop/a")
    assert refusal(found)[1].endswith("this service has no credentials for it")
    assert odd.connections == 0


def test_an_endpoint_that_refuses(aws: Callable[[str], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        aws(f"http://127.0.0.1:{closed.getsockname()[1]}")
    (found,) = fetch("s3://shop/a")
    assert refusal(found)[1].endswith("the bucket shop: no connection could be made")


def test_a_certificate_nobody_knows(aws: Callable[[str], None], certified: ssl.SSLContext) -> None:
    with host(certified) as stranger:
        aws(f"https://127.0.0.1:{stranger.port}")
        (found,) = fetch("s3://shop/a")
    assert refusal(found)[1].endswith("the bucket shop: no connection could be made")
    assert stranger.heads == []
