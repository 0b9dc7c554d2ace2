"""The contracts other systems' clients speak, as OpenAPI paths."""

from typing import Any, Final

from handler.schemas.documents import (
    NULL,
    PICTURE,
    Limits,
    Schema,
    an_object,
    array,
    many,
    matrix,
    maybe,
    operation,
)
from handler.schemas.documents_native import native_request, native_response
from handler.schemas.documents_requests import (
    cohere_request,
    openai_request,
    tei_request,
    titan_request,
)

_INTEGER: Final[Schema] = {"type": "integer", "minimum": 0}
_STRING: Final[Schema] = {"type": "string"}


OPENAI_ERROR: Final = an_object(
    {
        "error": an_object(
            {
                "message": _STRING,
                "type": {
                    "enum": [
                        "invalid_request_error",
                        "authentication_error",
                        "rate_limit_error",
                        "server_error",
                    ]
                },
                "param": {"type": ["string", "null"]},
                "code": _STRING,
            }
        )
    }
)
COHERE_ERROR: Final = an_object({"id": _STRING, "message": _STRING})
TEI_ERROR: Final = an_object(
    {
        "error": _STRING,
        "error_type": {"enum": ["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]},
    }
)
WEAVIATE_ERROR: Final = an_object({"error": _STRING})
TITAN_ERROR: Final = an_object({"message": _STRING})

_BAD: Final = (400, 401, 404, 413, 415, 429, 500, 503, 504)


def foreign_paths(limits: Limits) -> Schema:
    """Return the paths of OpenAI's, Cohere's, Text Embeddings Inference's, Weaviate's contracts."""
    embed = operation(
        "Embed as OpenAI", openai_request(limits), OPENAI_RESPONSE, OPENAI_ERROR, statuses=_BAD
    )
    name = {"name": "name", "in": "path", "required": True, "schema": {**_STRING, "minLength": 1}}
    one_model = _told("The model", _OPENAI_MODEL, OPENAI_ERROR, 401, 404)
    invocations = operation(
        "Any of the bodies above without a path of its own (SageMaker); Titan's only here and on "
        "/embeddings",
        {
            "anyOf": [
                *native_request(limits)["anyOf"],
                *openai_request(limits)["anyOf"],
                *titan_request(limits)["anyOf"],
            ]
        },
        {"anyOf": [native_response(), OPENAI_RESPONSE, TITAN_RESPONSE]},
        {"anyOf": [{"$ref": "#/components/schemas/Error"}, OPENAI_ERROR, TITAN_ERROR]},
    )
    v2 = operation(
        "Embed as Cohere", cohere_request(limits), COHERE_RESPONSE, COHERE_ERROR, statuses=_BAD
    )
    tei = operation(
        "Embed as Text Embeddings Inference",
        tei_request(limits),
        matrix(),
        TEI_ERROR,
        statuses=(400, 401, 404, 413, 415, 422, 424, 429, 503, 504),
    )
    vectorize = operation(
        "Embed as Weaviate's multi2vec-clip",
        an_object(
            {},
            texts=maybe(many(limits.text, limits)),
            images=maybe(many(PICTURE, limits)),
        ),
        an_object({"textVectors": matrix(), "imageVectors": matrix()}),
        WEAVIATE_ERROR,
    )
    return {
        "/v1/embeddings": {"post": embed},
        "/v1/models": {"get": _told("The one model", _MODEL_LIST, OPENAI_ERROR, 401)},
        "/v1/models/{name}": {"parameters": [name], "get": one_model},
        "/v2/embed": {"post": v2},
        "/embed": {"post": tei},
        "/info": {"get": _told("What Text Embeddings Inference tells", _INFO, TEI_ERROR, 401)},
        "/vectorize": {"post": vectorize},
        "/meta": {"get": _told("Weaviate asks it", {"type": "object"}, WEAVIATE_ERROR, 401)},
        "/.well-known/live": {"get": _empty("Weaviate: the process runs", 204, WEAVIATE_ERROR)},
        "/.well-known/ready": {"get": _empty("Weaviate: ready", 204, WEAVIATE_ERROR)},
        "/ping": {"get": _empty("SageMaker: ready", 200, {"$ref": "#/components/schemas/Error"})},
        "/invocations": {"post": invocations},
    }


def _told(summary: str, response: Schema, error: Schema, *statuses: int) -> Schema:
    return operation(summary, None, response, error, statuses=(*statuses, 500, 503))


def _empty(summary: str, status: int, error: Schema) -> Schema:
    found: dict[str, Any] = operation(summary, None, {}, error, statuses=(500, 503))
    del found["responses"]["200"]
    found["responses"][str(status)] = {"description": "Yes"}
    return found


_OPENAI_MODEL: Final = an_object(
    {"id": _STRING, "object": {"const": "model"}, "created": _INTEGER, "owned_by": _STRING}
)
_MODEL_LIST: Final = an_object({"object": {"const": "list"}, "data": array(_OPENAI_MODEL)})
_VECTOR: Final = {"anyOf": [array({"type": "number"}), _STRING]}
OPENAI_RESPONSE: Final = an_object(
    {
        "object": {"const": "list"},
        "data": array(
            an_object({"object": {"const": "embedding"}, "index": _INTEGER, "embedding": _VECTOR})
        ),
        "model": _STRING,
        "usage": an_object({"prompt_tokens": _INTEGER, "total_tokens": _INTEGER}),
    }
)
COHERE_RESPONSE: Final = an_object(
    {
        "id": _STRING,
        "response_type": {"const": "embeddings_by_type"},
        "embeddings": {"type": "object", "additionalProperties": array(_VECTOR)},
        "texts": array(_STRING),
        "meta": {"type": "object"},
    }
)
TITAN_RESPONSE: Final = an_object(
    {
        "embedding": array({"type": "number"}),
        "inputTextTokenCount": _INTEGER,
        "message": NULL,
    }
)
_INFO: Final = an_object(
    {
        "model_id": _STRING,
        "model_dtype": _STRING,
        "model_type": {"type": "object"},
        "max_input_length": _INTEGER,
        "max_client_batch_size": _INTEGER,
        "auto_truncate": {"type": "boolean"},
        "version": _STRING,
    }
)
