"""CUDA graphs: one recorded launch for a whole tower instead of hundreds of kernels.

Small batches on a fast GPU wait for Python to launch kernels; a graph replays them at once. It is
bound to one input shape, so there is one for each of a few batch sizes and rows are padded to the
next. Off unless CUDA_GRAPHS is set: written without a GPU at hand, only the padding has been run.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

Encode = Callable[[Any], Any]
"""Tensor (n, …) on the device → tensor (n, dim)."""


def batch_sizes(largest: int) -> list[int]:
    """Return the sizes rows are padded to: powers of two to 16, then steps of 16."""
    sizes = [size for size in (1, 2, 4, 8) if size < largest]
    return [*sizes, *range(16, largest, 16), largest]


class Padded:
    """A tower that only ever runs batches of certain sizes."""

    def __init__(self, runs: dict[int, Encode]) -> None:
        self._runs: Final = runs
        self._sizes: Final = sorted(runs)

    def __call__(self, rows: Any) -> Any:
        """Run rows, padded with copies of the first; at most the largest size of them."""
        count = len(rows)
        size = next(size for size in self._sizes if size >= count)
        padding = rows[:1].expand(size - count, *rows.shape[1:])
        return self._runs[size](torch.cat([rows, padding]) if size > count else rows)[:count]


def record(encode: Encode, example: Any, sizes: Sequence[int]) -> Padded:
    """Record a tower for every size, the largest first so that the others share its memory.

    `example` is one row, on the device and of the type the tower takes.

    Raises:
        RuntimeError: the tower does something that cannot be recorded (a copy from the host, say).
    """
    pool = torch.cuda.graph_pool_handle()
    return Padded(
        {
            size: _record_one(encode, example.expand(size, *example.shape[1:]).contiguous(), pool)
            for size in sorted(sizes, reverse=True)
        }
    )


def _record_one(encode: Encode, given: Any, pool: Any) -> Encode:
    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    # Libraries set themselves up in the first runs, outside the graph.
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            expected = encode(given)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        out = encode(given)
    graph.replay()
    if not torch.allclose(out.float(), expected.float(), rtol=1e-2, atol=1e-2):
        raise RuntimeError("a recorded run gives other vectors than the run itself")

    def replay(rows: Any) -> Any:
        given.copy_(rows)
        graph.replay()
        return out.clone()  # the next replay, of whatever size, writes over it

    return replay
