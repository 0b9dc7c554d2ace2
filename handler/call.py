"""One request on its way: when its answer is due, whether anyone still waits, where time went."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from handler.errors import DeadlineExceeded

Stage = Literal["decode", "fetch", "embed", "encode"]
"""Of the body to items, of remote pictures, of items to vectors, of vectors to the answer."""


@dataclass
class Call:
    """Shared by everything that works on a request; `deadline` in time.monotonic seconds."""

    deadline: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    seconds: dict[Stage, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def left(self) -> float | None:
        """Return the seconds to the deadline, 0 if it has passed; None if there is none."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def check(self) -> None:
        """Stop work nobody waits for.

        Raises:
            DeadlineExceeded: the deadline has passed, or the client has gone.
        """
        if self.cancelled.is_set():
            raise DeadlineExceeded("the client has gone", code="cancelled")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineExceeded("the request took longer than it may (REQUEST_SECONDS)")
