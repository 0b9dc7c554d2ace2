"""What a fetch may cost: a deadline over all of its stages, bytes, threads."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Final, TypeVar

from handler.call import Call
from handler.sources.refusals import FetchFailed, NothingThere, TooManyBytes, TooManyBytesTogether

T = TypeVar("T")

_SHORTEST: Final = 0.001
"""Seconds; a time limit of 0 would mean to sockets that they must not wait at all."""


class Deadline:
    """The end of one fetch, its own or its request's; `where` is the host or bucket to name."""

    def __init__(self, where: str, seconds: float, call: Call) -> None:
        self.where: Final = where
        self._seconds: Final = seconds
        self._call: Final = call
        self._end: Final = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, more than 0.

        Raises:
            FetchFailed: there are none. DeadlineExceeded: nobody waits for the request any longer.
        """
        self._call.check()
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.passed()
        request = self._call.left()
        return left if request is None else max(min(left, request), _SHORTEST)

    def passed(self) -> FetchFailed:
        """Return the error of a fetch that took too long.

        Raises:
            DeadlineExceeded: it is the request that took too long.
        """
        self._call.check()
        return FetchFailed(self.where, f"it took more than {self._seconds:g} seconds")


class Budget:
    """Bytes that the fetches of one request may take together."""

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._left = limit
        self._lock: Final = threading.Lock()

    def take(self, size: int) -> None:
        """Take `size` bytes.

        Raises:
            TooManyBytesTogether: there are fewer left.
        """
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise TooManyBytesTogether(self._limit)


class Calls:
    """Runs calls that nothing can interrupt, such as a name look-up, and stops waiting in time.

    A thread pool would not do: the interpreter waits for a pool's threads when it ends.
    """

    def __init__(self, limit: int) -> None:
        self._free: Final = threading.BoundedSemaphore(limit)

    def within(self, deadline: Deadline, call: Callable[[], T]) -> T:
        """Return the call's result, or raise what it raises.

        Raises:
            FetchFailed: the deadline passed; the call goes on, and holds one of `limit` places.
        """
        if not self._free.acquire(timeout=deadline.left()):
            raise deadline.passed()
        result: Future[T] = Future()
        try:
            threading.Thread(
                target=self._run, args=(call, result), name="fetch-call", daemon=True
            ).start()
        except RuntimeError:  # no more threads
            self._free.release()
            raise
        wait([result], deadline.left())
        if not result.done():
            raise deadline.passed()
        return result.result()

    def _run(self, call: Callable[[], T], result: Future[T]) -> None:
        try:
            result.set_result(call())
        except BaseException as error:  # it is raised again where the result is awaited
            result.set_exception(error)
        finally:
            self._free.release()


def collect(chunks: Iterable[bytes], limit: int, budget: Budget, deadline: Deadline) -> bytes:
    """Join a file's chunks.

    Raises:
        TooManyBytes: more than `limit`, or than the budget has left.
        NothingThere: no bytes.
        FetchFailed: the deadline passed.
    """
    found = bytearray()
    for chunk in chunks:
        deadline.left()
        if len(found) + len(chunk) > limit:
            raise TooManyBytes(limit)
        budget.take(len(chunk))
        found += chunk
    if not found:
        raise NothingThere
    return bytes(found)
