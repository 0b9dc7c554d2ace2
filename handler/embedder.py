"""Items → arrays → engine → vectors, in order: the one path every entry shares."""

import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from handler.bundle import Bundle, space_id
from handler.call import Call
from handler.cpus import available_cpus
from handler.engines import Engine, load_engine
from handler.errors import ITEM_ERRORS, InternalError, InvalidRequest, ServiceError, SetupError
from handler.images import load_image
from handler.items import Image, Item, Options, Text
from handler.preprocess import preprocess
from handler.settings import Settings
from handler.tokens import Tokenizer, load_tokenizer
from handler.vectors import cosines, normalize

if TYPE_CHECKING:
    from handler.batching import Batcher, ObserveBatch

PROBE_COSINE: Final = {"f32": 0.99999, "bf16": 0.99, "f16": 0.999}
"""Lowest cosine of the warm-up's vectors to open_clip's, by precision, below which nothing is
served: f32 has the bake's own tolerance; the others lose 8 or 11 bits of mantissa per operation."""


@dataclass
class Embeddings:
    """Vectors float32 (n, dim), one an item, in the items' order.

    `truncated` and `tokens`: whether each text was cut, and how many ids of it were read, start and
    end included (0 for pictures). `errors`: by position, what was wrong; such a row is zero.
    """

    vectors: NDArray[np.float32]
    truncated: list[bool]
    tokens: list[int]
    space: str
    errors: dict[int, ServiceError] = field(default_factory=dict)


class Embedder:
    """One model, loaded and warm; built once per process."""

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        engine: Engine | None = None,
        observe_batch: "ObserveBatch | None" = None,
    ) -> None:
        threads = settings.threads or available_cpus()
        self.manifest: Final = bundle.manifest
        self.settings: Final = settings
        self._engine: Engine = engine or load_engine(bundle, settings, threads)
        self.batcher: Batcher | None = None
        if settings.max_batch:
            from handler import batching

            self._engine = self.batcher = batching.Batcher(self._engine, settings, observe_batch)
        self.device: Final = self._engine.device
        self.tokenizer: Final[Tokenizer] = load_tokenizer(bundle)
        self._pool: Final = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self.bundle: Final = bundle
        self.default_space: Final = self.space(
            Options(decode=settings.decode, orient=settings.orient)
        )

    def embed(
        self, items: Sequence[Item], options: Options, call: Call | None = None
    ) -> Embeddings:
        """Embed texts and pictures; what occurs more than once among them is encoded once.

        Raises:
            ServiceError: an item is not usable and `options.errors` is "fail"; the message names
                it. DeadlineExceeded: `call` is no longer waited for.
        """
        call = call or Call()
        count = len(items)
        found = Embeddings(
            np.zeros((count, self.manifest.dim), np.float32),
            [False] * count,
            [0] * count,
            self.space(options),
        )
        texts: dict[str, list[int]] = {}
        images: dict[bytes, list[int]] = {}
        for at, item in enumerate(items):
            if isinstance(item, Text):
                texts.setdefault(item.text, []).append(at)
            else:
                images.setdefault(item.data, []).append(at)
        # Decoding starts first: it runs in the pool while the texts are encoded.
        pixels = [
            (self._pool.submit(self._pixels, Image(data, items[at[0]].field), options, call), at)
            for data, at in images.items()
        ]
        try:
            if texts:
                self._embed_texts(texts, items, options, found, call)
            self._embed_images(pixels, options, found, call)
        finally:
            for future, _ in pixels:
                future.cancel()
        if not np.isfinite(found.vectors).all():
            raise InternalError("the model gave a vector that is not finite")
        if options.dimensions is not None:
            found.vectors = found.vectors[:, : options.dimensions]
        if options.normalize:
            found.vectors = normalize(found.vectors)
        return found

    def close(self) -> None:
        """Stop the threads; whoever still waits for vectors gets NotReady."""
        if self.batcher:
            self.batcher.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def space(self, options: Options) -> str:
        """Return the space id of vectors made with these options."""
        return space_id(self.manifest, self.settings.precision, options.decode, options.orient)

    def warm_up(self, call: Call | None = None) -> None:
        """Encode the bundle's probe and compare with open_clip's vectors for it.

        The first inference unpacks the weights, which belongs into the start; comparing what it
        gives proves that this engine on this very CPU is in the baked space.

        Raises:
            SetupError: the vectors are not the baked model's.
        """
        wanted, call = self.settings.towers, call or Call()
        with np.load(self.bundle.file("probe.npz")) as probe:
            text, picture = str(probe["text"]), probe["picture"].tobytes()
            # The image tower first: its file pages are given back before the text's come in.
            # Straight to the engine: limits are for what strangers send.
            if wanted != "text":
                loaded = load_image(picture, "probe", max_pixels=sys.maxsize)
                pixels = preprocess(loaded, self.manifest.preprocess)[None]
                found = self._engine.encode_image(pixels, call)
                self._check("image", found, probe["image_vector"])
            if wanted != "image":
                found = self._engine.encode_text(self.tokenizer([text]).tokens, call)
                self._check("text", found, probe["text_vector"])

    def _embed_texts(
        self,
        texts: dict[str, list[int]],
        items: Sequence[Item],
        options: Options,
        found: Embeddings,
        call: Call,
    ) -> None:
        encoded = self.tokenizer(list(texts))
        kept: dict[int, list[int]] = {}
        for row, at in enumerate(texts.values()):
            if options.truncate == "none" and encoded.truncated[row]:
                self._fail([at], self._too_long(items[at[0]].field), options, found)
                continue
            kept[row] = at
            for position in at:
                found.truncated[position] = encoded.truncated[row]
                found.tokens[position] = encoded.counts[row]
        if kept:
            try:
                vectors = self._engine.encode_text(encoded.tokens[list(kept)], call)
            except InvalidRequest as error:
                self._fail([*kept.values()], error, options, found)
            else:
                _place(vectors, [*kept.values()], found)

    def _embed_images(
        self,
        pixels: Sequence[tuple["Future[NDArray[np.float32]]", list[int]]],
        options: Options,
        found: Embeddings,
        call: Call,
    ) -> None:
        size = self._engine.image_batch  # the next pictures are decoded while these are encoded
        for start in range(0, len(pixels), size):
            rows, positions = [], []
            for future, at in pixels[start : start + size]:
                try:
                    rows.append(future.result())
                except ServiceError as error:
                    self._fail([at], error, options, found)
                else:
                    positions.append(at)
            if not rows:
                continue
            try:
                vectors = self._engine.encode_image(np.stack(rows), call)
            except InvalidRequest as error:
                self._fail(positions, error, options, found)
            else:
                _place(vectors, positions, found)

    def _fail(
        self,
        positions: Sequence[Sequence[int]],
        error: ServiceError,
        options: Options,
        found: Embeddings,
    ) -> None:
        if options.errors == "fail" or not isinstance(error, ITEM_ERRORS):
            raise error
        for at in positions:
            found.errors.update(dict.fromkeys(at, error))

    def _check(self, tower: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        lowest = float(cosines(found, expected).min())
        allowed = PROBE_COSINE[self.settings.precision]
        if not lowest >= allowed:  # NaN fails too
            raise SetupError(
                f"the {tower} tower does not reproduce the baked vectors on this machine: cosine "
                f"{lowest:.6f}, at least {allowed} wanted at PRECISION={self.settings.precision}"
            )

    def _pixels(self, image: Image, options: Options, call: Call) -> NDArray[np.float32]:
        call.check()
        spec = self.manifest.preprocess
        loaded = load_image(
            image.data,
            image.field,
            max_pixels=self.settings.max_pixels,
            orient=options.orient,
            fast_for=spec if options.decode == "fast" else None,
        )
        return preprocess(loaded, spec, image.field)

    def _too_long(self, field: str) -> InvalidRequest:
        length = self.manifest.tokenizer.context_length
        return InvalidRequest(
            f"{field} is longer than the model's {length} tokens, and truncate is 'none'",
            field=field,
            limit=length,
            code="text_too_long",
        )


def _place(
    vectors: NDArray[np.float32], positions: Sequence[Sequence[int]], found: Embeddings
) -> None:
    for vector, at in zip(vectors, positions, strict=True):
        found.vectors[at] = vector
