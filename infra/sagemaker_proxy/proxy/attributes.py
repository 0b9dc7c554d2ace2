"""The one header SageMaker passes on: `name=value` pairs, percent-encoded, 1,024 characters.

handler/forwarded.py is the other end and documents the format.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

from proxy.answers import Refusal

LIMIT: Final = 1024
_RETURNED: Final = re.compile(r"x-request-id|x-embedding-[a-z]+")


def write_attributes(path: str, query: str, accept: str, request_id: str) -> str:
    """Return the header of a request.

    Raises:
        Refusal: it would be longer than SageMaker allows.
    """
    pairs = {"path": path, "query": query, "accept": accept, "id": request_id}
    written = ";".join(f"{name}={quote(value)}" for name, value in pairs.items() if value)
    if len(written) > LIMIT:
        raise Refusal(
            414,
            "query_too_long",
            f"path, query and Accept have {len(written)} characters, percent-encoded",
            field="query",
            limit=LIMIT,
        )
    return written


def read_returned(attributes: str) -> dict[str, str]:
    """Return the headers an answer's attributes stand for."""
    pairs = (pair.partition("=") for pair in attributes.split(";"))
    return {name: unquote(value) for name, _, value in pairs if _RETURNED.fullmatch(name)}
