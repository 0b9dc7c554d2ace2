"""What a wire contract is: three functions between bytes and items."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from handler.bundle import Manifest
from handler.embedder import Embeddings
from handler.errors import ServiceError
from handler.items import Asked, Options
from handler.settings import Settings

LINE_TYPES: Final = (
    "application/jsonlines",
    "application/x-jsonlines",
    "application/jsonl",
    "application/x-ndjson",
)
"""Bodies of several requests, one a line (schemas/jsonlines.py)."""


@dataclass(frozen=True)
class Served:
    """The model that answers, as a contract sees it."""

    manifest: Manifest
    settings: Settings
    device: str


@dataclass(frozen=True)
class Arrived:
    """A request as it came: `kind` is the Content-Type without parameters, `form` a parsed form."""

    body: bytes
    kind: str = "application/json"
    query: Mapping[str, str] = field(default_factory=dict)
    accept: str = ""
    form: list[tuple[str, str | bytes]] | None = None


@dataclass(frozen=True)
class Wanted:
    """A decoded request; `answer` is what the contract's own encoder has to know of it."""

    items: list[Asked]
    options: Options
    answer: Any = None


@dataclass(frozen=True)
class Answer:
    """A response that can be sent."""

    body: bytes
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


class Contract(Protocol):
    """A module of this package that reads and writes one wire contract."""

    def decode(self, arrived: Arrived, payload: Any, served: Served) -> Wanted:
        """Read a request; `payload` is its JSON value, None where the body is not JSON.

        Raises:
            ServiceError: it is not one, or it passes a limit; names the field.
        """

    def encode(self, found: Embeddings, wanted: Wanted, served: Served, seconds: float) -> Answer:
        """Return the response for vectors in the order of `wanted.items`."""

    def refuse(self, error: ServiceError) -> tuple[int, dict[str, Any]]:
        """Return status and JSON body of an error in the contract's own shape."""
