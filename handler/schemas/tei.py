"""Text Embeddings Inference's contract: `POST /embed`, `GET /info` (its router/src/http)."""

from typing import Any, Final

import orjson

from handler import __version__
from handler.bundle import Manifest
from handler.cpus import available_cpus
from handler.embedder import Embeddings
from handler.errors import InvalidRequest, ServiceError
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.encodings import encode_vectors
from handler.schemas.fields import (
    an_object,
    boolean,
    check_count,
    choice,
    dimensions,
    each,
    predict_response,
    string,
    strings,
    text,
    unit_options,
    wrong,
)
from handler.settings import Settings

_STATUS: Final = {400: 422, 500: 424}
"""TEI's own: JSON it cannot read is Validation, a failed inference is Backend."""

_POOLING: Final = {"argmax": "last_token", "eos": "last_token", "last": "last_token"}
_DTYPES: Final = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read `inputs`; texts are cut unless `truncate` is false, as TEI's --auto-truncate has it."""
    fields, settings = an_object(payload), served.settings
    truncate = boolean(fields, "truncate", True)
    choice(fields, "truncation_direction", ("right", "Right"), None)
    if string(fields, "prompt_name") is not None:
        raise InvalidRequest(
            "prompt_name is set, and this model has no prompts", field="prompt_name"
        )
    keep = dimensions(fields, "dimensions", served)
    normalize = boolean(fields, "normalize", True)
    if fields.get("inputs") is None:
        raise wrong("inputs", None, "a string or a list of strings")
    named = strings(fields, "inputs")
    if not named:
        raise InvalidRequest("inputs is empty", field="inputs", code="nothing_to_embed")
    check_count(len(named), "inputs", settings.max_items)
    predict_response(len(named), served.manifest.dim, "inputs", settings)
    options = unit_options(served, keep, "end" if truncate else "none", normalize)
    return Wanted(each(named, text, settings), options)


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return a list of vectors and nothing else."""
    values = encode_vectors(found.vectors, "float")
    return Answer(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY))


def refuse(error: ServiceError) -> tuple[int, dict[str, Any]]:
    """Return {"error", "error_type"} with the status TEI gives that type."""
    status = _STATUS.get(error.status, error.status)
    match error.status:
        case 503:
            kind = "Unhealthy"
        case 429:
            kind = "Overloaded"
        case 500 | 504:
            kind = "Backend"
        case _:
            kind = "Validation"
    if error.code == "nothing_to_embed":
        status, kind = 400, "Empty"
    return status, {"error": error.message, "error_type": kind}


def info(manifest: Manifest, settings: Settings) -> dict[str, Any]:
    """Return what TEI's /info tells, as far as it means anything here."""
    length = manifest.tokenizer.context_length
    return {
        "model_id": manifest.model_id,
        "model_sha": manifest.revision,
        "model_dtype": _DTYPES[settings.precision],
        "served_model_name": manifest.model_id,
        "model_type": {"embedding": {"pooling": _POOLING.get(manifest.text.pool, "cls")}},
        "max_concurrent_requests": settings.max_queue,
        "max_input_length": length,
        "max_batch_tokens": length * settings.max_items,
        "max_batch_requests": None,
        "max_client_batch_size": settings.max_items,
        "auto_truncate": True,
        "tokenization_workers": settings.threads or available_cpus(),
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }
