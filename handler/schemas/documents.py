"""The whole API as one OpenAPI 3.1 document, made when /openapi.json is first asked for."""

from typing import Any

from handler.schemas.encodings import ENCODINGS
from handler.settings import Settings

RED_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
Schema = dict[str, Any]


def openapi(title: str, version: str, summary: str, settings: Settings) -> Schema:
    """Return the document; limits in it are this deployment's."""
    from handler.schemas.documents_foreign import foreign_paths

    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "summary": summary},
        "paths": {**_native_paths(settings), **foreign_paths(settings)},
        "components": {"schemas": {"Error": ERROR}},
    }
    if settings.api_key.get_secret_value():
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}, {}]
    return document


ERROR: Schema = {
    "type": "object",
    "description": "The one shape of every error.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "field", "limit"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"]},
                "limit": {"type": ["integer", "null"]},
            },
        }
    },
}
PICTURE = "base64 of a picture file's bytes, a data URI, or an allowed https or s3 URL"


def one_or_many(description: str, **rules: Any) -> Schema:
    """Return the schema of a string, a list of strings, or null."""
    return {
        "description": description,
        "anyOf": [
            {"type": "string", **rules},
            {"type": "array", "items": {"type": "string", **rules}},
            {"type": "null"},
        ],
    }


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def maybe(schema: Schema) -> Schema:
    """Return a schema that admits null beside what it admits."""
    return {"anyOf": [schema, {"type": "null"}]}


def matrix() -> Schema:
    """Return the schema of a list of lists of numbers."""
    return array(array({"type": "number"}))


def operation(
    summary: str,
    request: Schema | None,
    response: Schema,
    error: Schema | None = None,
    examples: Schema | None = None,
    statuses: tuple[int, ...] = (400, 401, 404, 413, 415, 422, 429, 500, 503, 504),
) -> Schema:
    """Return an OpenAPI operation with a JSON body and the service's error answers."""
    refused = json_content(error or {"$ref": "#/components/schemas/Error"})
    found: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "Done", "content": json_content(response)},
            **{str(status): {"description": "Refused", "content": refused} for status in statuses},
        },
    }
    if request is not None:
        found["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": request,
                    **({"examples": examples} if examples else {}),
                }
            },
        }
    return found


def json_content(schema: Schema) -> Schema:
    """Return the content map of a JSON body."""
    return {"application/json": {"schema": schema}}


def _native_paths(settings: Settings) -> Schema:
    text = {"type": "string", "maxLength": settings.max_text_chars}
    item: Schema = {
        "oneOf": [
            {"type": "object", "required": [name], "properties": {name: schema}}
            for name, schema in (
                ("text", text),
                ("image", {"type": "string", "description": PICTURE}),
            )
        ]
    }
    items = {"type": "array", "minItems": 1, "maxItems": settings.max_items, "items": item}
    options: Schema = {
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
        "dimensions": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "keep the first components only: lossy for CLIP",
        },
        "encoding_format": {"enum": [*ENCODINGS, None], "description": "how vectors are written"},
        "errors": {
            "enum": ["fail", "item", None],
            "description": "item: a bad item gets null and an entry in `errors`",
        },
    }
    request = {
        "type": "object",
        "properties": {
            "text": one_or_many("one text or several", maxLength=settings.max_text_chars),
            "image": one_or_many(PICTURE),
            "items": maybe(items | {"description": "instead: texts and pictures in any order"}),
            **options,
        },
    }
    response = {
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
    embed = operation("Embed texts and pictures", request, response, examples=EXAMPLES)
    content = embed["requestBody"]["content"]
    content["image/*"] = {"schema": {"type": "string", "format": "binary"}}
    content["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "properties": {
                "text": array(text),
                "image": array({"type": "string", "format": "binary"}),
            },
        }
    }
    for kind in ("application/x-npy", "application/octet-stream"):
        embed["responses"]["200"]["content"][kind] = {
            "schema": {"type": "string", "format": "binary"}
        }
    ranking = {
        "type": "object",
        "required": ["probabilities", "cosine_similarities"],
        "properties": {"probabilities": matrix(), "cosine_similarities": matrix()},
    }
    question = {
        "type": "object",
        "required": ["image", "labels"],
        "properties": {
            "image": one_or_many(PICTURE),
            "labels": one_or_many("what a picture may be"),
            "templates": one_or_many("prompts with {} where the label goes"),
        },
    }
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
