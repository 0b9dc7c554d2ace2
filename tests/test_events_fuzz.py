"""Real events with random damage: never an exception, never a 5xx, always sendable."""

from collections.abc import Iterator
from typing import Any

import event_files
import orjson
import pytest
from calls import KEYS
from event_files import ANSWERS, Call, body, dispatching, event
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from handler.embedder import Embedder
from handler.emf import metric_line
from handler.frame import Record
from handler.settings import Settings

CHARACTERS = st.characters(exclude_categories=())
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS)
    | st.sampled_from(["/", "//", "%ff", "\r\n", "[::1]", "a:99999", "GET", "OPTIONS", "/docs/"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(CHARACTERS), inner),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def seen() -> list[Record]:
    return []


@pytest.fixture(scope="module")
def dispatch(embedder: Embedder, settings: Settings, seen: list[Record]) -> Iterator[Call]:
    with dispatching(embedder, settings, seen.append) as found:
        yield found


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """A real event in which one or two values are something else or gone."""
    root = {"event": event(draw(st.sampled_from(event_files.names())))}
    for _ in range(draw(st.integers(1, 2))):
        outer, key = draw(st.sampled_from(list(_places(root))))
        if isinstance(outer, dict) and outer is not root and draw(st.booleans()):
            del outer[key]
        else:
            outer[key] = draw(JUNK)
    return root["event"]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


@hypothesis_settings(max_examples=400, deadline=None, database=None)
@given(sent=mutants())
def test_any_event_gets_an_answer(dispatch: Call, seen: list[Record], sent: Any) -> None:
    seen.clear()
    answer = dispatch(sent)
    orjson.dumps(answer)
    if "statusCode" in answer:
        assert 200 <= answer["statusCode"] < 500, answer
    else:
        assert list(answer) == KEYS
    for record in seen:
        assert metric_line(record, "OpenCLIP", "model", cold=False)


def test_and_leaves_the_worker_well(dispatch: Call) -> None:
    for name in ANSWERS:
        assert list(body(dispatch(event(name)))) == KEYS
