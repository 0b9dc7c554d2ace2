"""URLs through a real server: pictures in S3 (moto, over HTTP) beside others in the request."""

from collections.abc import Iterator

import boto3
import httpx
import numpy as np
import pytest
from calls import PNG, PNG_64, embed
from moto.server import ThreadedMotoServer
from pictures import picture
from test_server import server, wait_until_ready

from handler.embedder import Embedder
from handler.items import Image, Options

OTHER = picture(size=(40, 90))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A server that may read shop/photos in a bucket, and nothing by https."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    access = {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    s3 = boto3.client(
        "s3",
        endpoint_url=access["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    s3.create_bucket(Bucket="shop")
    s3.put_object(Bucket="shop", Key="photos/a.png", Body=OTHER)
    s3.put_object(Bucket="shop", Key="private/a.png", Body=OTHER)
    with server(IMAGE_BUCKETS="shop/photos", **access) as (_, found):
        wait_until_ready(found)
        yield found
    moto.stop()


def test_a_picture_in_s3_among_others(client: httpx.Client, embedder: Embedder) -> None:
    items = [{"image": "s3://shop/photos/a.png"}, {"text": "a"}, {"image": PNG_64}]
    found = client.post("/embeddings", json={"items": items}).json()["embeddings"]
    expected = embed(embedder, ["a"], [Image(OTHER), Image(PNG)], Options()).vectors[[1, 0, 2]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("s3://shop/photos/missing.png", "image_fetch_failed"),
        ("s3://shop/private/a.png", "image_url_refused"),
        ("s3://other/photos/a.png", "image_url_refused"),
        ("https://img.example/a.png", "image_url_refused"),
        ("http://169.254.169.254/latest/meta-data", "image_url_refused"),
    ],
)
def test_what_cannot_be_had_is_one_items_error(client: httpx.Client, url: str, code: str) -> None:
    body = {"items": [{"text": "a"}, {"image": url}]}
    refused = client.post("/embeddings", json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == code
    assert refused.json()["error"]["field"] == "items[1].image"
    found = client.post("/embeddings", json=body | {"errors": "item"}).json()
    assert [vector is None for vector in found["embeddings"]] == [False, True]
    assert [(error["index"], error["code"]) for error in found["errors"]] == [(1, code)]


def test_other_contracts_take_urls_too(client: httpx.Client) -> None:
    url = "s3://shop/photos/a.png"
    native = client.post("/embeddings", json={"image": url, "normalize": True}).json()
    openai = client.post("/v1/embeddings", json={"input": [{"image": url}], "model": "m"}).json()
    vector = native["embeddings"][0]
    np.testing.assert_allclose(openai["data"][0]["embedding"], vector, atol=1e-6)
    ranked = client.post(
        "/rank", json={"queries": [{"image": url}], "candidates": [{"image": url}]}
    ).json()
    assert ranked["cosine_similarities"][0][0] == pytest.approx(1, abs=1e-6)


def test_a_wrong_allow_list_stops_the_start() -> None:
    with server(IMAGE_HOSTS="http://x.example/path") as (process, _):
        _, log = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "IMAGE_HOSTS" in log
    assert "Traceback" not in log
