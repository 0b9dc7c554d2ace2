"""What other systems' clients send, as JSON schemas."""

from typing import Final

from handler.schemas import cohere, openai
from handler.schemas.documents import (
    NULL,
    PICTURE,
    Limits,
    Schema,
    an_object,
    array,
    dimensions,
    many,
    maybe,
    variants,
)

_FLAG: Final[Schema] = {"type": ["boolean", "null"]}


def openai_request(limits: Limits) -> Schema:
    """Return the schema of OpenAI's body with `input` or `messages`."""
    content = {"anyOf": [limits.text, _parts(limits)]}
    message = an_object({"role": {"const": "user"}, "content": content})
    mixed = many({"anyOf": [limits.text, limits.item]}, limits, least=1)
    pictures = {"anyOf": [PICTURE, many(PICTURE, limits, least=1)]}
    options: dict[str, Schema] = {
        "model": {"type": ["string", "null"], "description": "ignored; the answer has MODEL_ID"},
        "encoding_format": {"enum": ["float", "base64", None]},
        "embedding_type": {
            "description": "Jina's; goes before encoding_format",
            "anyOf": [
                {"enum": [*openai.EMBEDDING_TYPES, None]},
                {**array({"enum": list(openai.EMBEDDING_TYPES)}), "minItems": 1, "maxItems": 1},
            ],
        },
        "dimensions": dimensions(limits),
        "truncate": {"enum": [True, False, "END", "NONE", None]},
        "late_chunking": {"enum": [False, None]},
        "return_multivector": {"enum": [False, None]},
    }
    whole = {**options, "normalized": _FLAG}
    unit = {**options, "normalized": {"enum": [True, None]}}
    return variants(
        (
            {"input": {"anyOf": [limits.text, mixed]}},
            {**whole, "modality": {"enum": ["text", None]}, "messages": NULL},
        ),
        ({"input": pictures, "modality": {"const": "image"}}, {**whole, "messages": NULL}),
        (
            {"messages": {**array(message), "minItems": 1, "maxItems": limits.items}},
            {**unit, "input": NULL},
        ),
    )


def cohere_request(limits: Limits) -> Schema:
    """Return the schema of Cohere's body: one of three lists."""
    empty = {"anyOf": [{"type": "array", "maxItems": 0}, NULL]}
    options: dict[str, Schema] = {
        "model": {"type": ["string", "null"], "description": "ignored"},
        "input_type": {
            "enum": [*cohere.INPUT_TYPES, None],
            "description": "ignored: CLIP embeds queries and documents alike",
        },
        "embedding_types": maybe(array({"enum": list(cohere.EMBEDDING_TYPES)})),
        "output_dimension": dimensions(limits),
        "truncate": {"enum": ["NONE", "END", None]},
        "max_tokens": {"type": ["integer", "null"], "minimum": limits.context},
    }
    lists: dict[str, Schema] = {
        "texts": limits.text,
        "images": PICTURE,
        "inputs": an_object({"content": _parts(limits)}),
    }
    return variants(
        *(
            (
                {name: many(item, limits, least=1)},
                {**options, **{other: empty for other in lists if other != name}},
            )
            for name, item in lists.items()
        )
    )


def tei_request(limits: Limits) -> Schema:
    """Return the schema of Text Embeddings Inference's body."""
    return an_object(
        {"inputs": {"anyOf": [limits.text, many(limits.text, limits, least=1)]}},
        truncate=_FLAG | {"description": "false: texts over the context are refused"},
        normalize=_FLAG,
        dimensions=dimensions(limits),
        prompt_name=NULL,
        truncation_direction={"enum": ["right", "Right", None]},
    )


def titan_request(limits: Limits) -> Schema:
    """Return the schema of Titan's body."""
    config = an_object({}, outputEmbeddingLength=dimensions(limits))
    options = {
        "embeddingConfig": maybe(config),
        "embeddingTypes": {"enum": [["float"], None]},
        "dimensions": NULL,
        "normalize": NULL,
    }
    return variants(
        ({"inputText": limits.text}, {**options, "inputImage": maybe(PICTURE)}),
        ({"inputImage": PICTURE}, {**options, "inputText": maybe(limits.text)}),
    )


def _parts(limits: Limits) -> Schema:
    text = an_object({"type": {"const": "text"}, "text": limits.text})
    picture = an_object({"type": {"const": "image_url"}, "image_url": an_object({"url": PICTURE})})
    return many({"oneOf": [text, picture]}, limits, least=1)
