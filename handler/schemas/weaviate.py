"""The contract of Weaviate's multi2vec-clip container: `POST /vectorize`, `GET /meta`.

Its OpenCLIP variant divides vectors by their length (clip.py), so these have unit length too.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from handler.bundle import Manifest
from handler.embedder import Embeddings
from handler.errors import ServiceError
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.fields import (
    an_object,
    check_count,
    each,
    picture,
    predict_response,
    strings,
    text,
    unit_options,
)


@dataclass(frozen=True)
class Split:
    """How many of the items are texts; the others are pictures."""

    texts: int


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read `texts` and `images`, lists or null; neither need hold anything."""
    fields, settings = an_object(payload), served.settings
    texts = strings(fields, "texts", single=False)
    images = strings(fields, "images", single=False)
    longer = "texts" if len(texts) >= len(images) else "images"
    count = len(texts) + len(images)
    check_count(count, longer, settings.max_items)
    predict_response(count, served.manifest.dim, longer, settings)
    items = [*each(texts, text, settings), *each(images, picture, settings)]
    return Wanted(items, unit_options(served), Split(len(texts)))


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return both lists, whichever of them is empty."""
    split: Split = wanted.answer
    body = {
        "textVectors": found.vectors[: split.texts],
        "imageVectors": found.vectors[split.texts :],
    }
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def refuse(error: ServiceError) -> tuple[int, dict[str, Any]]:
    """Return {"error"}; the Go module shows it with the status, whatever that is above 399."""
    return error.status, {"error": error.message}


def meta(manifest: Manifest) -> dict[str, Any]:
    """Return what the container tells of an OpenCLIP model, and our names for it."""
    return {
        "model_name": manifest.model_name,
        "pretrained": manifest.pretrained,
        "model_id": manifest.model_id,
        "dim": manifest.dim,
    }
