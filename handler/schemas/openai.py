"""OpenAI's contract: `POST /v1/embeddings`, `GET /v1/models`, and what others added to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from handler.bundle import Manifest
from handler.embedder import Embeddings
from handler.errors import InvalidRequest, NotFound, ServiceError
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.encodings import encode_vectors
from handler.schemas.fields import (
    an_object,
    boolean,
    choice,
    dimensions,
    predict_response,
    string,
    unit_options,
    wrong,
)
from handler.schemas.openai_inputs import read_input, read_messages
from handler.vectors import joined

ENVELOPE = 5
"""Floats as long as `{"object":"embedding","index":255,"embedding":},`."""

EMBEDDING_TYPES = ("float", "base64", "binary", "ubinary")


@dataclass(frozen=True)
class Form:
    """How vectors are written; `sizes`: how many items each of them is the mean of."""

    encoding: str
    sizes: list[int]


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read `input` or `messages`; `user` and other names for the model are ignored."""
    fields, settings = an_object(payload), served.settings
    string(fields, "model")
    chat = fields.get("messages") is not None
    if chat and fields.get("input") is not None:
        raise InvalidRequest("give either `input` or `messages`, not both", field="messages")
    if not chat and fields.get("input") is None:
        raise InvalidRequest("`input` is missing", field="input", code="nothing_to_embed")
    encoding = _encoding(fields)
    for name in ("late_chunking", "return_multivector"):
        if boolean(fields, name, False):
            raise InvalidRequest(f"{name} is not something this model can do", field=name)
    options = unit_options(
        served,
        dimensions(fields, "dimensions", served),
        _truncate(fields),
        boolean(fields, "normalized", True),
    )
    items = read_messages(fields, settings) if chat else read_input(fields, settings)
    sizes = [len(items)] if chat else [1] * len(items)
    if max(sizes) > 1 and not options.normalize:
        raise InvalidRequest(
            "normalized may be false for single texts and pictures only; several become the mean "
            "of their unit vectors",
            field="normalized",
        )
    predict_response(len(sizes), served.manifest.dim + ENVELOPE, "input", settings)
    return Wanted(items, options, Form(encoding, sizes))


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return OpenAI's list of embeddings; `model` is this service's own MODEL_ID."""
    form: Form = wanted.answer
    values = cast(
        Iterable[object], encode_vectors(joined(found.vectors, form.sizes), form.encoding)
    )
    tokens = sum(found.tokens)
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": value}
            for index, value in enumerate(values)
        ],
        "model": served.manifest.model_id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def refuse(error: ServiceError) -> tuple[int, dict[str, Any]]:
    """Return {"error": {"message", "type", "param", "code"}}; a 422 is a 400 as OpenAI has it."""
    status = 400 if error.status == 422 else error.status
    match status:
        case 401:
            kind = "authentication_error"
        case 429:
            kind = "rate_limit_error"
        case _:
            kind = "invalid_request_error" if status < 500 else "server_error"
    return status, {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.field,
            "code": error.code,
        }
    }


def models(manifest: Manifest) -> dict[str, Any]:
    """Return the list of the one model."""
    return {"object": "list", "data": [_model(manifest)]}


def model(manifest: Manifest, name: str) -> dict[str, Any]:
    """Return the model.

    Raises:
        NotFound: it has another name.
    """
    if name != manifest.model_id:
        raise NotFound(
            f"there is no model {name[:80]!r}; the one here is {manifest.model_id!r}",
            field="model",
            code="model_not_found",
        )
    return _model(manifest)


def _model(manifest: Manifest) -> dict[str, Any]:
    # `created` has to be a number, and a bundle's manifest holds no date on purpose.
    return {
        "id": manifest.model_id,
        "object": "model",
        "created": 0,
        "owned_by": "openclip-serverless",
    }


def _encoding(fields: dict[str, Any]) -> str:
    """Read `encoding_format`, or Jina's `embedding_type`, which goes before it if given.

    OpenAI's SDKs send encoding_format by themselves, so that both is no contradiction.
    """
    encoding = choice(fields, "encoding_format", ("float", "base64"), "float")
    kinds = fields.get("embedding_type")
    if isinstance(kinds, list):
        if len(kinds) != 1 or kinds[0] is None:
            raise wrong("embedding_type", kinds, "one type; several in one answer are not given")
        fields = {"embedding_type": kinds[0]}
    return choice(fields, "embedding_type", EMBEDDING_TYPES, encoding)


def _truncate(fields: dict[str, Any]) -> Literal["end", "none"]:
    """Read Jina's true and false, or NVIDIA's "END" and "NONE"; absent: texts are cut."""
    value = fields.get("truncate")
    if isinstance(value, bool):
        return "end" if value else "none"
    if value is not None and value not in ("END", "NONE"):
        raise wrong("truncate", value, "true, false, 'END' or 'NONE'; a start is never cut off")
    return "none" if value == "NONE" else "end"
