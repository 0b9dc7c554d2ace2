"""Ranking: `POST /rank {"queries", "candidates"}`, the shape CLIP-API-service uses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from handler.bundle import Manifest
from handler.embedder import Embeddings
from handler.errors import PayloadTooLarge
from handler.items import Asked, Options
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.fields import an_object, check_count, each, refuse, wrong
from handler.schemas.native import one_item

__all__ = ["decode", "encode", "refuse"]

_BYTES_PER_PAIR = 2 * 22
"""A probability and a cosine, as JSON writes them."""


@dataclass(frozen=True)
class Sides:
    """How many of the items are queries; the others are candidates."""

    queries: int


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read two lists of {"text": …} and {"image": …}."""
    fields, settings = an_object(payload), served.settings
    items: list[Asked] = []
    sizes = []
    for name in ("queries", "candidates"):
        value = fields.get(name)
        if not isinstance(value, list) or not value:
            raise wrong(name, value, 'a non-empty list of {"text": …} and {"image": …}')
        check_count(len(items) + len(value), name, settings.max_items)
        named = [(f"{name}[{index}]", item) for index, item in enumerate(value)]
        items += each(named, one_item, settings)
        sizes.append(len(value))
    pairs = sizes[0] * sizes[1]
    if pairs * _BYTES_PER_PAIR + 512 > settings.max_response_bytes:
        raise PayloadTooLarge(
            f"the answer for {sizes[0]} x {sizes[1]} pairs could pass "
            f"{settings.max_response_bytes} bytes",
            field="candidates",
            limit=(settings.max_response_bytes - 512) // _BYTES_PER_PAIR,
            code="response_too_large",
        )
    options = Options(normalize=True, decode=settings.decode, orient=settings.orient)
    return Wanted(items, options, Sides(sizes[0]))


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return float lists (queries, candidates): cosines, and probabilities over the candidates."""
    sides: Sides = wanted.answer
    vectors = found.vectors
    cosines = vectors[: sides.queries] @ vectors[sides.queries :].T
    return Answer(
        orjson.dumps(
            {
                "probabilities": probabilities(cosines, served.manifest),
                "cosine_similarities": cosines,
                "model": served.manifest.model_id,
                "space": found.space,
                "logit_scale": served.manifest.logit_scale,
                "logit_bias": served.manifest.logit_bias,
                "duration": round(seconds, 6),
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
    )


def probabilities(cosines: NDArray[np.float32], manifest: Manifest) -> NDArray[np.float64]:
    """Return float64 of the cosines' shape, by the checkpoint's own logit scale.

    Softmax over the last axis (CLIP, Radford et al. 2021); for a checkpoint with a bias a sigmoid
    for each pair by itself (SigLIP, Zhai et al. 2023), whose rows need not sum to one.
    """
    logits = cosines.astype(np.float64) * manifest.logit_scale
    found: NDArray[np.float64]
    if manifest.logit_bias is not None:
        logits += manifest.logit_bias
        small = np.exp(-np.abs(logits))  # never overflows
        found = np.where(logits >= 0, 1.0, small) / (1.0 + small)
        return found
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found = powers / powers.sum(axis=-1, keepdims=True)
    return found
