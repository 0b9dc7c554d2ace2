"""The native contract: `POST /embeddings {"text", "image"}`, the predecessor's, with additions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import orjson

from handler.embedder import Embeddings
from handler.errors import InvalidRequest
from handler.images import image_too_large
from handler.items import Asked, Image, Options
from handler.schemas import encodings
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.fields import (
    an_object,
    boolean,
    check_count,
    choice,
    dimensions,
    each,
    picture,
    predict_response,
    refuse,
    strings,
    text,
    wrong,
)
from handler.settings import Settings

__all__ = ["decode", "encode", "refuse"]

NUMPY_TYPES = ("application/x-npy", "application/npy")
RAW_TYPE = "application/octet-stream"
_OPTIONS = ("normalize", "truncate", "decode", "orient", "dimensions", "encoding_format", "errors")


@dataclass(frozen=True)
class Form:
    """How the vectors are written."""

    encoding: str = "float"
    media: Literal["json", "npy", "raw"] = "json"


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read JSON, a form, or a body that is one picture file (options then are in the query)."""
    settings = served.settings
    if arrived.kind.startswith("image/"):
        fields = _from_query(arrived.query)
        options, form = _options(fields, arrived, served)
        if not arrived.body:
            raise InvalidRequest("the body is empty", field="body", code="empty_image")
        items: list[Asked] = [_file(arrived.body, "body", settings)]
    elif arrived.form is not None:
        fields = _from_query({k: v for k, v in arrived.form if isinstance(v, str)})
        options, form = _options(fields, arrived, served)
        items = _form_items(arrived.form, served, options)
    else:
        fields = an_object(payload)
        options, form = _options(fields, arrived, served)
        items = _items(fields, served, options)
    if form.media == "json":
        predict_response(len(items), served.manifest.dim, "text", settings)
    return Wanted(items, options, form)


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return the response; floats in the shortest form that reads back as the same float32."""
    form: Form = wanted.answer
    dim = found.vectors.shape[1]
    if form.media != "json":
        numpy = form.media == "npy"
        return Answer(
            encodings.npy(found.vectors) if numpy else encodings.raw(found.vectors),
            NUMPY_TYPES[0] if numpy else RAW_TYPE,
            {
                "x-embedding-shape": f"{len(found.vectors)},{dim}",
                "x-embedding-dtype": "float32",
                "x-embedding-space": found.space,
            },
        )
    body = {
        "model": served.manifest.model_id,
        "device": served.device,
        "embeddings": _values(found, form.encoding),
        "duration": round(seconds, 6),
        "space": found.space,
        "dim": dim,
        "normalized": wanted.options.normalize,
        "truncated": found.truncated,
        "tokens": found.tokens,
    }
    if wanted.options.dimensions is not None:
        body["lossy"] = True  # no open_clip checkpoint is trained to be shortened
    if wanted.options.errors == "item":
        body["errors"] = [
            {"index": index, **cast(dict[str, Any], error.body()["error"])}
            for index, error in sorted(found.errors.items())
        ]
    return Answer(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))


def _values(found: Embeddings, encoding: str) -> object:
    values = encodings.encode_vectors(found.vectors, encoding)
    if not found.errors:
        return values
    rows = list(cast(Any, values))
    for index in found.errors:
        rows[index] = None
    return rows


def _items(fields: dict[str, Any], served: Served, options: Options) -> list[Asked]:
    settings = served.settings
    if fields.get("items") is not None:
        return _mixed(fields, served, options)
    texts, images = strings(fields, "text"), strings(fields, "image")
    if not texts and not images:
        raise _nothing()
    longer = "text" if len(texts) >= len(images) else "image"
    check_count(len(texts) + len(images), longer, settings.max_items)
    return [
        *each(texts, text, settings, options.errors),
        *each(images, picture, settings, options.errors),
    ]


def _mixed(fields: dict[str, Any], served: Served, options: Options) -> list[Asked]:
    """Read `items`, a list of {"text": …} and {"image": …} in any order."""
    value = fields["items"]
    for other in ("text", "image"):
        if fields.get(other) is not None:
            raise InvalidRequest(
                f"give either `items` or `text` and `image`, not `items` and `{other}`",
                field=other,
            )
    if not isinstance(value, list):
        raise wrong("items", value, 'a list of {"text": …} and {"image": …}')
    if not value:
        raise _nothing("items")
    check_count(len(value), "items", served.settings.max_items)
    named = [(f"items[{index}]", item) for index, item in enumerate(value)]
    return each(named, one_item, served.settings, options.errors)


def one_item(value: object, name: str, settings: Settings) -> Asked:
    """Read one {"text": …} or {"image": …}.

    Raises:
        InvalidRequest: neither, or both.
    """
    if not isinstance(value, dict) or ("text" in value) == ("image" in value):
        raise wrong(name, value, 'an object with either "text" or "image"')
    kind = "text" if "text" in value else "image"
    found = value[kind]
    if not isinstance(found, str):
        raise wrong(f"{name}.{kind}", found, "a string")
    return (text if kind == "text" else picture)(found, f"{name}.{kind}", settings)


def _form_items(
    form: list[tuple[str, str | bytes]], served: Served, options: Options
) -> list[Asked]:
    """Read the parts named text, image, text[] or image[]; texts first, as in JSON."""
    parts: dict[str, list[str | bytes]] = {"text": [], "image": []}
    for name, value in form:
        if (kind := name.removesuffix("[]")) in parts:
            parts[kind].append(value)
        elif isinstance(value, bytes):
            raise InvalidRequest(
                f"the form has a file named {name[:40]!r}; name files `image`", field=name[:40]
            )
    count = len(parts["text"]) + len(parts["image"])
    if not count:
        raise _nothing()
    check_count(count, "image", served.settings.max_items)
    named = [
        (kind if len(values) == 1 else f"{kind}[{index}]", value)
        for kind, values in parts.items()
        for index, value in enumerate(values)
    ]
    return each(named, _part, served.settings, options.errors)


def _part(value: str | bytes, name: str, settings: Settings) -> Asked:
    if name.startswith("image"):
        read = _file if isinstance(value, bytes) else picture
        return cast(Any, read)(value, name, settings)  # type: ignore[no-any-return]
    if isinstance(value, bytes):
        raise InvalidRequest(f"{name} is a file; send texts as plain fields", field=name)
    return text(value, name, settings)


def _file(data: bytes, name: str, settings: Settings) -> Image:
    if not data:
        raise InvalidRequest(f"{name} is empty", field=name, code="empty_image")
    if len(data) > settings.max_image_bytes:
        raise image_too_large(name, settings.max_image_bytes)
    return Image(data, name)


def _from_query(query: Mapping[str, str]) -> dict[str, Any]:
    """Give the options of a query string or form the types they have in JSON."""
    fields: dict[str, Any] = {name: query[name] for name in _OPTIONS if name in query}
    if (flag := fields.get("normalize")) in ("true", "false"):
        fields["normalize"] = flag == "true"
    if (number := fields.get("dimensions", "")).isdecimal() and number.isascii():
        fields["dimensions"] = int(number[:9])
    return fields


def _options(fields: dict[str, Any], arrived: Arrived, served: Served) -> tuple[Options, Form]:
    settings = served.settings
    errors = cast(Any, choice(fields, "errors", ("fail", "item"), "fail"))
    form = Form(choice(fields, "encoding_format", encodings.ENCODINGS, "float"))
    accepted = arrived.accept.partition(",")[0].partition(";")[0].strip().lower()
    if accepted in NUMPY_TYPES or accepted == RAW_TYPE:
        form = replace(form, media="raw" if accepted == RAW_TYPE else "npy")
        for name, value, kept in (
            ("errors", errors, "fail"),
            ("encoding_format", form.encoding, "float"),
        ):
            if value != kept:
                raise InvalidRequest(
                    f"{name} {value!r} needs a JSON answer, and Accept asks for {accepted}",
                    field=name,
                )
    return Options(
        normalize=boolean(fields, "normalize", False),
        truncate=cast(Any, choice(fields, "truncate", ("end", "none"), "end")),
        decode=cast(Any, choice(fields, "decode", ("exact", "fast"), settings.decode)),
        orient=cast(Any, choice(fields, "orient", ("reference", "exif"), settings.orient)),
        dimensions=dimensions(fields, "dimensions", served),
        errors=errors,
    ), form


def _nothing(field: str = "text") -> InvalidRequest:
    return InvalidRequest(
        "give `text`, `image` or both: a string or a non-empty list of strings; or `items`, a "
        'non-empty list of {"text": …} and {"image": …}',
        field=field,
        code="nothing_to_embed",
    )
