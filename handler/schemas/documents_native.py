"""This service's own contracts, as OpenAPI paths."""

from handler.schemas.documents import (
    NULL,
    PICTURE,
    Limits,
    Schema,
    array,
    dimensions,
    many,
    matrix,
    maybe,
    operation,
    variants,
)
from handler.schemas.encodings import ENCODINGS

RED_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)


def native_request(limits: Limits) -> Schema:
    """Return the schema of the native body: `text` and `image`, or `items`."""
    options: dict[str, Schema] = {
        "normalize": {"type": ["boolean", "null"], "description": "scale vectors to unit length"},
        "truncate": {
            "enum": ["end", "none", None],
            "description": "end: cut texts longer than the context; none: refuse them",
        },
        "decode": {
            "enum": ["exact", "fast", None],
            "description": "fast: DCT-scaled JPEG decode, a space of its own",
        },
        "orient": {
            "enum": ["reference", "exif", None],
            "description": "exif: apply the EXIF orientation first, a space of its own",
        },
        "dimensions": dimensions(limits),
        "encoding_format": {"enum": [*ENCODINGS, None], "description": "how vectors are written"},
        "errors": {
            "enum": ["fail", "item", None],
            "description": "item: a bad item gets null and an entry in `errors`",
        },
    }
    some, any_number = (
        {
            name: {"anyOf": [schema, many(schema, limits, least)]}
            for name, schema in (("text", limits.text), ("image", PICTURE))
        }
        for least in (1, 0)
    )
    return variants(
        (
            {"text": some["text"]},
            {"image": maybe(any_number["image"]), "items": NULL, **options},
        ),
        (
            {"image": some["image"]},
            {"text": maybe(any_number["text"]), "items": NULL, **options},
        ),
        (
            {"items": many(limits.item, limits, least=1)},
            {"text": NULL, "image": NULL, **options},
        ),
    )


def native_response() -> Schema:
    """Return the schema of the native answer."""
    return {
        "type": "object",
        "required": ["model", "device", "embeddings", "duration", "space", "dim", "normalized"],
        "properties": {
            "model": {"type": "string", "description": "MODEL_ID of the model that answered"},
            "device": {"type": "string", "description": "cpu or cuda"},
            "embeddings": array({"description": "one vector an item, as encoding_format says"}),
            "duration": {"type": "number", "description": "seconds, decoding included"},
            "space": {"type": "string", "description": "other ids must not share an index"},
            "dim": {"type": "integer"},
            "normalized": {"type": "boolean"},
            "truncated": array({"type": "boolean"}),
            "tokens": array({"type": "integer"}),
            "lossy": {"type": "boolean"},
            "errors": array({"type": "object"}),
        },
    }


def native_paths(limits: Limits) -> Schema:
    """Return this service's own paths."""
    embed = operation(
        "Embed texts and pictures", native_request(limits), native_response(), examples=EXAMPLES
    )
    content = embed["requestBody"]["content"]
    file = {"type": "string", "format": "binary"}
    content["image/*"] = {"schema": file}
    content["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "properties": {
                "text": {"anyOf": [limits.text, many(limits.text, limits)]},
                "image": many(file, limits),
            },
            # An empty list of a form is nothing at all.
            "anyOf": [
                {"required": [name], "properties": {name: {"minItems": 1}}}
                for name in ("text", "image")
            ],
        },
    }
    for kind in ("application/x-npy", "application/octet-stream"):
        embed["responses"]["200"]["content"][kind] = {"schema": file}
    ranking = {
        "type": "object",
        "required": ["probabilities", "cosine_similarities"],
        "properties": {"probabilities": matrix(), "cosine_similarities": matrix()},
    }
    # The limit is on the prompt that a label makes of it.
    template = {
        **limits.text,
        "maxLength": limits.text["maxLength"] + 2,
        "pattern": r"^[^{}]*\{\}[^{}]*$",
    }
    question = {
        "type": "object",
        "required": ["image", "labels"],
        "properties": {
            "image": {"anyOf": [PICTURE, many(PICTURE, limits, least=1)]},
            "labels": {"anyOf": [limits.text, many(limits.text, limits, least=1)]},
            "templates": {
                "description": "prompts with {} where the label goes",
                "anyOf": [template, many(template, limits), NULL],
            },
        },
    }
    items = many(limits.item, limits, least=1)
    sides = {
        "type": "object",
        "required": ["queries", "candidates"],
        "properties": {"queries": items, "candidates": items},
    }
    told = {"type": "object"}
    return {
        "/embeddings": {"post": embed},
        "/rank": {"post": operation("Rank candidates by similarity to queries", sides, ranking)},
        "/classify": {"post": operation("Zero-shot labels for pictures", question, ranking)},
        "/": {"get": operation("What this service is", None, told, statuses=(500,))},
        "/health": {"get": operation("200 only when ready", None, told, statuses=(500, 503))},
    }


EXAMPLES: Schema = {
    "text": {"summary": "One text", "value": {"text": "red sofa"}},
    "image": {"summary": "One picture (a red pixel)", "value": {"image": RED_PIXEL}},
    "both": {
        "summary": "Several of each, unit length",
        "value": {"text": ["red sofa", "blue chair"], "image": [RED_PIXEL], "normalize": True},
    },
    "items": {
        "summary": "Any order",
        "value": {"items": [{"image": RED_PIXEL}, {"text": "red sofa"}]},
    },
}
