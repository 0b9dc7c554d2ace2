"""What holds for both kinds of URL: off by default, imported late, fetched together."""

import subprocess
import sys
import threading

import pytest

from handler.call import Call
from handler.errors import ServiceError
from handler.items import is_remote
from handler.settings import Settings
from handler.sources import Sources
from handler.sources.limits import Budget, Deadline, collect
from handler.sources.refusals import FetchFailed
from sources.conftest import MakeSources, refusal
from sources.scripted import Host, Send, whole


def test_off_by_default_and_says_which_setting() -> None:
    sources = Sources(Settings())
    web, bucket = sources.fetch(
        [("https://a.example/?signature", "image[0]"), ("s3://pictures/key", "image[1]")]
    )
    assert refusal(web) == (
        "image_url_refused",
        "image[0] is a URL, and none is fetched here: IMAGE_HOSTS is empty",
    )
    assert refusal(bucket) == (
        "image_url_refused",
        "image[1] is an s3:// URL, and none is read here: IMAGE_BUCKETS is empty",
    )
    sources.close()


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
from handler.items import is_remote
from handler.sources import Sources
from handler.sources.limits import Budget, Deadline, collect
from handler.sources.refusals import FetchFailed
sources = Sources(Settings(image_hosts="a.example", image_buckets="bucket"))
(found,) = sources.fetch([("https://b.example/", "image")])
print(found.code, sorted(m for m in set(sys.modules) - before if not m.startswith("handler")))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, _, modules = ran.stdout.partition(" ")
    assert code == "image_url_refused"
    for heavy in ("httpcore", "boto3", "botocore", "ssl", "h11"):
        assert f"'{heavy}'" not in modules


def test_fetches_run_together_and_never_more_than_allowed(
    pictures: Host, make: MakeSources
) -> None:
    """Every answer waits until three are asked for; two requests share the three places."""
    three = threading.Barrier(3)
    places = threading.Semaphore(3)
    fourth = threading.Event()

    def answer(send: Send) -> None:
        if not places.acquire(blocking=False):
            fourth.set()
        three.wait(20)
        fourth.wait(0.2)  # one more would have this long to come
        places.release()
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
    assert not fourth.is_set()


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


def test_reading_stops_at_the_deadline_though_more_comes() -> None:
    """As it does for a call that was given up, and for thousands of chunks from one packet."""
    deadline = Deadline("the bucket shop", 0.05, Call())
    with pytest.raises(FetchFailed) as failed:
        collect(iter(lambda: b"", None), 2000, Budget(2000), deadline)
    assert failed.value.reason == "it took more than 0.05 seconds"
