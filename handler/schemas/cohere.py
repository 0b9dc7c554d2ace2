"""Cohere's contract: `POST /v2/embed` with texts, images or inputs of several parts."""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from handler.embedder import Embeddings
from handler.errors import InvalidRequest, ServiceError
from handler.items import Asked, Text
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.encodings import encode_vectors
from handler.schemas.fields import (
    an_object,
    check_count,
    choice,
    dimensions,
    each,
    picture,
    predict_response,
    string,
    strings,
    text,
    unit_options,
    whole_number,
    wrong,
)
from handler.schemas.parts import one_part, parts
from handler.settings import Settings
from handler.vectors import joined

INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
EMBEDDING_TYPES = ("float", "int8", "uint8", "binary", "ubinary", "base64")


@dataclass(frozen=True)
class Form:
    """Types of the vectors; how many items each is the mean of; the texts that are echoed."""

    types: list[str]
    sizes: list[int]
    texts: list[str]


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read one of `texts`, `images` and `inputs`.

    `input_type` is checked and then ignored: CLIP embeds queries and documents alike.
    """
    fields, settings = an_object(payload), served.settings
    string(fields, "model")
    choice(fields, "input_type", INPUT_TYPES, None)
    _context(fields, served)
    types = _types(fields)
    keep = dimensions(fields, "output_dimension", served)
    options = unit_options(served, keep, _truncate(fields))
    given = [name for name in ("texts", "images", "inputs") if fields.get(name) not in (None, [])]
    if len(given) != 1:
        raise InvalidRequest(
            "give one of `texts`, `images` and `inputs`, as a non-empty list",
            field=given[1] if given else "texts",
            code="wrong_combination" if given else "nothing_to_embed",
        )
    texts: list[str] = []
    if given[0] == "inputs":
        items, sizes = _inputs(fields["inputs"], settings)
    else:
        named = strings(fields, given[0], single=False)
        check_count(len(named), given[0], settings.max_items)
        if given[0] == "texts":
            texts = [value for _, value in named]
        items = each(named, text if texts else picture, settings)
        sizes = [1] * len(items)
    predict_response(
        len(sizes), served.manifest.dim * len(types), given[0], settings, len(orjson.dumps(texts))
    )
    return Wanted(items, options, Form(types, sizes, texts))


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return the vectors by type; int8 and uint8 are scaled vector by vector."""
    form: Form = wanted.answer
    vectors = joined(found.vectors, form.sizes)
    images = sum(not isinstance(item, Text) for item in wanted.items)
    billed: dict[str, int] = {"input_tokens": sum(found.tokens)}
    if images:
        billed["images"] = images
    body = {
        "id": str(uuid.uuid4()),
        "response_type": "embeddings_by_type",
        "embeddings": {kind: encode_vectors(vectors, kind) for kind in form.types},
        "texts": form.texts,
        "meta": {"api_version": {"version": "2"}, "billed_units": billed},
    }
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def refuse(error: ServiceError) -> tuple[int, dict[str, Any]]:
    """Return {"id", "message"}; what is wrong with a body is a 400, as at Cohere."""
    status = 400 if error.status == 422 else error.status
    return status, {"id": str(uuid.uuid4()), "message": error.message}


def _inputs(value: object, settings: Settings) -> tuple[list[Asked], list[int]]:
    if not isinstance(value, list):
        raise wrong("inputs", value, 'a list of {"content": […]}')
    named: list[tuple[str, Any]] = []
    sizes: list[int] = []
    for index, item in enumerate(value):
        name = f"inputs[{index}]"
        if not isinstance(item, dict):
            raise wrong(name, item, 'an object with "content"')
        found = parts(item.get("content"), f"{name}.content")
        named += found
        sizes.append(len(found))
    check_count(len(named), "inputs", settings.max_items)
    return each(named, one_part, settings), sizes


def _types(fields: dict[str, Any]) -> list[str]:
    named = strings(fields, "embedding_types", single=False)
    for name, value in named:
        if value not in EMBEDDING_TYPES:
            raise wrong(name, value, " or ".join(map(repr, EMBEDDING_TYPES)))
    return list(dict.fromkeys(value for _, value in named)) or ["float"]


def _truncate(fields: dict[str, Any]) -> Literal["end", "none"]:
    value = choice(fields, "truncate", ("NONE", "START", "END"), "END")
    if value == "START":
        raise InvalidRequest(
            "truncate 'START' is not done here: the model's own tokenizer keeps the start; "
            "send 'END' or 'NONE'",
            field="truncate",
        )
    return "none" if value == "NONE" else "end"


def _context(fields: dict[str, Any], served: Served) -> None:
    """Check `max_tokens`: the context's length cannot be changed."""
    length = served.manifest.tokenizer.context_length
    value = whole_number(fields, "max_tokens", f"of at least {length}")
    if value is not None and value < length:
        raise InvalidRequest(
            f"max_tokens must be at least {length}: this model always reads {length} tokens",
            field="max_tokens",
            limit=length,
        )
