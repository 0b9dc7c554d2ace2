"""The whole API as one OpenAPI 3.1 document, made when /openapi.json is first asked for.

tests/test_schemathesis.py sends what it allows and what it forbids.
"""

from dataclasses import dataclass
from typing import Any, Final

from handler.bundle import Manifest
from handler.settings import Settings

Schema = dict[str, Any]
NULL: Final[Schema] = {"type": "null"}
PICTURE: Final[Schema] = {
    "type": "string",
    "format": "picture",
    "minLength": 1,
    "description": "base64 of a picture file's bytes, a data URI, or an allowed https or s3 URL",
}


@dataclass(frozen=True)
class Limits:
    """What this deployment and its model allow; without a model yet, what any model may."""

    items: int
    text: Schema
    context: int
    dim: int | None
    may_shorten: bool

    @property
    def item(self) -> Schema:
        """The schema of one {"text": …} or {"image": …}."""
        either = [
            {"type": "object", "required": [name], "properties": {name: schema, other: False}}
            for name, schema, other in (("text", self.text, "image"), ("image", PICTURE, "text"))
        ]
        return {"oneOf": either}


def openapi(
    title: str, version: str, summary: str, settings: Settings, manifest: Manifest | None = None
) -> Schema:
    """Return the document; limits in it are this deployment's, and the model's if there is one."""
    from handler.schemas.documents_foreign import foreign_paths
    from handler.schemas.documents_native import native_paths

    limits = Limits(
        settings.max_items,
        {"type": "string", "maxLength": settings.max_text_chars},
        manifest.tokenizer.context_length if manifest else 1,
        manifest.dim if manifest else None,
        settings.dimensions == "allow",
    )
    document: Schema = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "summary": summary},
        "paths": {**native_paths(limits), **foreign_paths(limits)},
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


def many(items: Schema, limits: Limits, least: int = 0) -> Schema:
    """Return the schema of a list within the limit on items."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": limits.items}


def dimensions(limits: Limits) -> Schema:
    """Return the schema of a number of components, null for all."""
    if limits.dim and not limits.may_shorten:
        return {"enum": [limits.dim, None]}
    most = {"maximum": limits.dim} if limits.dim else {}
    return {
        "type": ["integer", "null"],
        "minimum": 1,
        **most,
        "description": "keep the first components only: lossy for CLIP",
    }


def variants(*shapes: tuple[dict[str, Schema], dict[str, Schema]]) -> Schema:
    """Return the schema of an object of one of the shapes (required fields, optional fields)."""
    return {
        "anyOf": [
            {"type": "object", "required": list(needed), "properties": {**needed, **optional}}
            for needed, optional in shapes
        ]
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


def an_object(required: dict[str, Schema], **optional: Schema) -> Schema:
    """Return an object's schema."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }
