"""Rows of concurrent requests, encoded together: an Engine around an Engine.

A thread that asks for vectors leaves its rows in the lane of their tower (lane.py) and sleeps;
the lane's worker takes what lies there, up to MAX_BATCH rows, runs the engine once and wakes
everybody. While the engine is busy rows pile up by themselves, so batches grow with the load. An
idle engine waits for company only if the batch before had several requests in it, whose clients
are about to come back. A lone client therefore never waits.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from handler.batching.lane import CLOSE_SECONDS, Lane, Limits, ObserveBatch, Statistics, Tower
from handler.call import Call
from handler.engines import Engine
from handler.settings import Settings

__all__ = ["Batcher", "ObserveBatch", "Statistics", "Tower"]


class Batcher:
    """The two towers of an engine, each with a lane and a worker thread of its own.

    Two workers, because texts are so much quicker than pictures: in one queue every text would
    wait for the pictures before it.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        observe: ObserveBatch | None = None,
    ) -> None:
        if not settings.max_batch:
            raise ValueError("MAX_BATCH is 0 or unset: there is nothing to batch")
        limits = Limits(settings.max_batch, settings.batch_wait_ms / 1000, settings.max_queue)
        self.device = engine.device
        self.image_batch = engine.image_batch
        self._text: Final = Lane("text", engine.encode_text, limits, observe)
        self._image: Final = Lane("image", engine.encode_image, limits, observe)

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        """int64 (n, context_length) → float32 (n, dim).

        Raises:
            Overloaded: MAX_QUEUE rows are waiting. DeadlineExceeded: nobody waits any longer.
            NotReady: the batcher was closed.
        """
        return self._text.encode(tokens, _lengths(tokens), call)

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        """float32 (n, 3, height, width) → float32 (n, dim); raises what encode_text does."""
        return self._image.encode(pixel_values, [0] * len(pixel_values), call)

    def statistics(self) -> dict[Tower, Statistics]:
        """Return a snapshot of both lanes."""
        return {"text": self._text.statistics(), "image": self._image.statistics()}

    def ailing(self) -> str | None:
        """Return why the engine may not answer: a run that hangs, or one that failed just now."""
        return self._text.ailing() or self._image.ailing()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Stop; whoever waits gets NotReady. A run under way has some seconds to end."""
        for lane in (self._text, self._image):
            lane.close(seconds)


def _lengths(tokens: NDArray[np.int64]) -> list[int]:
    """Return how far each text goes: up to the last token that is not its padding."""
    differs = tokens[:, ::-1] != tokens[:, -1:]
    lengths: list[int] = (tokens.shape[1] - differs.argmax(axis=1)).tolist()
    return lengths
