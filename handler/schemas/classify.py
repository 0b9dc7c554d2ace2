"""Zero-shot labels: `POST /classify {"image", "labels", "templates"}`.

Each label is put into every prompt template; the unit vectors of its prompts are averaged and made
unit length again (Radford et al. 2021, section 3.1.4).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from handler.embedder import Embeddings
from handler.errors import InvalidRequest
from handler.items import Options
from handler.schemas.contract import Answer, Arrived, Served, Wanted
from handler.schemas.fields import (
    an_object,
    check_count,
    each,
    picture,
    predict_response,
    refuse,
    strings,
    text,
    wrong,
)
from handler.schemas.rank import probabilities
from handler.vectors import normalize

__all__ = ["decode", "encode", "refuse"]

DEFAULT_TEMPLATE = "a photo of a {}"


@dataclass(frozen=True)
class Question:
    """Labels in the request's order, and how many prompts each became."""

    labels: list[str]
    templates: int


def decode(arrived: Arrived, payload: Any, served: Served) -> Wanted:
    """Read pictures, labels and templates; items are the prompts label by label, then pictures."""
    fields, settings = an_object(payload), served.settings
    images = strings(fields, "image")
    labels = strings(fields, "labels")
    templates = strings(fields, "templates") or [("templates", DEFAULT_TEMPLATE)]
    if not images:
        raise wrong("image", fields.get("image"), "a picture or a non-empty list of pictures")
    if not labels:
        raise wrong("labels", fields.get("labels"), "a non-empty list of strings")
    for name, template in templates:
        if template.count("{}") != 1:
            raise InvalidRequest(f"{name} must hold {{}} once, where the label goes", field=name)
    prompts = len(labels) * len(templates)
    check_count(prompts + len(images), "labels", settings.max_items)
    predict_response(len(images), 3 * len(labels), "labels", settings)
    named = [
        (name, template.replace("{}", label)) for name, label in labels for _, template in templates
    ]
    items = [*each(named, text, settings), *each(images, picture, settings)]
    options = Options(normalize=True, decode=settings.decode, orient=settings.orient)
    return Wanted(items, options, Question([label for _, label in labels], len(templates)))


def encode(found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
    """Return, for every picture, each label's probability and cosine and the best label."""
    question: Question = wanted.answer
    count = len(question.labels)
    prompts = found.vectors[: count * question.templates]
    images = found.vectors[count * question.templates :]
    labels = normalize(prompts.reshape(count, question.templates, -1).mean(axis=1))
    cosines = images @ labels.T
    return Answer(
        orjson.dumps(
            {
                "labels": question.labels,
                "best": [question.labels[index] for index in np.argmax(cosines, axis=1)],
                "probabilities": probabilities(cosines, served.manifest),
                "cosine_similarities": cosines,
                "model": served.manifest.model_id,
                "space": found.space,
                "duration": round(seconds, 6),
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
    )
