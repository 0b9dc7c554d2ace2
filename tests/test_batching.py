"""Rows of concurrent calls share runs of the engine, and every caller gets its own vectors."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from engines import LENGTH, POISON, NumberEngine, expected, tokens
from numpy.typing import NDArray
from pictures import picture

from handler.batching import Batcher
from handler.bundle import Bundle
from handler.call import Call
from handler.embedder import Embedder
from handler.errors import DeadlineExceeded, NotReady, Overloaded
from handler.items import Image, Item, Options, Text
from handler.settings import Settings


@contextmanager
def batcher(engine: NumberEngine, **variables: object) -> Iterator[Batcher]:
    settings = Settings.model_validate({"max_batch": 8, "batch_wait_ms": 20.0} | variables)
    found = Batcher(engine, settings)
    try:
        yield found
    finally:
        engine.gate.set()
        found.close()


@pytest.fixture
def engine() -> NumberEngine:
    return NumberEngine()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as found:
        yield found


def until(reached: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < limit
        time.sleep(0.001)


def ask(
    pool: ThreadPoolExecutor, batcher: Batcher, rows: NDArray[np.int64], call: Call | None = None
) -> Future[NDArray[np.float32]]:
    """Ask in a thread and return once the rows are in the queue."""
    before = batcher.statistics()["text"].queued
    future = pool.submit(batcher.encode_text, rows, call or Call())
    until(lambda: batcher.statistics()["text"].queued == before + len(rows))
    return future


def blocked(
    pool: ThreadPoolExecutor, engine: NumberEngine, batcher: Batcher
) -> Future[NDArray[np.float32]]:
    """Start a run that lasts until the gate is opened."""
    engine.gate.clear()
    while engine.entered.acquire(blocking=False):  # runs before this one
        pass
    future = pool.submit(batcher.encode_text, tokens(3), Call())
    assert engine.entered.acquire(timeout=20)
    return future


def test_what_piles_up_during_a_run_is_the_next_batch(
    engine: NumberEngine, pool: ThreadPoolExecutor
) -> None:
    with batcher(engine) as found:
        blocked(pool, engine, found)
        rows = [tokens(*([4] * count), first=10 * count) for count in (1, 2, 3)]
        answers = [ask(pool, found, each) for each in rows]
        engine.gate.set()
        for answer, each in zip(answers, rows, strict=True):
            np.testing.assert_array_equal(answer.result(20), expected(each))
        assert [len(run) for run in engine.texts] == [1, 6]
        seen = found.statistics()["text"]
        assert (seen.batches, seen.rows, seen.queued, seen.sizes) == (2, 7, 0, {1: 1, 6: 1})
        assert seen.waited_seconds > 0
        assert found.statistics()["image"].batches == 0


def test_a_call_larger_than_a_batch_is_split_and_stays_in_order(engine: NumberEngine) -> None:
    rows = tokens(*[1 + at % LENGTH for at in range(45)])
    with batcher(engine) as found:
        np.testing.assert_array_equal(found.encode_text(rows, Call()), expected(rows))
        pixels = np.random.default_rng(0).random((11, 3, 4, 4), np.float32)
        np.testing.assert_array_equal(found.encode_image(pixels, Call()), expected(pixels))
    assert [len(run) for run in engine.texts] == [8, 8, 8, 8, 8, 5]
    assert engine.images == [8, 3]


def test_a_batch_holds_the_oldest_text_and_those_of_like_length(
    engine: NumberEngine, pool: ThreadPoolExecutor
) -> None:
    with batcher(engine, max_batch=4) as found:
        blocked(pool, engine, found)
        several = (9, 2, 16, 8, 2, 16, 10, 2, 16, 9)
        answers = [ask(pool, found, tokens(length)) for length in several]
        engine.gate.set()
        for answer in answers:
            answer.result(20)
    lengths = [sorted(np.count_nonzero(run, axis=1).tolist()) for run in engine.texts]
    assert lengths == [[3], [8, 9, 9, 10], [2, 2, 2, 16], [16, 16]]


def test_a_lone_client_never_waits_and_a_crowd_does(
    engine: NumberEngine, pool: ThreadPoolExecutor
) -> None:
    with batcher(engine, batch_wait_ms=1000.0) as found:
        started = time.monotonic()
        for _ in range(20):
            found.encode_text(tokens(3), Call())
        assert time.monotonic() - started < 1.0  # not even one of them waited
        blocked(pool, engine, found)
        crowd = [ask(pool, found, tokens(3)) for _ in range(3)]
        engine.gate.set()
        for answer in crowd:
            answer.result(20)
        # Three came together, so three are expected again, and run as soon as they are there.
        started = time.monotonic()
        for answer in [pool.submit(found.encode_text, tokens(3), Call()) for _ in range(3)]:
            answer.result(20)
        assert time.monotonic() - started < 1.0
        assert [len(run) for run in engine.texts[-2:]] == [3, 3]
        started = time.monotonic()
        found.encode_text(tokens(3), Call())  # the others do not come back
        assert time.monotonic() - started >= 1.0
        started = time.monotonic()
        found.encode_text(tokens(3), Call())
        assert time.monotonic() - started < 1.0


def test_a_full_queue_refuses(engine: NumberEngine, pool: ThreadPoolExecutor) -> None:
    with batcher(engine, max_queue=3) as found:
        blocked(pool, engine, found)
        kept = ask(pool, found, tokens(2, 2))
        with pytest.raises(Overloaded, match="more requests are waiting") as refused:
            found.encode_text(tokens(2, 2), Call())
        assert refused.value.limit == 3
        assert refused.value.retry_after >= 1
        engine.gate.set()
        assert len(kept.result(20)) == 2
        # More rows than the queue may have, but nobody before them: they would never fit later.
        assert len(found.encode_text(tokens(*[2] * 5), Call())) == 5
        assert found.statistics()["text"].refused == 2


def test_nobody_waits_beyond_the_deadline(engine: NumberEngine, pool: ThreadPoolExecutor) -> None:
    with batcher(engine) as found:
        blocked(pool, engine, found)
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="REQUEST_SECONDS"):
            found.encode_text(tokens(5, 5), Call(deadline=started + 0.15))
        assert 0.15 <= time.monotonic() - started < 5
        with pytest.raises(DeadlineExceeded):
            found.encode_text(tokens(5), Call(deadline=started))
        engine.gate.set()
        found.encode_text(tokens(1), Call())
        assert all(5 not in np.count_nonzero(run, axis=1) for run in engine.texts)
        assert found.statistics()["text"].dropped == 2


def test_rows_of_a_client_that_left_are_not_run(
    engine: NumberEngine, pool: ThreadPoolExecutor
) -> None:
    with batcher(engine) as found:
        blocked(pool, engine, found)
        leaving = Call()
        left = ask(pool, found, tokens(5, 5), leaving)
        stays = ask(pool, found, tokens(6))
        leaving.cancelled.set()
        with pytest.raises(DeadlineExceeded, match="the client has gone"):
            left.result(10)  # at once, although the engine is still busy
        engine.gate.set()
        np.testing.assert_array_equal(stays.result(20), expected(tokens(6)))
        assert [len(run) for run in engine.texts] == [1, 1]
        assert found.statistics()["text"].dropped == 2


def test_a_row_the_engine_cannot_run_fails_its_own_request_only(
    engine: NumberEngine, pool: ThreadPoolExecutor
) -> None:
    with batcher(engine) as found:
        blocked(pool, engine, found)
        good = [tokens(4, 4), tokens(5)]
        before = ask(pool, found, good[0])
        bad = ask(pool, found, tokens(4, first=POISON))
        after = ask(pool, found, good[1])
        engine.gate.set()
        with pytest.raises(RuntimeError, match="this row cannot be run"):
            bad.result(20)
        np.testing.assert_array_equal(before.result(20), expected(good[0]))
        np.testing.assert_array_equal(after.result(20), expected(good[1]))
        assert [len(run) for run in engine.texts] == [1, 4, 2, 1, 1]
        assert found.ailing() is None
        with pytest.raises(RuntimeError):
            found.encode_text(tokens(4, first=POISON), Call())
        assert found.ailing() == "the text tower's last run failed"
        found.encode_text(tokens(4), Call())
        assert found.ailing() is None


def test_closing_wakes_everybody_up(engine: NumberEngine, pool: ThreadPoolExecutor) -> None:
    with batcher(engine) as found:
        running = blocked(pool, engine, found)
        waiting = [ask(pool, found, tokens(2)) for _ in range(3)]
        closing = pool.submit(found.close)
        for each in waiting:
            with pytest.raises(NotReady, match="stopping"):
                each.result(20)
        engine.gate.set()
        assert len(running.result(20)) == 1  # what had begun is finished
        closing.result(20)
        with pytest.raises(NotReady, match="stopping"):
            found.encode_text(tokens(2), Call())


def test_closing_does_not_wait_for_an_engine_that_hangs(
    engine: NumberEngine, pool: ThreadPoolExecutor
) -> None:
    with batcher(engine) as found:
        running = blocked(pool, engine, found)
        found.close(0.05)
        with pytest.raises(NotReady, match="stopping"):
            running.result(10)


def test_every_run_is_told(engine: NumberEngine) -> None:
    told: list[tuple[str, int]] = []
    found = Batcher(
        engine, Settings(max_batch=4), lambda tower, rows, _: told.append((tower, rows))
    )
    found.encode_text(tokens(1, 2, 3, 4, 5), Call())
    found.encode_image(np.ones((2, 3, 2, 2), np.float32), Call())
    found.close()
    assert told == [("text", 4), ("text", 1), ("image", 2)]


def test_random_calls_from_many_threads_get_their_own_rows(engine: NumberEngine) -> None:
    wrong: list[str] = []
    gone = threading.Event()
    gone.set()

    def client(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for number in range(60):
            count = int(rng.integers(1, 21))
            poisoned = rng.random() < 0.05
            rows: NDArray[Any]
            encode: Any
            if rng.random() < 0.5:
                encode, rows = found.encode_text, tokens(*rng.integers(1, LENGTH, count))
            else:
                encode, rows = found.encode_image, rng.random((count, 3, 2, 2), np.float32)
            if poisoned:
                rows[rng.integers(count)] = POISON
            call = Call(cancelled=gone) if rng.random() < 0.05 else Call()
            try:
                vectors = encode(rows, call)
            except RuntimeError:
                ok = poisoned
            except DeadlineExceeded:
                ok = call.cancelled.is_set()
            else:
                ok = not poisoned and np.array_equal(vectors, expected(rows))
            if not ok:
                wrong.append(f"{seed}: {number}")

    with batcher(engine, batch_wait_ms=1.0) as found:
        clients = [threading.Thread(target=client, args=(seed,)) for seed in range(16)]
        for each in clients:
            each.start()
        for each in clients:
            each.join(60)
        seen = found.statistics()
    assert wrong == []
    assert max(seen["text"].sizes) == max(seen["image"].sizes) == 8
    assert seen["text"].queued == seen["image"].queued == 0


def test_batching_the_real_model_changes_no_vector(
    bundle: Bundle, embedder: Embedder, pool: ThreadPoolExecutor
) -> None:
    batched = Embedder(bundle, embedder.settings.model_copy(update={"max_batch": 16}))
    batched.warm_up()
    assert batched.batcher is not None
    words = ("red circle", "a blue square beside a green star", "a", "yellow " * 90)
    requests: list[list[Item]] = [
        [
            Text(f"{words[at % 4]} {at // 8}"),
            *[Image(picture(size=(60 + at, 80 + n))) for n in range(at % 3)],
        ]
        for at in range(48)
    ]
    answers = list(pool.map(lambda items: batched.embed(items, Options()), requests))
    for items, answer in zip(requests, answers, strict=True):
        alone = embedder.embed(items, Options())
        np.testing.assert_allclose(answer.vectors, alone.vectors, rtol=0, atol=2e-5)
        assert answer.truncated == alone.truncated
        assert answer.tokens == alone.tokens
    seen = batched.batcher.statistics()
    assert seen["text"].rows == 48 + 1
    assert seen["text"].batches < 40
    assert seen["image"].rows == sum(len(items) - 1 for items in requests) + 1
    batched.close()
    with pytest.raises(NotReady):
        batched.embed([Text("late")], Options())
