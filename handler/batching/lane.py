"""A queue of rows for one tower, and the thread that takes batches out of it."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from handler.batching.job import Job, Row, gather
from handler.call import Call
from handler.errors import InternalError, NotReady, Overloaded, ServiceError

Tower = Literal["text", "image"]
Encode = Callable[[NDArray[Any], Call], NDArray[np.float32]]
ObserveBatch = Callable[[Tower, int, float], None]
"""Told of every run: its tower, its rows, and the seconds its oldest row had waited."""

POLL_SECONDS: Final = 0.1
"""How late a sleeping thread may notice that its client has gone."""
STALLED_SECONDS: Final = 60.0
"""A run that takes longer than any client waits (SageMaker's limit): the engine hangs."""
CLOSE_SECONDS: Final = 5.0
LONGEST_RETRY: Final = 30


@dataclass(frozen=True)
class Limits:
    """Rows a batch, seconds an idle engine waits for more of them, rows in the queue."""

    max_batch: int
    wait_seconds: float
    max_queue: int


@dataclass(frozen=True)
class Statistics:
    """What one lane has done since the start, and what waits in it now."""

    queued: int
    batches: int
    rows: int
    sizes: dict[int, int]
    """Batches by their number of rows."""
    waited_seconds: float
    """Summed over rows: from their arrival to the start of their run."""
    dropped: int
    """Rows never run: client gone, or deadline passed."""
    refused: int
    """Rows of requests refused with a 429."""


class Lane:
    """One tower's queue and its worker."""

    def __init__(
        self,
        tower: Tower,
        encode: Encode,
        limits: Limits,
        observe: ObserveBatch | None,
    ) -> None:
        self._tower: Final[Tower] = tower
        self._encode: Final = encode
        self._limits: Final = limits
        self._observe: Final = observe
        self._changed: Final = threading.Condition()
        self._queue: list[Row] = []
        self._running: list[Row] = []
        self._since: float | None = None
        self._failed = False
        self._closed = False
        self._expected = 0
        self._row_seconds = 0.0
        self._sizes: Counter[int] = Counter()
        self._waited = 0.0
        self._dropped = self._refused = 0
        self._worker: Final = threading.Thread(
            target=self._work, name=f"{tower}-batch", daemon=True
        )
        self._worker.start()

    def encode(self, rows: NDArray[Any], lengths: Sequence[int], call: Call) -> NDArray[np.float32]:
        """Queue the rows and sleep until they have vectors."""
        call.check()
        job = Job(rows, call, time.monotonic(), len(rows))
        queued = [Row(job, index, length) for index, length in enumerate(lengths)]
        with self._changed:
            self._admit(len(queued))
            self._queue += queued
            self._changed.notify()
        while not job.done.wait(_patience(call)):
            call.check()  # the worker finds the same when it comes to these rows, and drops them
        if job.error is not None:
            raise job.error
        assert job.vectors is not None  # noqa: S101  done without an error
        return job.vectors

    def statistics(self) -> Statistics:
        """Return what has happened until now."""
        with self._changed:
            return Statistics(
                queued=len(self._queue),
                batches=self._sizes.total(),
                rows=sum(size * count for size, count in self._sizes.items()),
                sizes=dict(self._sizes),
                waited_seconds=self._waited,
                dropped=self._dropped,
                refused=self._refused,
            )

    def ailing(self) -> str | None:
        """Return why the engine may not answer, if there is a reason."""
        since = self._since
        if since is not None and time.monotonic() - since > STALLED_SECONDS:
            return f"the {self._tower} tower has been running one batch for {STALLED_SECONDS:.0f} s"
        return f"the {self._tower} tower's last run failed" if self._failed else None

    def close(self, seconds: float) -> None:
        """Fail what waits; a run under way has some seconds to end."""
        with self._changed:
            self._closed = True
            self._fail(self._queue)
            self._queue = []
            self._changed.notify()
        self._worker.join(seconds)
        self._fail(self._running)

    def _fail(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if not row.job.done.is_set():
                row.job.fail(NotReady("the server is stopping"))

    def _admit(self, count: int) -> None:
        if self._closed:
            raise NotReady("the server is stopping")
        if self._queue and len(self._queue) + count > self._limits.max_queue:
            self._drop_dead()
            waiting = len(self._queue)
            if waiting and waiting + count > self._limits.max_queue:
                self._refused += count
                raise overloaded(self._limits.max_queue, waiting * self._row_seconds)

    def _work(self) -> None:
        while rows := self._take():
            started = time.monotonic()
            self._since = started
            self._run(rows)
            self._since = None
            taken = time.monotonic() - started
            with self._changed:
                self._running = []
                self._row_seconds += (taken / len(rows) - self._row_seconds) / 8
            if self._observe is not None:
                self._observe(self._tower, len(rows), started - rows[0].job.arrived)

    def _take(self) -> list[Row]:
        """Return the next batch, the oldest row first; none when closed."""
        with self._changed:
            while not self._closed:
                self._drop_dead()
                if not self._queue:
                    self._changed.wait()
                    continue
                left = self._queue[0].job.arrived + self._limits.wait_seconds - time.monotonic()
                enough = min(self._expected, self._limits.max_batch)
                if len(self._queue) >= enough or left <= 0:
                    break
                self._changed.wait(left)
            else:
                return []
            rows = self._choose()
            several = any(row.job is not rows[0].job for row in rows)
            self._expected = len(rows) if several else 0
            self._sizes[len(rows)] += 1
            now = time.monotonic()
            self._waited += sum(now - row.job.arrived for row in rows)
            self._running = rows
            return rows

    def _choose(self) -> list[Row]:
        """Take the oldest row and, of the others, those nearest to its length."""
        if len(self._queue) <= self._limits.max_batch:
            rows, self._queue = self._queue, []
            return rows
        first = self._queue[0]
        nearest = sorted(self._queue[1:], key=lambda row: abs(row.length - first.length))
        rows = [first, *nearest[: self._limits.max_batch - 1]]
        taken = {id(row) for row in rows}
        self._queue = [row for row in self._queue if id(row) not in taken]
        return rows

    def _drop_dead(self) -> None:
        jobs = {id(row.job): row.job for row in self._queue}
        dead = [job for job in jobs.values() if job.dead()]  # not any(): each has to be told
        if dead:
            alive = [row for row in self._queue if not row.job.done.is_set()]
            self._dropped += len(self._queue) - len(alive)
            self._queue = alive

    def _run(self, rows: Sequence[Row]) -> None:
        """Run the rows; if that fails, every request's alone, so that only the guilty one fails."""
        jobs: dict[Job, list[int]] = {}
        for row in rows:
            jobs.setdefault(row.job, []).append(row.index)
        try:
            vectors = self._encode(gather(jobs), Call())
            if len(vectors) != len(rows):
                raise InternalError(f"{len(vectors)} vectors for {len(rows)} rows")
        except Exception as error:  # whatever it is belongs to the request, not to this thread
            self._failed = not isinstance(error, ServiceError)
            if len(jobs) == 1:
                next(iter(jobs)).fail(error)
                return
            for job in jobs:
                if not job.dead():
                    self._run([row for row in rows if row.job is job])
            return
        self._failed = False
        at = 0
        for job, indices in jobs.items():
            job.place(indices, vectors[at : at + len(indices)])
            at += len(indices)


def overloaded(limit: int, seconds: float) -> Overloaded:
    """Return the refusal of a request for which there is no room for about so many seconds."""
    error = Overloaded("more requests are waiting than are taken on; try again", limit=limit)
    error.retry_after = min(max(math.ceil(seconds), 1), LONGEST_RETRY)
    return error


def _patience(call: Call) -> float:
    left = call.left()
    return POLL_SECONDS if left is None else min(left, POLL_SECONDS)
