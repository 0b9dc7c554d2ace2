"""Lists in any order, duplicates, bad items among good ones, and every form a vector is sent in."""

import base64
import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from calls import PNG, PNG_64, embed, error, limited, post
from numpy.typing import NDArray
from pictures import picture
from starlette.testclient import TestClient

from handler.call import Call
from handler.embedder import Embedder
from handler.engines import Engine
from handler.items import Image, Item, Options, Text

OTHER_64 = base64.b64encode(picture(size=(40, 90))).decode()


def floats(found: Any) -> NDArray[np.float32]:
    return np.array(found["embeddings"], np.float32)


def test_items_come_back_in_their_order(client: TestClient) -> None:
    items = [{"image": PNG_64}, {"text": "red circle"}, {"image": OTHER_64}, {"text": "a"}]
    found = post(client, {"items": items}).json()
    apart = post(client, {"text": ["red circle", "a"], "image": [PNG_64, OTHER_64]}).json()
    np.testing.assert_allclose(floats(found), floats(apart)[[2, 0, 3, 1]], atol=1e-5)
    assert found["tokens"] == [0, 4, 0, 3]


class Counting:
    """An engine that counts the rows it runs."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.device, self.image_batch = engine.device, engine.image_batch
        self.rows: Counter[str] = Counter()

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        self.rows["text"] += len(tokens)
        return self.engine.encode_text(tokens, call)

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        self.rows["image"] += len(pixel_values)
        return self.engine.encode_image(pixel_values, call)


def test_what_occurs_twice_is_encoded_once(embedder: Embedder) -> None:
    counting = Counting(embedder._engine)
    other = Embedder(embedder.bundle, embedder.settings, counting)
    texts = [Text(text) for text in ("a", "b", "a", "A", "a")]
    items: list[Item] = [*texts, Image(PNG), Image(picture(size=(40, 90))), Image(bytes(PNG))]
    found = other.embed(items, Options())
    assert counting.rows == {"text": 3, "image": 2}  # the tokenizer lowers case, we need not know
    assert (found.vectors[0] == found.vectors[2]).all() and (
        found.vectors[5] == found.vectors[7]
    ).all()
    np.testing.assert_allclose(
        found.vectors, embedder.embed(items[::-1], Options()).vectors[::-1], atol=1e-5
    )


def test_63_good_vectors_and_one_error(client: TestClient) -> None:
    items = [{"text": f"text {index}"} for index in range(40)]
    items += [{"image": PNG_64}] * 24
    items[50] = {"image": base64.b64encode(PNG[:60]).decode()}
    error(post(client, {"items": items}), 422, "undecodable_image")
    found = post(client, {"items": items, "errors": "item"}).json()
    assert [index for index, vector in enumerate(found["embeddings"]) if vector is None] == [50]
    (wrong,) = found["errors"]
    assert (wrong["index"], wrong["code"], wrong["field"]) == (
        50,
        "undecodable_image",
        "items[50].image",
    )
    alone = post(client, {"text": "text 7"}).json()
    np.testing.assert_allclose(found["embeddings"][7], alone["embeddings"][0], atol=1e-5)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"image": "!"}, "invalid_base64"),
        ({"image": ""}, "empty_image"),
        ({"image": base64.b64encode(b"hello").decode()}, "unsupported_media_type"),
        ({"image": "https://example.com/a.png"}, "image_url_refused"),
        ({"text": "word " * 100}, "text_too_long"),
        ({"text": "x" * 8193}, "text_too_large"),
        ({"text": 5}, "wrong_type"),
        ({}, "wrong_type"),
        (None, "wrong_type"),
        ({"text": "a", "image": PNG_64}, "wrong_type"),
    ],
)
def test_whatever_is_wrong_with_one(client: TestClient, item: object, code: str) -> None:
    items = [{"text": "a"}, item, {"image": PNG_64}]
    body = {"items": items, "truncate": "none"}
    refused = post(client, body)
    assert refused.status_code in (413, 415, 422)
    assert refused.json()["error"]["code"] == code
    found = post(client, body | {"errors": "item"}).json()
    assert [vector is None for vector in found["embeddings"]] == [False, True, False]
    assert [(e["index"], e["code"]) for e in found["errors"]] == [(1, code)]
    assert found["errors"][0]["field"].startswith("items[1]")


def test_all_of_them_wrong(client: TestClient) -> None:
    found = post(client, {"image": ["!", "!"], "errors": "item"}).json()
    assert found["embeddings"] == [None, None]
    assert len(found["errors"]) == 2


@pytest.mark.parametrize("normalize", [False, True])
def test_dimensions_are_the_first_ones_then_unit_length(
    client: TestClient, normalize: bool
) -> None:
    body = {"text": ["red circle", "a"], "normalize": normalize}
    whole, found = (post(client, body | more) for more in ({}, {"dimensions": 16}))
    expected = floats(whole.json())[:, :16]
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(floats(found.json()), expected, atol=1e-6)
    assert (found.json()["dim"], found.json()["lossy"]) == (16, True)
    assert found.headers["x-embedding-lossy"] == "dimensions"
    assert "lossy" not in whole.json()


@pytest.mark.parametrize("value", [0, -1, 65, True, 1.5, "8", [8]])
def test_dimensions_the_model_cannot_give(client: TestClient, value: object) -> None:
    found = post(client, {"text": "a", "dimensions": value})
    assert found.status_code == 422
    assert found.json()["error"]["field"] == "dimensions"
    assert "64" in found.json()["error"]["message"]


def test_a_deployment_may_refuse_to_shorten(embedder: Embedder) -> None:
    with limited(embedder, dimensions="refuse") as client:
        error(post(client, {"text": "a", "dimensions": 32}), 422, "dimensions_refused")
        assert post(client, {"text": "a", "dimensions": 64}).status_code == 200


def test_every_encoding(client: TestClient) -> None:
    def send(encoding: str) -> Any:
        body = {"text": ["red circle", "a"], "normalize": True, "encoding_format": encoding}
        return post(client, body).json()["embeddings"]

    vectors = np.array(send("float"), np.float32)

    def decoded(rows: list[str], dtype: str) -> NDArray[Any]:
        return np.array([np.frombuffer(base64.b64decode(row), dtype) for row in rows])

    np.testing.assert_array_equal(decoded(send("base64"), "<f4"), vectors)
    np.testing.assert_array_equal(decoded(send("f16"), "<f2"), vectors.astype(np.float16))
    scaled = np.array(send("int8"))
    assert np.abs(scaled).max(axis=1).tolist() == [127, 127]
    cosine = (scaled * vectors).sum(axis=1) / np.linalg.norm(scaled, axis=1)
    assert cosine.min() > 0.9995
    np.testing.assert_array_equal(np.array(send("uint8")) - 128, scaled)
    bits = np.unpackbits(np.array(send("ubinary"), np.uint8), axis=1)
    np.testing.assert_array_equal(bits, vectors > 0)
    np.testing.assert_array_equal(np.array(send("binary")) + 128, np.packbits(vectors > 0, axis=1))
    error(post(client, {"text": "a", "encoding_format": "int4"}), 422, "wrong_type")


def test_vectors_as_a_npy_file_or_raw_bytes(client: TestClient) -> None:
    body = {"text": ["red circle", "a"], "image": PNG_64}
    expected = floats(post(client, body).json())
    file = post(client, body, headers={"accept": "application/x-npy"})
    assert file.headers["content-type"] == "application/x-npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(file.content)), expected)
    raw = post(client, body, headers={"accept": "application/octet-stream, */*;q=0.1"})
    shape = [int(n) for n in raw.headers["x-embedding-shape"].split(",")]
    np.testing.assert_array_equal(np.frombuffer(raw.content, "<f4").reshape(shape), expected)
    assert raw.headers["x-embedding-space"] == post(client, body).json()["space"]
    for wrong in ({"errors": "item"}, {"encoding_format": "int8"}):
        answer = post(client, body | wrong, headers={"accept": "application/x-npy"})
        assert error(answer, 422, "invalid_request")["field"] == next(iter(wrong))
    refused = post(client, {"text": 5}, headers={"accept": "application/x-npy"})
    error(refused, 422, "wrong_type")  # errors are JSON whatever was asked for


def test_a_form_with_files(client: TestClient, embedder: Embedder) -> None:
    files = [("image", ("a.png", PNG)), ("image", ("b.png", picture(size=(40, 90))))]
    data = {"text": ["red circle", "ä"], "normalize": "true", "dimensions": "32"}
    found = client.post("/embeddings", data=data, files=files).json()
    images = [Image(PNG), Image(picture(size=(40, 90)))]
    options = Options(normalize=True, dimensions=32)
    expected = embed(embedder, ["red circle", "ä"], images, options).vectors
    np.testing.assert_allclose(floats(found), expected, atol=1e-6)
    assert found["dim"] == 32


def test_a_form_with_something_wrong(client: TestClient, embedder: Embedder) -> None:
    def send(found: TestClient = client, **parts: Any) -> Any:
        return found.post("/embeddings", **parts)

    file = ("a.png", PNG)
    error(send(data={"a": "b"}, files={"image": ("a.png", b"")}), 422, "empty_image")
    assert error(send(files={"photo": file}), 422, "invalid_request")["field"] == "photo"
    assert error(send(files={"text": file}), 422, "invalid_request")["field"] == "text"
    error(send(files={"image": ("a.txt", b"hello")}), 415, "unsupported_media_type")
    error(send(files={"image": file}, data={"normalize": "yes"}), 422, "wrong_type")
    header = {"content-type": "multipart/form-data"}
    error(send(content=b"--x", headers=header), 400, "malformed_body")
    header = {"content-type": "multipart/form-data; boundary=x"}
    error(send(content=b"--y\r\n", headers=header), 400, "malformed_body")
    error(send(content=b"--x--\r\n", headers=header), 422, "nothing_to_embed")
    with limited(embedder, max_body_bytes=2048, max_items=2) as small:
        error(send(small, files={"image": ("a.png", PNG * 2)}), 413, "body_too_large")
        error(send(small, files=[("image", ("a", b"1"))] * 3), 413, "too_many_items")


def test_the_json_limits_hold_for_items_too(embedder: Embedder) -> None:
    with limited(embedder, max_items=3) as client:
        assert (
            error(post(client, {"items": [{"text": "a"}] * 4}), 413, "too_many_items")["limit"] == 3
        )
    with limited(embedder, max_response_bytes=3000) as client:
        error(post(client, {"items": [{"text": "a"}] * 4}), 413, "response_too_large")
        error(post(client, {"items": []}), 422, "nothing_to_embed")
        error(post(client, {"items": {}}), 422, "wrong_type")
        error(post(client, {"items": [], "text": "a"}), 422, "invalid_request")
