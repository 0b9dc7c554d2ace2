"""tests/events/*.json: what AWS's front doors send, and what each of them must be answered."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handler.app import create_app
from handler.embedder import Embedder
from handler.events import Dispatcher
from handler.frame import Observer
from handler.settings import Settings

FOLDER = Path(__file__).parent / "events"
Call = Callable[[object], Any]
TEXT = "red circle"

# What the vectors of an answer were made of: T the text, I the picture of the event files.
ANSWERS = {
    "alb_multi_value": "T",
    "alb_text": "T",
    "direct_both": "TI",
    "direct_text": "T",
    "function_url": "TI",
    "http_v1_stage": "T",
    "http_v2_ipv6_host": "T",
    "http_v2_null_headers": "T",
    "http_v2_stage": "T",
    "http_v2_text": "T",
    "rest_base64_body": "TI",
    "rest_both": "TI",
    "rest_image": "I",
    "rest_ipv6_host": "T",
    "rest_text": "T",
}
REFUSALS = {
    "http_v2_bad_base64": (400, "malformed_body"),
    "rest_unknown_path": (404, "not_found"),
    "s3_put": (400, "malformed_event"),
    "scheduled": (400, "malformed_event"),
}
OTHERS = {"cors_preflight", "rest_get_root"}
# The dispatcher refuses the first three itself, the CORS middleware answers the last.
UNCOUNTED = {"http_v2_bad_base64", "s3_put", "scheduled", "cors_preflight"}


class Context:
    """What Lambda passes beside an event, as far as it is used."""

    aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"


def names() -> list[str]:
    """Return the names of all event files."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def event(name: str) -> Any:
    """Return a fresh copy of one event."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def picture() -> str:
    """Return base64 of the picture the event files send."""
    found: str = event("direct_both")["image"]
    return found


def body(answer: Any) -> Any:
    """Return the JSON body of an HTTP answer; a direct invoke's answer is the body."""
    if "body" not in answer:
        return answer
    assert answer["isBase64Encoded"] is False
    return json.loads(answer["body"])


@contextmanager
def dispatching(
    embedder: Embedder, settings: Settings, observe: Observer = lambda record: None
) -> Iterator[Call]:
    """Give a call to the dispatcher around the real app.

    Mangum runs on its thread's event loop, and makes one where there is none; here every
    dispatcher brings its own. ROOT_PATH is the dispatcher's to tell: the app does without.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create_app(lambda: embedder, settings.model_copy(update={"root_path": ""}), observe)
    dispatcher = Dispatcher(app, settings)

    def call(sent: object) -> Any:
        asyncio.set_event_loop(loop)
        return dispatcher(sent, Context())

    try:
        yield call
    finally:
        asyncio.set_event_loop(None)
        loop.close()
