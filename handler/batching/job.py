"""The rows of one call, and how many calls' rows become one array."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.call import Call
from handler.errors import ServiceError


@dataclass(eq=False)
class Job:
    """One call's rows, its vectors as they come in, and what it sleeps on."""

    rows: NDArray[Any]
    call: Call
    arrived: float
    left: int
    done: threading.Event = field(default_factory=threading.Event)
    vectors: NDArray[np.float32] | None = None
    error: Exception | None = None

    def place(self, indices: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Take the vectors of some rows; with the last of them the call wakes up."""
        if self.vectors is None:
            self.vectors = np.empty((len(self.rows), vectors.shape[1]), np.float32)
        self.vectors[list(indices)] = vectors
        self.left -= len(indices)
        if not self.left:
            self.done.set()

    def fail(self, error: Exception) -> None:
        """Wake the call up with an error."""
        self.error = error
        self.done.set()

    def dead(self) -> bool:
        """Say whether there is no reason to run what is left of it."""
        if not self.done.is_set():
            try:
                self.call.check()
            except ServiceError as error:
                self.fail(error)
        return self.done.is_set()


@dataclass(frozen=True)
class Row:
    """One row of a job, and how long its text is."""

    job: Job
    index: int
    length: int


def gather(jobs: dict[Job, list[int]]) -> NDArray[Any]:
    """Return the named rows of every job, job after job."""
    if len(jobs) == 1:
        job, indices = next(iter(jobs.items()))
        return job.rows if indices == list(range(len(job.rows))) else job.rows[indices]
    return np.concatenate([job.rows[indices] for job, indices in jobs.items()])
