"""The body of Amazon Titan Multimodal Embeddings G1, on `/invocations` and `/embeddings`."""

from typing import Any

import orjson

from handler.embedder import Embeddings
from handler.errors import InvalidRequest, ServiceError
from handler.items import Asked
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.fields import (
    an_object,
    dimensions,
    picture,
    predict_response,
    string,
    text,
    unit_options,
    wrong,
)


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read `inputText`, `inputImage` or both."""
    fields, settings = an_object(payload), served.settings
    items: list[Asked] = []
    if (value := string(fields, "inputText")) is not None:
        items.append(text(value, "inputText", settings))
    if (value := string(fields, "inputImage")) is not None:
        items.append(picture(value, "inputImage", settings))
    if not items:
        raise InvalidRequest(
            "give inputText, inputImage or both", field="inputText", code="nothing_to_embed"
        )
    for name in ("dimensions", "normalize"):
        if fields.get(name) is not None:
            raise InvalidRequest(
                f"{name} is of Titan's text models; here vectors have unit length and "
                "embeddingConfig.outputEmbeddingLength components",
                field=name,
            )
    if fields.get("embeddingTypes") not in (None, ["float"]):
        raise wrong("embeddingTypes", fields["embeddingTypes"], '["float"]')
    predict_response(1, served.manifest.dim, "inputText", settings)
    return Wanted(items, unit_options(served, _length(fields, served)))


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return one vector; of text and picture together the average, which is below unit length."""
    body = {
        "embedding": found.vectors.mean(axis=0),
        "inputTextTokenCount": sum(found.tokens),
        "message": None,
    }
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def refuse(error: ServiceError) -> tuple[int, dict[str, Any]]:
    """Return {"message"}; whatever is wrong with a body is Bedrock's ValidationException, a 400."""
    status = 400 if error.status in (413, 415, 422) else error.status
    return status, {"message": error.message}


def _length(fields: dict[str, Any], served: Served) -> int | None:
    config = fields.get("embeddingConfig")
    if config is None:
        return None
    if not isinstance(config, dict):
        raise wrong("embeddingConfig", config, "an object")
    name = "embeddingConfig.outputEmbeddingLength"
    return dimensions({name: config.get("outputEmbeddingLength")}, name, served)
