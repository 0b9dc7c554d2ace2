"""Arithmetic on vectors after the model: lengths and angles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def normalize(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to unit length, as torch's F.normalize (a zero row stays zero)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def joined(vectors: NDArray[np.float32], sizes: Sequence[int]) -> NDArray[np.float32]:
    """Return float32 (len(sizes), dim): of each run of unit vectors the mean, at unit length.

    A run of one is returned as it is.
    """
    if all(size == 1 for size in sizes):
        return vectors
    starts = np.cumsum([0, *sizes[:-1]])
    means = normalize(np.add.reduceat(vectors, starts, axis=0))
    single = np.array(sizes) == 1
    means[single] = vectors[starts[single]]
    return means


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return float64 (n,): the cosine of each row of `a` with the same row of `b`."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    dots = (left * right).sum(axis=1)
    found: NDArray[np.float64] = dots / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    return found
