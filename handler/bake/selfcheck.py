"""The finished folder, through the runtime path, against open_clip in float32."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from handler.bake.checkpoint import Checkpoint, torch
from handler.bake.samples import PROBE_TEXT, TEXTS, pictures
from handler.embedder import Embedder
from handler.errors import InternalError, SetupError
from handler.images import load_image
from handler.items import Image, Item, Options, Text
from handler.preprocess import preprocess
from handler.tokens import Tokenizer
from handler.vectors import cosines

LOWEST_COSINE: Final = 0.99999
"""f16 weights and another order of summation cost about 3e-7; anything near this is a fault."""
LARGEST_LENGTH_DIFFERENCE: Final = 0.005
"""Relative; what the cosine allows across, here along: sqrt(2 x 1e-5). Vectors are served
unnormalised, and a cosine does not see their length: one weight that f16 cannot hold may leave the
direction as it is and the length a fraction of open_clip's."""
LARGEST_PIXEL_DIFFERENCE: Final = 1e-6
"""Of a normalised value: equal arithmetic gives 0, and one step of 8 bits would be 1.4e-2."""


def check_tokens(tokenizer: Tokenizer, reference: Any) -> None:
    """Compare token ids of every sample text.

    Raises:
        SetupError: naming the first text that differs.
    """
    for text in TEXTS:
        found, expected = tokenizer([text]).tokens[0], reference([text])[0].numpy()
        if not np.array_equal(found, expected):
            at = int((found != expected).argmax())
            raise SetupError(
                f"token ids of {text[:60]!r} differ from open_clip's at position {at}: "
                f"{found[at]} instead of {expected[at]}"
            )


def check_pixels(checkpoint: Checkpoint, embedder: Embedder) -> float:
    """Compare preprocessed sample pictures; return the largest difference.

    Raises:
        SetupError: naming the first picture beyond the tolerance.
    """
    worst = 0.0
    for name, data in pictures().items():
        difference = float(
            np.abs(_runtime_pixels(data, embedder) - _reference_pixels(data, checkpoint)).max()
        )
        if difference > LARGEST_PIXEL_DIFFERENCE:
            raise SetupError(
                f"pixels of the {name!r} sample differ from open_clip's by {difference:.3g}, "
                f"at most {LARGEST_PIXEL_DIFFERENCE} allowed"
            )
        worst = max(worst, difference)
    return worst


def check_vectors(checkpoint: Checkpoint, embedder: Embedder, reference: Any) -> dict[str, float]:
    """Embed every sample both ways; return the lowest cosine of texts and of pictures.

    Raises:
        SetupError: naming the worst sample and its cosine.
    """
    texts, images = [PROBE_TEXT, *TEXTS], pictures()
    with torch.inference_mode():
        texts_expected = checkpoint.model.encode_text(reference(texts), normalize=False)
        pixels = np.stack([_reference_pixels(data, checkpoint) for data in images.values()])
        images_expected = checkpoint.model.encode_image(torch.from_numpy(pixels), normalize=False)
    texts_found = _embedded(embedder, texts, {})
    images_found = _embedded(embedder, [], images)
    return {
        "text_cosine": _lowest("text", texts_found, texts_expected.numpy(), texts),
        "image_cosine": _lowest("image", images_found, images_expected.numpy(), list(images)),
    }


def _embedded(
    embedder: Embedder, texts: list[str], pictures: dict[str, bytes]
) -> NDArray[np.float32]:
    items: list[Item] = [Text(text, f"text {text[:60]!r}") for text in texts]
    items += [Image(data, f"image {name!r}") for name, data in pictures.items()]
    try:
        return embedder.embed(items, Options()).vectors
    except InternalError:  # one of them has no finite vector: which?
        for item in items:
            try:
                embedder.embed([item], Options())
            except InternalError as error:
                raise SetupError(f"{item.field}: {error.message}") from None
        raise
    except RuntimeError as error:  # OpenVINO's and torch's own
        told = " ".join(str(error).split())[:500]
        raise SetupError(
            f"what was exported does not run ({told}); ENGINE=torch works: bake with --engine torch"
        ) from None


def _lowest(
    kind: str, found: NDArray[np.float32], expected: NDArray[np.float32], names: list[str]
) -> float:
    found_cosines = cosines(found, expected)
    worst = int(np.nan_to_num(found_cosines, nan=-1.0).argmin())
    lowest = float(found_cosines[worst])
    if not lowest >= LOWEST_COSINE:
        raise SetupError(
            f"the vector of {kind} {names[worst][:60]!r} has cosine {lowest:.7f} to open_clip's, "
            f"at least {LOWEST_COSINE} wanted"
        )
    ratios = np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    worst = int(np.abs(ratios - 1).argmax())
    if not abs(float(ratios[worst]) - 1) <= LARGEST_LENGTH_DIFFERENCE:
        raise SetupError(
            f"the vector of {kind} {names[worst][:60]!r} is {ratios[worst]:.4g} times as long as "
            f"open_clip's, at most {LARGEST_LENGTH_DIFFERENCE:.1%} apart wanted"
        )
    return lowest


def _runtime_pixels(data: bytes, embedder: Embedder) -> NDArray[np.float32]:
    return preprocess(
        load_image(data, "sample", max_pixels=10_000_000), embedder.manifest.preprocess
    )


def _reference_pixels(data: bytes, checkpoint: Checkpoint) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = checkpoint.preprocess(PillowImage.open(io.BytesIO(data))).numpy()
    return pixels
