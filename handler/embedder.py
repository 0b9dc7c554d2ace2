"""Items → arrays → engine → vectors, in order: the one path every entry shares."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from handler.bundle import Bundle, space_id
from handler.cpus import available_cpus
from handler.engines import Engine, load_engine
from handler.errors import InternalError, InvalidRequest, SetupError
from handler.images import load_image
from handler.preprocess import preprocess
from handler.settings import Settings
from handler.tokens import Tokenizer, load_tokenizer

PROBE_COSINE: Final = {"f32": 0.99999, "bf16": 0.99, "f16": 0.999}
"""Lowest cosine of the warm-up's vectors to open_clip's, by precision, below which nothing is
served: f32 has the bake's own tolerance; the others lose 8 or 11 bits of mantissa per operation."""


@dataclass(frozen=True)
class Options:
    """What a request may choose; `decode` and `orient` lead into other spaces."""

    normalize: bool = False
    truncate: Literal["end", "none"] = "end"
    decode: Literal["exact", "fast"] = "exact"
    orient: Literal["reference", "exif"] = "reference"


@dataclass(frozen=True)
class Image:
    """One picture's file bytes and the request field it came from, for error messages."""

    data: bytes
    field: str


@dataclass(frozen=True)
class Embeddings:
    """Vectors float32 (n, dim), texts first; `truncated` says it for every one of them."""

    vectors: NDArray[np.float32]
    truncated: list[bool]
    space: str


class Embedder:
    """One model, loaded and warm; built once per process."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        threads = settings.threads or available_cpus()
        self.manifest: Final = bundle.manifest
        self.settings: Final = settings
        self._engine: Final[Engine] = load_engine(bundle, settings, threads)
        self.device: Final = self._engine.device
        self.tokenizer: Final[Tokenizer] = load_tokenizer(bundle)
        self._pool: Final = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self.bundle: Final = bundle
        self.default_space: Final = self.space(
            Options(decode=settings.decode, orient=settings.orient)
        )

    def embed(self, texts: Sequence[str], images: Sequence[Image], options: Options) -> Embeddings:
        """Embed texts and pictures.

        Returns:
            One vector an item, texts first, then images, each in the order given.

        Raises:
            ServiceError: an item is not usable; the message names it.
        """
        vectors = []
        truncated = [False] * (len(texts) + len(images))
        # Decoding starts first: it runs in the pool while the texts are encoded.
        pixels = [self._pool.submit(self._pixels, image, options) for image in images]
        if texts:
            encoded = self.tokenizer(list(texts))
            truncated[: len(texts)] = encoded.truncated
            if options.truncate == "none" and any(encoded.truncated):
                self._refuse(encoded.truncated.index(True), len(texts))
            vectors.append(self._engine.encode_text(encoded.tokens))
        if pixels:
            vectors.append(self._engine.encode_image(np.stack([p.result() for p in pixels])))
        found = np.concatenate(vectors) if vectors else np.empty((0, self.manifest.dim), np.float32)
        if not np.isfinite(found).all():
            raise InternalError("the model gave a vector that is not finite")
        if options.normalize:
            found = normalize(found)
        return Embeddings(found, truncated, self.space(options))

    def space(self, options: Options) -> str:
        """Return the space id of vectors made with these options."""
        return space_id(self.manifest, self.settings.precision, options.decode, options.orient)

    def warm_up(self) -> None:
        """Encode the bundle's probe and compare with open_clip's vectors for it.

        The first inference unpacks the weights, which belongs into the start; comparing what it
        gives proves that this engine on this very CPU is in the baked space.

        Raises:
            SetupError: the vectors are not the baked model's.
        """
        wanted = self.settings.towers
        with np.load(self.bundle.file("probe.npz")) as probe:
            text, picture = str(probe["text"]), probe["picture"].tobytes()
            # The image tower first: its file pages are given back before the text's come in.
            if wanted != "text":
                found = self.embed([], [Image(picture, "probe")], Options())
                self._check("image", found.vectors, probe["image_vector"])
            if wanted != "image":
                self._check("text", self.embed([text], [], Options()).vectors, probe["text_vector"])

    def _check(self, tower: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        lowest = float(cosines(found, expected).min())
        allowed = PROBE_COSINE[self.settings.precision]
        if not lowest >= allowed:  # NaN fails too
            raise SetupError(
                f"the {tower} tower does not reproduce the baked vectors on this machine: cosine "
                f"{lowest:.6f}, at least {allowed} wanted at PRECISION={self.settings.precision}"
            )

    def _pixels(self, image: Image, options: Options) -> NDArray[np.float32]:
        spec = self.manifest.preprocess
        loaded = load_image(
            image.data,
            image.field,
            max_pixels=self.settings.max_pixels,
            orient=options.orient,
            fast_for=spec if options.decode == "fast" else None,
        )
        return preprocess(loaded, spec, image.field)

    def _refuse(self, index: int, count: int) -> None:
        length = self.manifest.tokenizer.context_length
        field = "text" if count == 1 else f"text[{index}]"
        raise InvalidRequest(
            f"{field} is longer than the model's {length} tokens, and truncate is 'none'",
            field=field,
            limit=length,
            code="text_too_long",
        )


def normalize(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length, as torch's F.normalize (a zero row stays zero)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return float64 (n,): the cosine of each row of `a` with the same row of `b`."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    dots = (left * right).sum(axis=1)
    found: NDArray[np.float64] = dots / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    return found
